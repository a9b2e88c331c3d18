use std::time::Duration;

use chassis::Context;
use kernel::{ArticleId, Identity, Version};

use super::{App, NewsError};
use crate::domain::{Article, Denied, may_see};

/// How often a waiting reader looks by itself: another replica may have projected, and its wake-up does not come here.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// What is left of the caller's time for telling it that it waited in vain.
const TO_ANSWER: Duration = Duration::from_millis(50);

impl App {
    /// An article, for those who may see it: to all others it is not there.
    ///
    /// With `min_version` it waits for the projection of what was written, up to the configured time and never beyond the deadline of the
    /// request, and then fails as [`NewsError::NotYetProjected`].
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
        Ok(article.filter(|article| may_see(who, article)).ok_or(Denied::NotThere)?)
    }

    async fn get_since(
        &self,
        who: Option<&Identity>,
        id: ArticleId,
        version: Version,
    ) -> Result<Option<Article>, NewsError> {
        // Subscribed before the first look: nothing can be projected unseen between the two.
        let mut projected = self.projected.subscribe();
        let new_enough = |article: &Article| article.version >= version;
        if let Some(article) = self.view.get(id).await?.filter(new_enough) {
            return Ok(Some(article));
        }
        // Whoever may not see it must not learn from a wait that it is there.
        let Some(latest) = self.events.latest(id).await?.filter(|article| may_see(who, article)) else {
            return Ok(None);
        };
        // Nobody has written it yet: nothing is on its way, and a wait would only hold a place.
        if latest.version < version {
            return Err(NewsError::NotYetProjected);
        }
        let left = Context::current().deadline.left().saturating_sub(TO_ANSWER);
        let wait = kernel::Deadline::after(left.min(self.patience));
        while !wait.left().is_zero() {
            // An elapsed pause is as good as a wake-up: both lead to the next look.
            let _ = tokio::time::timeout(wait.left().min(LOOK_AGAIN), projected.changed()).await;
            if let Some(article) = self.view.get(id).await?.filter(new_enough) {
                return Ok(Some(article));
            }
        }
        Err(NewsError::NotYetProjected)
    }
}
