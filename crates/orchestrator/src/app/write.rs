use chassis::http::Caller;
use kernel::{ArticleId, Expected, Section, Version};

use super::{App, ArticleError};
use crate::domain::{Article, Change, Fields};
use crate::ports::{Done, Giver};

/// A write on an article that is there: which one, what the writer has seen of it, and who they are.
pub struct Write<'a> {
    /// The section.
    pub section: Section,
    /// The article.
    pub id: ArticleId,
    /// The version that the writer has seen.
    pub expected: Expected,
    /// The writer.
    pub caller: &'a Caller,
    /// The key under which the client sent it, if under any.
    pub key: Option<&'a str>,
}

impl Write<'_> {
    fn giver(&self) -> Giver<'_> {
        giver(self.caller, self.key)
    }
}

fn giver<'a>(caller: &'a Caller, key: Option<&'a str>) -> Giver<'a> {
    Giver { token: caller.token.as_deref(), key }
}

impl App {
    /// Whoever wrote here reads what they wrote here at once; other processes hear of it from the section a moment later.
    fn heard(&self, done: Done<Article>) -> Done<Article> {
        let article = &done.value;
        self.shelf.announced(article.section, article.id, article.version);
        done
    }

    /// A new draft in `section`; with `publish` it is public at once, or nothing is created.
    ///
    /// # Errors
    /// What the section said: fields that break its rules, a role that is not enough; or that it is away.
    pub async fn create_article(
        &self,
        section: Section,
        fields: Fields,
        publish: bool,
        caller: &Caller,
        key: Option<&str>,
    ) -> Result<Done<Article>, ArticleError> {
        Ok(self.heard(self.desks.create(section, fields, publish, giver(caller, key)).await?))
    }

    /// A new version of an article; nothing is ever overwritten.
    ///
    /// # Errors
    /// What the section said: `stale_version`, `illegal_transition`, fields that break its rules; or that it is away.
    pub async fn revise_article(
        &self,
        write: Write<'_>,
        change: Change,
    ) -> Result<Done<Article>, ArticleError> {
        Ok(self
            .heard(self.desks.revise(write.section, write.id, &write.expected, change, write.giver()).await?))
    }

    /// Makes an article public.
    ///
    /// # Errors
    /// What the section said: `stale_version`, `illegal_transition`, `self_review`; or that it is away.
    pub async fn publish_article(&self, write: Write<'_>) -> Result<Done<Article>, ArticleError> {
        Ok(self.heard(self.desks.publish(write.section, write.id, &write.expected, write.giver()).await?))
    }

    /// Puts away an article that is not public; it can be brought back. The answer is its last version.
    ///
    /// # Errors
    /// What the section said: `stale_version`, `illegal_transition` for what is published; or that it is away.
    pub async fn delete_article(&self, write: Write<'_>) -> Result<Done<Version>, ArticleError> {
        Ok(self.desks.delete(write.section, write.id, &write.expected, write.giver()).await?)
    }

    /// Takes a published article back from readers; it may be published again.
    ///
    /// # Errors
    /// What the section said: `stale_version`, `illegal_transition`; or that it is away.
    pub async fn unpublish_article(&self, write: Write<'_>) -> Result<Done<Article>, ArticleError> {
        Ok(self.heard(self.desks.unpublish(write.section, write.id, &write.expected, write.giver()).await?))
    }

    /// A new version that says what the version `old` said.
    ///
    /// # Errors
    /// What the section said: `stale_version`, `illegal_transition`, no such version; or that it is away.
    pub async fn restore_article(
        &self,
        write: Write<'_>,
        old: Version,
    ) -> Result<Done<Article>, ArticleError> {
        Ok(self
            .heard(self.desks.restore(write.section, write.id, &write.expected, old, write.giver()).await?))
    }

    /// Brings back what was put away, to where it stood.
    ///
    /// # Errors
    /// What the section said: `stale_version`, `illegal_transition`; or that it is away.
    pub async fn undelete_article(&self, write: Write<'_>) -> Result<Done<Article>, ArticleError> {
        Ok(self.heard(self.desks.undelete(write.section, write.id, &write.expected, write.giver()).await?))
    }
}
