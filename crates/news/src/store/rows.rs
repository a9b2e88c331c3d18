//! The rows of the event stores, the same for both SQL databases.

use chassis::StoreFailure;
use kernel::{ArticleId, Version};
use uuid::Uuid;

use super::record::{BylineColumns, read_event, read_link};
use crate::domain::{Article, ChainLink, Change};
use crate::ports::KeptAnswer;

/// A version of an article: its record, with the byline beside it.
#[derive(sqlx::FromRow)]
pub(super) struct VersionRow {
    record: String,
    #[sqlx(flatten)]
    byline: BylineColumns,
}

impl VersionRow {
    /// Reads the article.
    pub(super) fn article(self) -> Result<Article, StoreFailure> {
        Ok(self.change()?.article)
    }

    /// Reads the change that made this version.
    pub(super) fn change(self) -> Result<Change, StoreFailure> {
        read_event(&self.record, self.byline).map_err(StoreFailure::broken)
    }
}

/// A link of an article's chain. `V` is the integer of the database for versions.
#[derive(sqlx::FromRow)]
pub(super) struct LinkRow<V> {
    version: V,
    record: String,
    prev_hash: String,
    hash: String,
}

impl<V> LinkRow<V> {
    /// Reads the link.
    pub(super) fn link(self, version: impl Fn(V) -> Version) -> ChainLink {
        read_link(version(self.version), self.record, self.prev_hash, self.hash)
    }
}

/// The answer to a command that came under a key. `V` is the integer of the database for versions.
#[derive(sqlx::FromRow)]
pub(super) struct AnswerRow<V> {
    fingerprint: String,
    article: Uuid,
    version: V,
}

impl<V> AnswerRow<V> {
    /// Reads the answer.
    pub(super) fn answer(self, version: impl Fn(V) -> Version) -> KeptAnswer {
        KeptAnswer {
            fingerprint: self.fingerprint,
            article: ArticleId::new(self.article),
            version: version(self.version),
        }
    }
}
