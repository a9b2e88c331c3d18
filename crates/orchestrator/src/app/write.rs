use kernel::{ArticleId, Expected, Section, Version};

use super::{App, ArticleError, Asker};
use crate::domain::{Article, Change, Fields};

/// A write on an article that is there: which one, what the writer has seen of it, and who they are.
pub struct Write<'a> {
    /// The section.
    pub section: Section,
    /// The article.
    pub id: ArticleId,
    /// The version that the writer has seen.
    pub expected: Expected,
    /// Who writes.
    pub asker: &'a Asker,
}

impl App {
    /// A new draft in `section`; with `publish` it is public at once, or nothing is created.
    ///
    /// # Errors
    /// What the section said: fields that break its rules, a role that is not enough; or that it is away.
    pub async fn create_article(
        &self,
        section: Section,
        fields: Fields,
        publish: bool,
        asker: &Asker,
    ) -> Result<Article, ArticleError> {
        Ok(self.desks.create(section, fields, publish, asker.token()).await?)
    }

    /// A new version of an article; nothing is ever overwritten.
    ///
    /// # Errors
    /// What the section said: `stale_version`, `illegal_transition`, fields that break its rules; or that it is away.
    pub async fn revise_article(&self, write: Write<'_>, change: Change) -> Result<Article, ArticleError> {
        let Write { section, id, expected, asker } = write;
        Ok(self.desks.revise(section, id, &expected, change, asker.token()).await?)
    }

    /// Makes an article public.
    ///
    /// # Errors
    /// What the section said: `stale_version`, `illegal_transition`, `self_review`; or that it is away.
    pub async fn publish_article(&self, write: Write<'_>) -> Result<Article, ArticleError> {
        let Write { section, id, expected, asker } = write;
        Ok(self.desks.publish(section, id, &expected, asker.token()).await?)
    }

    /// Puts away an article that is not public; it can be brought back. The answer is its last version.
    ///
    /// # Errors
    /// What the section said: `stale_version`, `illegal_transition` for what is published; or that it is away.
    pub async fn delete_article(&self, write: Write<'_>) -> Result<Version, ArticleError> {
        let Write { section, id, expected, asker } = write;
        Ok(self.desks.delete(section, id, &expected, asker.token()).await?)
    }
}
