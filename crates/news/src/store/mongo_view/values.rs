//! Values as the documents of a view contain them.

use kernel::{ArticleId, Timestamp};
use mongodb::bson::DateTime;
use serde::{Deserialize, Deserializer, de};
use uuid::Uuid;

use crate::domain::Article;

/// Returns a UUID as text, which sorts as the UUIDs do. (FerretDB passes only texts and numbers on to its own
/// database: with the binary type, every query for one article reads all of them. Measured: 70 ms among 1,000
/// articles.)
pub(super) fn key(id: Uuid) -> String {
    id.hyphenated().to_string()
}

/// Returns the version of an article as a number of the database.
pub(super) fn version(article: &Article) -> i64 {
    i64::from(article.version.number())
}

/// Returns a time as a date of the database.
pub(super) fn moment(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.millis())
}

/// The id of an article, which a view contains as text.
#[derive(Debug)]
pub(super) struct StoredId(pub ArticleId);

impl<'de> Deserialize<'de> for StoredId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| de::Error::custom("the id is not a UUID"))
    }
}
