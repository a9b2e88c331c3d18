use kernel::{ArticleId, Expected, FieldFault, Version};

use super::{App, NewsError, Writer};
use crate::domain::{Article, Command};

/// A way back to an older version.
#[derive(Debug, Clone)]
pub struct RestoreArticle {
    /// The article.
    pub id: ArticleId,
    /// The version that the writer has seen.
    pub expected: Expected,
    /// The version whose text comes back.
    pub version: Version,
}

impl App {
    /// Adds a version that says what an older one said. The article stays where it stands.
    pub async fn restore(&self, writer: Writer<'_>, restore: RestoreArticle) -> Result<Article, NewsError> {
        let RestoreArticle { id, expected, version } = restore;
        let at = self.clock.now();
        // A version never changes, so it may be read before anything is asked.
        let old = self.events.version(id, version).await?;
        self.change(writer, Command::Restore, id, &expected, |who, article| {
            // The state machine speaks before the fields do, as on a revision.
            article.restore(article, who.user, at)?;
            let missing = || FieldFault::new("/version", "not_found", "the article has no such version");
            let old = old.as_ref().ok_or_else(|| NewsError::Invalid(vec![missing()]))?;
            Ok(article.restore(old, who.user, at)?)
        })
        .await
    }
}
