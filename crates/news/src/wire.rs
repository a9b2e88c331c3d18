//! The article as it stands in messages, and back.

use bus::Envelope;
use kernel::{ArticleId, Label, MessageId, Timestamp, Trace, UserId, Version};
use prost::Message;
use proto::news::v1 as wire;

use crate::domain::{Article, Byline, Change, Correction, Event, Slug, State, Story};

/// The message is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It can't be decoded.
    #[error("the message can't be decoded")]
    Undecodable,
    /// A field is missing or holds what no such field can.
    #[error("the message has no valid {0}")]
    Field(&'static str),
}

/// The message that tells of a change: `news.<section>.<event>` with the full snapshot.
pub fn announcement(change: &Change, id: MessageId, trace: Trace) -> Envelope {
    let article = &change.article;
    let told = Some(wire::Change {
        article: Some(encode(article, true)),
        by: change.by.to_string(),
        at_ms: article.updated_at.millis(),
        from_version: change.from.map(Version::number),
    });
    let (name, body) = match change.event {
        Event::Drafted => ("ArticleDrafted", wire::ArticleDrafted { change: told }.encode_to_vec()),
        Event::Edited => ("ArticleEdited", wire::ArticleEdited { change: told }.encode_to_vec()),
        Event::Published => ("ArticlePublished", wire::ArticlePublished { change: told }.encode_to_vec()),
        Event::Updated => ("ArticleUpdated", wire::ArticleUpdated { change: told }.encode_to_vec()),
        Event::Deleted => ("ArticleDeleted", wire::ArticleDeleted { change: told }.encode_to_vec()),
        Event::Unpublished => {
            ("ArticleUnpublished", wire::ArticleUnpublished { change: told }.encode_to_vec())
        }
        Event::Undeleted => ("ArticleUndeleted", wire::ArticleUndeleted { change: told }.encode_to_vec()),
        Event::Restored => ("ArticleRestored", wire::ArticleRestored { change: told }.encode_to_vec()),
    };
    Envelope {
        id,
        kind: format!("portal.news.v1.{name}"),
        key: format!("news.{}.{}", article.section, change.event),
        source: article.section.service().to_owned(),
        subject: article.id.to_string(),
        version: article.version.number(),
        time: article.updated_at,
        trace,
        body: body.into(),
    }
}

/// The article that any announcement tells of. All of them have one form, so one that a newer program sends under a
/// new name is understood too.
pub fn announced(body: &[u8]) -> Result<Article, WireError> {
    let message = wire::ArticleUpdated::decode(body).map_err(|_| WireError::Undecodable)?;
    let change = message.change.ok_or(WireError::Field("change"))?;
    decode(change.article.ok_or(WireError::Field("article"))?)
}

/// The article as a message; the content only if it is asked for.
pub fn encode(article: &Article, with_content: bool) -> wire::Article {
    let correction = |each: &Correction| wire::Correction {
        kind: each.kind.clone(),
        text: each.text.clone(),
        at_ms: each.at.millis(),
        version: each.version.number(),
    };
    let story = &article.story;
    wire::Article {
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
        corrections: article.corrections.iter().map(correction).collect(),
    }
}

/// Reads a full article from a message.
pub fn decode(article: wire::Article) -> Result<Article, WireError> {
    let id: ArticleId = article.id.parse().map_err(|_| WireError::Field("id"))?;
    let author: UserId = article.author_id.parse().map_err(|_| WireError::Field("author_id"))?;
    let state: State = article.state.parse().map_err(|_| WireError::Field("state"))?;
    // Older programs do not say whose name the byline is: then it goes with its author.
    let owner = match article.byline_of.as_deref() {
        None => Some(author),
        Some("") => None,
        Some(owner) => Some(owner.parse().map_err(|_| WireError::Field("byline_of"))?),
    };
    let correction = |each: wire::Correction| Correction {
        kind: each.kind,
        text: each.text,
        at: Timestamp::from_millis(each.at_ms),
        version: Version::new(each.version),
    };
    if article.version == 0 {
        return Err(WireError::Field("version"));
    }
    Ok(Article {
        id,
        section: article.section.parse().map_err(|_| WireError::Field("section"))?,
        version: Version::new(article.version),
        state,
        slug: Slug::stored(article.slug),
        story: Story {
            title: article.title,
            description: article.description,
            content: article.content.ok_or(WireError::Field("content"))?,
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
        corrections: article.corrections.into_iter().map(correction).collect(),
    })
}
