//! Articles as documents.

use chassis::StoreFailure;
use kernel::{ArticleId, Label, nfc};
use mongodb::bson::{Document, doc};
use serde::Deserialize;
use uuid::Uuid;

use super::values::{StoredId, key, moment, version};
use crate::domain::{Article, MAX_CONTENT_BYTES, due_at, placed_at};
use crate::store::record::{BylineColumns, RecordError, read_document, write_document};

/// The members of a document that make up an article. The content is empty if it was not requested.
#[derive(Debug, Deserialize)]
pub(super) struct ArticleRow {
    byline: String,
    /// Absent in articles of an older program: the byline is the author's.
    byline_of: Option<Owner>,
    document: String,
    #[serde(default)]
    content: String,
}

/// The account whose name a byline is: a UUID as text, or an empty text for a byline that is text.
#[derive(Debug, Deserialize)]
struct Owner(String);

impl Owner {
    fn id(&self) -> Result<Uuid, StoreFailure> {
        if self.0.is_empty() { Ok(Uuid::nil()) } else { self.0.parse().map_err(StoreFailure::broken) }
    }
}

impl ArticleRow {
    /// Reads the article.
    pub(super) fn article(self) -> Result<Article, StoreFailure> {
        let owner = self.byline_of.map(|owner| owner.id()).transpose()?;
        read_document(&self.document, self.content, BylineColumns::new(self.byline, owner)).map_err(broken)
    }
}

/// The size of the text of an article. It is absent in documents of an older form.
#[derive(Debug, Deserialize)]
pub(super) struct SizeRow {
    #[serde(rename = "_id")]
    id: StoredId,
    content_bytes: Option<i64>,
}

impl SizeRow {
    /// Returns the projection that reads it.
    pub fn columns() -> Document {
        doc! { "content_bytes": 1 }
    }

    /// Returns the article and its size. A size that was never counted is the greatest possible one.
    pub fn of_article(&self) -> (ArticleId, u64) {
        let bytes = self.content_bytes.and_then(|bytes| u64::try_from(bytes).ok());
        (self.id.0, bytes.unwrap_or(MAX_CONTENT_BYTES as u64))
    }
}

/// Returns the size of a text, which is stored beside it. (The server could count, but FerretDB can't.)
pub(super) fn size(content: &str) -> i64 {
    i64::try_from(content.len()).unwrap_or(i64::MAX)
}

pub(super) fn broken(error: RecordError) -> StoreFailure {
    StoreFailure::broken(error)
}

/// Returns the members of an article's document, except its id.
pub(super) fn fields(article: &Article, erased: bool) -> Result<Document, StoreFailure> {
    let byline = if erased { "" } else { article.byline.as_str() };
    let mut fields = doc! {
        "version": version(article),
        "state": article.state.as_str(),
        "published_at": article.published_at.map(moment),
        "author": key(article.author.uuid()),
        "byline": byline,
        "byline_of": article.byline.owner().map_or_else(String::new, |owner| key(owner.uuid())),
        "document": write_document(article).map_err(broken)?,
        "content": article.story.content.as_str(),
        "content_bytes": size(&article.story.content),
    };
    fields.extend(listed(article));
    fields.extend(waiting(article));
    fields.extend(matched(byline));
    Ok(fields)
}

/// Returns the members by which lists filter and sort.
pub(super) fn listed(article: &Article) -> Document {
    doc! {
        "placed_at": moment(placed_at(article)),
        "updated_at": moment(article.updated_at),
        "labels": article.story.tags.iter().map(Label::key).collect::<Vec<_>>(),
    }
}

/// Returns the members by which lists of work filter and sort.
pub(super) fn waiting(article: &Article) -> Document {
    doc! {
        "state_since": moment(article.state_since),
        "scheduled_at": moment(due_at(article)),
        "returned": article.review_note.is_some(),
    }
}

/// Returns the members by which bylines are compared.
pub(super) fn matched(byline: &str) -> Document {
    doc! { "byline_key": nfc(byline).as_ref() }
}

/// Returns the projection that reads an [`ArticleRow`].
pub(super) fn columns(with_content: bool) -> Document {
    let mut columns = doc! { "_id": 0, "byline": 1, "byline_of": 1, "document": 1 };
    if with_content {
        columns.insert("content", 1);
    }
    columns
}
