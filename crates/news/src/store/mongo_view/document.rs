//! An article as a document.

use chassis::StoreFailure;
use mongodb::bson::{Document, doc};
use serde::Deserialize;

use super::select;
use crate::domain::{Article, placed_at};
use crate::store::record::{RecordError, read_document, write_document};

/// What is read of an article; the content is absent where it was not asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    byline: String,
    document: String,
    #[serde(default)]
    content: String,
}

impl Row {
    pub(super) fn article(self) -> Result<Article, StoreFailure> {
        read_document(&self.document, self.content, self.byline).map_err(broken)
    }
}

pub(super) fn broken(error: RecordError) -> StoreFailure {
    StoreFailure::broken(error)
}

/// An article as a document, but for its id.
pub(super) fn fields(article: &Article, erased: bool) -> Result<Document, StoreFailure> {
    let mut fields = doc! {
        "version": version(article),
        "state": article.state.as_str(),
        "published_at": article.published_at.map(select::moment),
        "author": key(article.author.uuid()),
        "byline": if erased { "" } else { article.byline.as_str() },
        "document": write_document(article).map_err(broken)?,
        "content": article.story.content.as_str(),
    };
    fields.extend(listed(article));
    Ok(fields)
}

/// What lists ask for and order by.
pub(super) fn listed(article: &Article) -> Document {
    doc! {
        "placed_at": select::moment(placed_at(article)),
        "updated_at": select::moment(article.updated_at),
        "labels": article.story.tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>(),
    }
}

/// What is read of an article.
pub(super) fn columns(with_content: bool) -> Document {
    let mut columns = doc! { "_id": 0, "byline": 1, "document": 1 };
    if with_content {
        columns.insert("content", 1);
    }
    columns
}

/// A UUID as text, which sorts as the UUIDs do. (FerretDB hands only texts and numbers on to its own database: with the
/// binary type every question for one article reads them all. Tried: 70 ms among 1,000 articles.)
pub(super) fn key(id: uuid::Uuid) -> String {
    id.hyphenated().to_string()
}

pub(super) fn version(article: &Article) -> i64 {
    i64::from(article.version.number())
}
