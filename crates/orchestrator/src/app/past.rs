use kernel::{ArticleId, Section, Version};

use super::{App, ArticleError, Asker};
use crate::domain::{Article, DiffPart, History};
use crate::ports::Which;

impl App {
    /// What happened to an article before the version `before` (or ever), the newest first; at most `limit` versions are looked at.
    ///
    /// # Errors
    /// What the section said: `not_found` also for what the asker may not see; or that it is away.
    pub async fn get_history(
        &self,
        section: Section,
        id: ArticleId,
        before: Option<Version>,
        limit: u32,
        asker: &Asker,
    ) -> Result<History, ArticleError> {
        Ok(self.desks.history(section, id, before, limit, asker.token()).await?)
    }

    /// An article as it was.
    ///
    /// # Errors
    /// What the section said: `not_found` also for what the asker may not see; or that it is away.
    pub async fn get_version(
        &self,
        section: Section,
        id: ArticleId,
        which: Which,
        asker: &Asker,
    ) -> Result<Article, ArticleError> {
        Ok(self.desks.version(section, id, which, asker.token()).await?)
    }

    /// The words in which two versions differ.
    ///
    /// # Errors
    /// What the section said: `not_found` also for what the asker may not see; or that it is away.
    pub async fn get_diff(
        &self,
        section: Section,
        id: ArticleId,
        from: Version,
        to: Version,
        asker: &Asker,
    ) -> Result<Vec<DiffPart>, ArticleError> {
        Ok(self.desks.diff(section, id, from, to, asker.token()).await?)
    }
}
