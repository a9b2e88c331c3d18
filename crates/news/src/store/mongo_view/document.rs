//! An article as a document.

use chassis::StoreFailure;
use kernel::{ArticleId, Label, nfc};
use mongodb::bson::{Document, doc};
use serde::Deserialize;
use uuid::Uuid;

use super::select;
use crate::domain::{Article, MAX_CONTENT_BYTES, placed_at};
use crate::store::record::{BylineColumns, RecordError, read_document, write_document};

/// What is read of an article; the content is absent where it was not asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    byline: String,
    /// Absent in articles of an older program: the byline is the author's.
    byline_of: Option<Owner>,
    document: String,
    #[serde(default)]
    content: String,
}

/// The account whose name a byline is: a UUID as text, or nothing at all for a byline that is text.
#[derive(Debug, Deserialize)]
struct Owner(String);

impl Owner {
    fn id(&self) -> Result<Uuid, StoreFailure> {
        if self.0.is_empty() { Ok(Uuid::nil()) } else { self.0.parse().map_err(StoreFailure::broken) }
    }
}

impl Row {
    pub(super) fn article(self) -> Result<Article, StoreFailure> {
        let owner = self.byline_of.map(|owner| owner.id()).transpose()?;
        read_document(&self.document, self.content, BylineColumns::new(self.byline, owner)).map_err(broken)
    }
}

/// How long the text of an article is; absent in what a program of an older form has written.
#[derive(Debug, Deserialize)]
pub(super) struct Size {
    #[serde(rename = "_id")]
    id: select::Id,
    content_bytes: Option<i64>,
}

impl Size {
    /// What is read for it.
    pub fn columns() -> Document {
        doc! { "content_bytes": 1 }
    }

    /// Returns the article and its size, the longest there can be if nobody has counted.
    pub fn of_article(&self) -> (ArticleId, u64) {
        let bytes = self.content_bytes.and_then(|bytes| u64::try_from(bytes).ok());
        (self.id.0, bytes.unwrap_or(MAX_CONTENT_BYTES as u64))
    }
}

/// The size of a text as it stands beside it. (The server could count, but FerretDB can't.)
pub(super) fn size(content: &str) -> i64 {
    i64::try_from(content.len()).unwrap_or(i64::MAX)
}

pub(super) fn broken(error: RecordError) -> StoreFailure {
    StoreFailure::broken(error)
}

/// An article as a document, but for its id.
pub(super) fn fields(article: &Article, erased: bool) -> Result<Document, StoreFailure> {
    let byline = if erased { "" } else { article.byline.as_str() };
    let mut fields = doc! {
        "version": version(article),
        "state": article.state.as_str(),
        "published_at": article.published_at.map(select::moment),
        "author": key(article.author.uuid()),
        "byline": byline,
        "byline_of": article.byline.owner().map_or_else(String::new, |owner| key(owner.uuid())),
        "document": write_document(article).map_err(broken)?,
        "content": article.story.content.as_str(),
        "content_bytes": size(&article.story.content),
    };
    fields.extend(listed(article));
    fields.extend(matched(byline));
    Ok(fields)
}

/// What lists ask for and order by.
pub(super) fn listed(article: &Article) -> Document {
    doc! {
        "placed_at": select::moment(placed_at(article)),
        "updated_at": select::moment(article.updated_at),
        "labels": article.story.tags.iter().map(Label::key).collect::<Vec<_>>(),
    }
}

/// What the byline is matched by.
pub(super) fn matched(byline: &str) -> Document {
    doc! { "byline_key": nfc(byline).as_ref() }
}

/// What is read of an article.
pub(super) fn columns(with_content: bool) -> Document {
    let mut columns = doc! { "_id": 0, "byline": 1, "byline_of": 1, "document": 1 };
    if with_content {
        columns.insert("content", 1);
    }
    columns
}

/// A UUID as text, which sorts as the UUIDs do. (FerretDB hands only texts and numbers on to its own database: with the
/// binary type every question for one article reads them all. Tried: 70 ms among 1,000 articles.)
pub(super) fn key(id: Uuid) -> String {
    id.hyphenated().to_string()
}

pub(super) fn version(article: &Article) -> i64 {
    i64::from(article.version.number())
}
