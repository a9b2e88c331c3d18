use chassis::http::Caller;
use kernel::{ArticleId, Section, Version};

use super::{App, ArticleError};
use crate::domain::{Article, DiffPart, History, Proof, ProofSlice};
use crate::ports::Which;

impl App {
    /// Returns the history of an article before the version `before`, or the newest part of it, newest first.
    /// At most `limit` versions are examined.
    ///
    /// # Errors
    /// Fails with the refusal of the section (`not_found`, also for an article that the caller may not see),
    /// or if the section is unavailable.
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

    /// Returns an article as it was at a version or at a moment.
    ///
    /// # Errors
    /// Fails with the refusal of the section (`not_found`, also for an article that the caller may not see),
    /// or if the section is unavailable.
    pub async fn get_version(
        &self,
        section: Section,
        id: ArticleId,
        which: Which,
        caller: &Caller,
    ) -> Result<Article, ArticleError> {
        Ok(self.sections.version(section, id, which, caller.token.as_deref()).await?)
    }

    /// Returns a page of the hash chain of an article, the first version first.
    ///
    /// # Errors
    /// Fails with the refusal of the section (`not_found`, also for an article that the caller may not see),
    /// or if the section is unavailable.
    pub async fn get_proof(
        &self,
        section: Section,
        id: ArticleId,
        slice: ProofSlice,
        caller: &Caller,
    ) -> Result<Proof, ArticleError> {
        Ok(self.sections.proof(section, id, slice, caller.token.as_deref()).await?)
    }

    /// Compares two versions of an article word by word.
    ///
    /// # Errors
    /// Fails with the refusal of the section (`not_found`, also for an article that the caller may not see),
    /// or if the section is unavailable.
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
