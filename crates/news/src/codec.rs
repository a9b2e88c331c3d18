//! Articles and their events as messages, and back.

mod receipts;

use bus::Envelope;
use kernel::{ArticleId, Label, MessageId, Timestamp, Trace, UserId, Version};
use prost::Message;
use proto::news::v1 as messages;

pub use receipts::make_receipts;

use crate::domain::{Article, Byline, Change, Correction, Retraction, Slug, State, Story};

/// The reason why a message can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes are not such a message.
    #[error("the message can't be decoded")]
    Undecodable,
    /// A field is missing, or its value is not valid.
    #[error("the message has no valid {0}")]
    Field(&'static str),
}

/// Returns the message that announces a change: `news.<section>.<event>` with the full snapshot.
pub fn event_message(change: &Change, id: MessageId, trace: Trace) -> Envelope {
    let article = &change.article;
    // The messages of all events have one form. Only their names differ, which the envelope carries.
    let body = messages::ArticleUpdated {
        change: Some(messages::Change {
            article: Some(encode(article, true)),
            by: change.by.to_string(),
            at_ms: article.updated_at.millis(),
            from_version: change.from.map(Version::number),
        }),
    };
    Envelope {
        id,
        kind: format!("portal.news.v1.Article{}", capitalised(change.event.as_str())),
        key: format!("news.{}.{}", article.section, change.event),
        source: article.section.service().to_owned(),
        subject: article.id.to_string(),
        version: article.version.number(),
        time: article.updated_at,
        trace,
        body: body.encode_to_vec().into(),
    }
}

/// Returns `name` with an upper-case first letter: `drafted` names the message `ArticleDrafted`.
pub fn capitalised(name: &str) -> String {
    let (first, rest) = name.split_at(name.len().min(1));
    first.to_ascii_uppercase() + rest
}

/// Reads the article out of the message of any event. All of them have one form, so an event that only a
/// newer program knows can be read too.
pub fn article_of_event(body: &[u8]) -> Result<Article, CodecError> {
    let message = messages::ArticleUpdated::decode(body).map_err(|_| CodecError::Undecodable)?;
    let change = message.change.ok_or(CodecError::Field("change"))?;
    decode(change.article.ok_or(CodecError::Field("article"))?)
}

/// Returns the article as a message, with its content if `with_content` is set.
pub fn encode(article: &Article, with_content: bool) -> messages::Article {
    let story = &article.story;
    messages::Article {
        id: article.id.to_string(),
        section: article.section.to_string(),
        version: article.version.number(),
        state: article.state.to_string(),
        slug: article.slug.to_string(),
        title: story.title.clone(),
        description: story.description.clone(),
        content: with_content.then(|| story.content.clone()),
        author: article.byline.as_str().to_owned(),
        author_id: article.author.to_string(),
        byline_of: match article.byline.owner() {
            Some(owner) if owner == article.author => None,
            owner => Some(owner.map(|owner| owner.to_string()).unwrap_or_default()),
        },
        tags: story.tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
        lang: story.lang.clone(),
        image: story.image.clone(),
        region: story.region.clone(),
        created_at_ms: article.created_at.millis(),
        updated_at_ms: article.updated_at.millis(),
        published_at_ms: article.published_at.map(Timestamp::millis),
        corrections: article.corrections.iter().map(encode_correction).collect(),
        scheduled_at_ms: article.scheduled_at.map(Timestamp::millis),
        retraction: article.retraction.as_ref().map(encode_retraction),
        review_note: article.review_note.clone(),
        revised_at_ms: Some(article.revised_at).filter(|at| *at != article.updated_at).map(Timestamp::millis),
        state_since_ms: Some(article.state_since)
            .filter(|at| *at != article.updated_at)
            .map(Timestamp::millis),
    }
}

/// Reads an article with its content from a message.
pub fn decode(article: messages::Article) -> Result<Article, CodecError> {
    let id: ArticleId = article.id.parse().map_err(|_| CodecError::Field("id"))?;
    let author: UserId = article.author_id.parse().map_err(|_| CodecError::Field("author_id"))?;
    let state: State = article.state.parse().map_err(|_| CodecError::Field("state"))?;
    // Older programs do not say whose name the byline is: then it is the author's.
    let owner = match article.byline_of.as_deref() {
        None => Some(author),
        Some("") => None,
        Some(owner) => Some(owner.parse().map_err(|_| CodecError::Field("byline_of"))?),
    };
    if article.version == 0 {
        return Err(CodecError::Field("version"));
    }
    Ok(Article {
        id,
        section: article.section.parse().map_err(|_| CodecError::Field("section"))?,
        version: Version::new(article.version),
        state,
        slug: Slug::stored(article.slug),
        story: Story {
            title: article.title,
            description: article.description,
            content: article.content.ok_or(CodecError::Field("content"))?,
            tags: article.tags.into_iter().map(Label::stored).collect(),
            lang: article.lang,
            image: article.image,
            region: article.region,
        },
        byline: Byline::stored(article.author, owner),
        author,
        created_at: Timestamp::from_millis(article.created_at_ms),
        updated_at: Timestamp::from_millis(article.updated_at_ms),
        published_at: article.published_at_ms.map(Timestamp::from_millis),
        corrections: article.corrections.into_iter().map(decode_correction).collect::<Result<_, _>>()?,
        revised_at: Timestamp::from_millis(article.revised_at_ms.unwrap_or(article.updated_at_ms)),
        state_since: Timestamp::from_millis(article.state_since_ms.unwrap_or(article.updated_at_ms)),
        scheduled_at: article.scheduled_at_ms.map(Timestamp::from_millis),
        retraction: article.retraction.map(decode_retraction),
        review_note: article.review_note,
    })
}

/// Returns a correction as a message.
pub fn encode_correction(correction: &Correction) -> messages::Correction {
    messages::Correction {
        kind: correction.kind.to_string(),
        text: correction.text.clone(),
        at_ms: correction.at.millis(),
        version: correction.version.number(),
    }
}

fn decode_correction(correction: messages::Correction) -> Result<Correction, CodecError> {
    Ok(Correction {
        kind: correction.kind.parse().map_err(|_| CodecError::Field("corrections"))?,
        text: correction.text,
        at: Timestamp::from_millis(correction.at_ms),
        version: Version::new(correction.version),
    })
}

/// Returns the notice of a retraction as a message.
pub fn encode_retraction(retraction: &Retraction) -> messages::Retraction {
    messages::Retraction { reason: retraction.reason.clone(), at_ms: retraction.at.millis() }
}

fn decode_retraction(retraction: messages::Retraction) -> Retraction {
    Retraction { reason: retraction.reason, at: Timestamp::from_millis(retraction.at_ms) }
}
