use chassis::http::Caller;
use kernel::{ArticleId, Section, Version};

use super::{App, ArticleError};
use crate::domain::{Article, DiffPart, History};
use crate::ports::Which;

impl App {
    /// What happened to an article before the version `before` (or ever), the newest first; at most `limit` versions are looked at.
    ///
    /// # Errors
    /// What the section said: `not_found` also for what the caller may not see; or that it is away.
    pub async fn get_history(
        &self,
        section: Section,
        id: ArticleId,
        before: Option<Version>,
        limit: u32,
        caller: &Caller,
    ) -> Result<History, ArticleError> {
        Ok(self.sections.history(section, id, before, limit, caller.token.as_deref()).await?)
    }

    /// An article as it was.
    ///
    /// # Errors
    /// What the section said: `not_found` also for what the caller may not see; or that it is away.
    pub async fn get_version(
        &self,
        section: Section,
        id: ArticleId,
        which: Which,
        caller: &Caller,
    ) -> Result<Article, ArticleError> {
        Ok(self.sections.version(section, id, which, caller.token.as_deref()).await?)
    }

    /// The words in which two versions differ.
    ///
    /// # Errors
    /// What the section said: `not_found` also for what the caller may not see; or that it is away.
    pub async fn get_diff(
        &self,
        section: Section,
        id: ArticleId,
        from: Version,
        to: Version,
        caller: &Caller,
    ) -> Result<Vec<DiffPart>, ArticleError> {
        Ok(self.sections.diff(section, id, from, to, caller.token.as_deref()).await?)
    }
}
