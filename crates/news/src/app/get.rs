use std::time::Duration;

use chassis::Context;
use kernel::{ArticleId, Identity, Version};

use super::{App, NewsError};
use crate::domain::{AccessDenied, Article, may_see};

/// The interval in which a waiting reader looks at the view: another replica may have projected the version,
/// and its wake-up does not arrive here.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The rest of the caller's time that is kept for the answer after a wait in vain.
const TO_ANSWER: Duration = Duration::from_millis(50);

impl App {
    /// Returns an article, if the caller may see it. For all other callers it does not exist.
    ///
    /// With `min_version` it waits for the projection of that version, up to the configured time and never
    /// beyond the deadline of the request.
    ///
    /// # Errors
    /// [`NewsError::NotYetProjected`], if the version does not come in time.
    pub async fn get(
        &self,
        who: Option<&Identity>,
        id: ArticleId,
        min_version: Option<Version>,
    ) -> Result<Article, NewsError> {
        let article = match min_version {
            None => self.view.get(id).await?,
            Some(version) => self.get_since(who, id, version).await?,
        };
        let article = article.ok_or(AccessDenied::NotThere)?;
        may_see(who, &article)?;
        Ok(article)
    }

    async fn get_since(
        &self,
        who: Option<&Identity>,
        id: ArticleId,
        version: Version,
    ) -> Result<Option<Article>, NewsError> {
        // Subscribed before the first look, so that no projection between the two is missed.
        let mut projected = self.projected.subscribe();
        let new_enough = |article: &Article| article.version >= version;
        if let Some(article) = self.view.get(id).await?.filter(new_enough) {
            return Ok(Some(article));
        }
        // A wait would reveal the article to a caller who may not see it.
        let Some(latest) = self.events.latest(id).await? else { return Ok(None) };
        may_see(who, &latest)?;
        // The version is not written yet, so no projection is on its way.
        if latest.version < version {
            return Err(NewsError::NotYetProjected);
        }
        let left = Context::current().deadline.left().saturating_sub(TO_ANSWER);
        let wait = kernel::Deadline::after(left.min(self.patience));
        while !wait.left().is_zero() {
            // After the pause and after a wake-up the next step is the same: another look.
            let _ = tokio::time::timeout(wait.left().min(LOOK_AGAIN), projected.changed()).await;
            if let Some(article) = self.view.get(id).await?.filter(new_enough) {
                return Ok(Some(article));
            }
        }
        Err(NewsError::NotYetProjected)
    }
}
