//! Events and articles as the stores contain them: JSON whose form has a number, and whose text is kept
//! exactly.
//!
//! A form that was ever stored can be read forever. A new form gets the next number and a reader of its own,
//! and the golden files of the old forms (`tests/golden`) stay as they are. Optional fields may be added.

use kernel::{ArticleId, Label, Section, Timestamp, UserId, Version};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{
    Article, Byline, ChainLink, Change, Correction, Event, RecordHead, Retraction, Slug, State, Story,
    UnknownName,
};

/// The form in which events are written.
const FORM: u32 = 1;

/// The reason why a stored record can't be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The text is not a record.
    #[error("the record is not JSON of the expected form")]
    Json(#[from] serde_json::Error),
    /// A newer program wrote it.
    #[error("the record has form {0}, which this program does not know")]
    Form(u32),
    /// A newer program wrote it.
    #[error(transparent)]
    Name(#[from] UnknownName),
    /// A part is missing.
    #[error("the record has no {0}")]
    Value(&'static str),
}

#[derive(Deserialize)]
struct Form {
    form: u32,
}

/// An event, form 1. The order of the fields is the order in the text, which is hashed: it never changes.
#[derive(Serialize, Deserialize)]
struct EventRecord {
    form: u32,
    event: String,
    by: UserId,
    article: ArticleRecord,
    // The version whose text came back, only for `restored`. It is absent in all other events, so that their
    // text stays the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<Version>,
    // A random value that makes the hash unguessable. It came later, so it is absent in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<Uuid>,
}

/// An article without its byline: the byline can be a person's name, and the record can't be changed when the
/// person is erased.
#[derive(Serialize, Deserialize)]
struct ArticleRecord {
    id: ArticleId,
    section: Section,
    version: Version,
    state: String,
    slug: String,
    title: String,
    description: Option<String>,
    // Absent in the documents of the view. There the content has a column of its own, so that lists need not
    // read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    tags: Vec<String>,
    lang: Option<String>,
    image: Option<String>,
    region: Option<String>,
    author_id: UserId,
    created_at: Timestamp,
    updated_at: Timestamp,
    published_at: Option<Timestamp>,
    corrections: Vec<CorrectionRecord>,
    // The rest came later. Each is absent if it has nothing to say, so that the text of all other records
    // stays the same.
    /// Absent: `updated_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revised_at: Option<Timestamp>,
    /// Absent: `updated_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scheduled_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retraction: Option<RetractionRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    review_note: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct RetractionRecord {
    reason: String,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct CorrectionRecord {
    kind: String,
    text: String,
    at: Timestamp,
    version: Version,
}

/// Returns the text of an event, as it is stored and hashed.
pub fn write_event(change: &Change) -> Result<String, RecordError> {
    let article = article_record(&change.article, Some(change.article.story.content.clone()));
    let event = change.event.to_string();
    let (by, from, nonce) = (change.by, change.from, change.nonce);
    let record = EventRecord { form: FORM, event, by, article, from, nonce };
    Ok(serde_json::to_string(&record)?)
}

/// A byline, which is stored beside a record.
#[derive(Debug, Default, sqlx::FromRow)]
pub struct BylineColumns {
    byline: String,
    /// The account whose name it is; the nil id for a text. It is absent in older views: then the byline is
    /// the author's.
    byline_of: Option<Uuid>,
}

impl BylineColumns {
    /// Wraps the columns of a byline.
    pub fn new(byline: String, byline_of: Option<Uuid>) -> Self {
        Self { byline, byline_of }
    }

    /// Returns the id that is stored for the owner of a byline.
    pub fn owner_of(byline: &Byline) -> Uuid {
        byline.owner().map_or(Uuid::nil(), UserId::uuid)
    }

    fn byline(self, author: UserId) -> Byline {
        let owner = self.byline_of.map_or(author, UserId::new);
        Byline::stored(self.byline, Some(owner).filter(|owner| !owner.uuid().is_nil()))
    }
}

/// Reads an event of any form that was ever stored, with the byline that is stored beside it.
pub fn read_event(text: &str, byline: BylineColumns) -> Result<Change, RecordError> {
    let Form { form } = serde_json::from_str(text)?;
    if form != FORM {
        return Err(RecordError::Form(form));
    }
    let record: EventRecord = serde_json::from_str(text)?;
    let event: Event = record.event.parse()?;
    let mut record_article = record.article;
    let content = record_article.content.take().ok_or(RecordError::Value("content"))?;
    let article = article(record_article, content, byline)?;
    Ok(Change { event, by: record.by, article, from: record.from, nonce: record.nonce })
}

/// Returns a stored link of an article's chain, with what its record says of itself.
pub fn read_link(version: Version, record: String, prev_hash: String, hash: String) -> ChainLink {
    let head = read_event(&record, BylineColumns::default()).ok().map(|change| RecordHead {
        id: change.article.id,
        version: change.article.version,
        state: change.article.state,
        has_nonce: change.nonce.is_some(),
    });
    ChainLink { version, record, prev_hash, hash, head }
}

/// Returns the document of an article in a view: everything except its content and its byline.
pub fn write_document(article: &Article) -> Result<String, RecordError> {
    Ok(serde_json::to_string(&article_record(article, None))?)
}

/// Reads a document of a view, with the content and the byline that are stored beside it.
pub fn read_document(text: &str, content: String, byline: BylineColumns) -> Result<Article, RecordError> {
    article(serde_json::from_str(text)?, content, byline)
}

fn article_record(article: &Article, content: Option<String>) -> ArticleRecord {
    let correction = |each: &Correction| CorrectionRecord {
        kind: each.kind.to_string(),
        text: each.text.clone(),
        at: each.at,
        version: each.version,
    };
    let retraction = |notice: &Retraction| RetractionRecord { reason: notice.reason.clone(), at: notice.at };
    let story = &article.story;
    ArticleRecord {
        id: article.id,
        section: article.section,
        version: article.version,
        state: article.state.to_string(),
        slug: article.slug.to_string(),
        title: story.title.clone(),
        description: story.description.clone(),
        content,
        tags: story.tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
        lang: story.lang.clone(),
        image: story.image.clone(),
        region: story.region.clone(),
        author_id: article.author,
        created_at: article.created_at,
        updated_at: article.updated_at,
        published_at: article.published_at,
        corrections: article.corrections.iter().map(correction).collect(),
        revised_at: Some(article.revised_at).filter(|at| *at != article.updated_at),
        state_since: Some(article.state_since).filter(|since| *since != article.updated_at),
        scheduled_at: article.scheduled_at,
        retraction: article.retraction.as_ref().map(retraction),
        review_note: article.review_note.clone(),
    }
}

fn article(record: ArticleRecord, content: String, byline: BylineColumns) -> Result<Article, RecordError> {
    let state: State = record.state.parse()?;
    let correction = |each: CorrectionRecord| -> Result<Correction, UnknownName> {
        let kind = each.kind.parse()?;
        Ok(Correction { kind, text: each.text, at: each.at, version: each.version })
    };
    Ok(Article {
        id: record.id,
        section: record.section,
        version: record.version,
        state,
        slug: Slug::stored(record.slug),
        story: Story {
            title: record.title,
            description: record.description,
            content,
            tags: record.tags.into_iter().map(Label::stored).collect(),
            lang: record.lang,
            image: record.image,
            region: record.region,
        },
        byline: byline.byline(record.author_id),
        author: record.author_id,
        created_at: record.created_at,
        updated_at: record.updated_at,
        published_at: record.published_at,
        corrections: record.corrections.into_iter().map(correction).collect::<Result<_, _>>()?,
        revised_at: record.revised_at.unwrap_or(record.updated_at),
        state_since: record.state_since.unwrap_or(record.updated_at),
        scheduled_at: record.scheduled_at,
        retraction: record.retraction.map(|notice| Retraction { reason: notice.reason, at: notice.at }),
        review_note: record.review_note,
    })
}
