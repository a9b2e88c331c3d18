use std::sync::Arc;
use std::time::Duration;

use chassis::StoreFailure;
use kernel::{ArticleId, FieldFault, Identity, MAX_LIMIT, Timestamp, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{App, NewsError};
use crate::domain::{AccessDenied, Article, DiffPart, HistoryPage, VisibleVersions, diff, may_look_back};

/// The most comparisons of texts at a time.
pub(super) const COMPARING: usize = 2;
/// The longest wait of a further comparison. Most take a few milliseconds, the longest a quarter of a second.
const PATIENCE: Duration = Duration::from_millis(500);

/// A page of the history of an article, with its newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The page. For readers, only versions that were public.
    pub page: HistoryPage,
    /// The newest version of the article.
    pub newest: Version,
}

/// A version of an article.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// By its number.
    Version(Version),
    /// The newest version at a time.
    At(Timestamp),
}

/// The past is read from the command side: a version is there as soon as it was acknowledged.
impl App {
    /// Returns the history of an article before the version `before` (or all of it), the newest version
    /// first. It looks at no more than `limit` versions, so a reader may get fewer entries although there are
    /// older ones.
    pub async fn history(
        &self,
        who: Option<&Identity>,
        id: ArticleId,
        before: Option<Version>,
        limit: u32,
    ) -> Result<History, NewsError> {
        if !(1..=MAX_LIMIT).contains(&limit) {
            let why = format!("must be between 1 and {MAX_LIMIT}, got {limit}");
            return Err(NewsError::Invalid(vec![FieldFault::new("/limit", "out_of_range", why)]));
        }
        let (now, visible) = self.look_back(who, id).await?;
        let page = self.events.history(id, visible, before, limit).await?;
        Ok(History { page, newest: now.version })
    }

    /// Returns an article at an older version or an earlier time.
    pub async fn version(
        &self,
        who: Option<&Identity>,
        id: ArticleId,
        which: Which,
    ) -> Result<Article, NewsError> {
        let (now, visible) = self.look_back(who, id).await?;
        let found = match which {
            Which::Version(version) if version == now.version => Some(now),
            Which::Version(version) => self.events.version(id, version).await?,
            Which::At(at) => self.at(now, at).await?,
        };
        Ok(found.filter(|article| visible.shows(article.state)).ok_or(AccessDenied::NotThere)?)
    }

    /// Returns the words in which two versions differ.
    pub async fn compare(
        &self,
        who: Option<&Identity>,
        id: ArticleId,
        from: Version,
        to: Version,
    ) -> Result<Vec<DiffPart>, NewsError> {
        let old = self.version(who, id, Which::Version(from)).await?;
        let new = self.version(who, id, Which::Version(to)).await?;
        let permit = acquire(&self.comparing, PATIENCE).await?;
        // A comparison can't be stopped once it has begun, so it takes the permit along. It ends in less than
        // a second.
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            diff(&old.story, &new.story)
        });
        work.await.map_err(|error| StoreFailure::broken(error.to_string()).into())
    }

    /// Returns the newest version of an article, and which versions the caller may see.
    pub(super) async fn look_back(
        &self,
        who: Option<&Identity>,
        id: ArticleId,
    ) -> Result<(Article, VisibleVersions), NewsError> {
        let now = self.events.latest(id).await?.ok_or(AccessDenied::NotThere)?;
        let visible = may_look_back(who, &now)?;
        Ok((now, visible))
    }

    /// Returns the newest version at a time. The times of versions never go backwards, so a binary search
    /// finds it: in 14 steps among 10,000 versions.
    async fn at(&self, now: Article, at: Timestamp) -> Result<Option<Article>, NewsError> {
        if now.updated_at <= at {
            return Ok(Some(now));
        }
        let (mut found, mut first, mut last) = (None, 1, now.version.number() - 1);
        while first <= last {
            let middle = first + (last - first) / 2;
            match self.events.version(now.id, Version::new(middle)).await? {
                Some(article) if article.updated_at <= at => {
                    found = Some(article);
                    first = middle + 1;
                }
                _ => last = middle - 1,
            }
        }
        Ok(found)
    }
}

/// Acquires a permit to compare. After `patience` the request is refused, so that it still has time to
/// answer.
async fn acquire(permits: &Arc<Semaphore>, patience: Duration) -> Result<OwnedSemaphorePermit, NewsError> {
    match tokio::time::timeout(patience, permits.clone().acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(closed)) => Err(NewsError::Store(StoreFailure::broken(closed.to_string()))),
        Err(_over) => Err(NewsError::Busy),
    }
}

#[cfg(test)]
mod tests {
    use kernel::{Fault, Kind};

    use super::*;

    #[tokio::test]
    async fn a_comparison_without_a_permit_is_refused_for_the_moment() {
        let permits = Arc::new(Semaphore::new(1));
        let permit = acquire(&permits, Duration::from_millis(1)).await.expect("a permit");
        let busy = acquire(&permits, Duration::from_millis(1)).await.expect_err("no permit");
        assert_eq!((busy.kind(), busy.code().as_str()), (Kind::Unavailable, "busy"));
        assert!(busy.retry_after().is_some());
        drop(permit);
        assert!(acquire(&permits, PATIENCE).await.is_ok(), "a permit again");
    }
}
