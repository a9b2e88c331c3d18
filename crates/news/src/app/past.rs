use std::sync::Arc;
use std::time::Duration;

use chassis::StoreFailure;
use kernel::{ArticleId, FieldFault, Identity, MAX_LIMIT, Timestamp, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{App, NewsError};
use crate::domain::{Article, Denied, DiffPart, Past, Step, diff, may_look_back};

/// How many comparisons of texts run at once.
pub(super) const COMPARING: usize = 2;
/// How long one more waits for its turn: most take a few milliseconds, the longest a quarter of a second.
const PATIENCE: Duration = Duration::from_millis(500);

/// What happened to an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The newest first; for readers without the versions that were not public.
    pub steps: Vec<Step>,
    /// Older ones are before this version; `None` where there are none.
    pub next: Option<Version>,
    /// The newest version of the article.
    pub newest: Version,
}

/// A version of an article.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// By its number.
    Version(Version),
    /// The newest one of a moment.
    At(Timestamp),
}

/// The past is read from the command side: it is there as soon as it was acknowledged.
impl App {
    /// What happened to an article before the version `before` (or ever), the newest first. At most `limit` versions are looked
    /// at, so a reader may get fewer and still be told where older ones are.
    pub async fn history(
        &self,
        who: Option<&Identity>,
        id: ArticleId,
        before: Option<Version>,
        limit: u32,
    ) -> Result<History, NewsError> {
        if !(1..=MAX_LIMIT).contains(&limit) {
            let why = format!("must be 1 to {MAX_LIMIT}");
            return Err(NewsError::Invalid(vec![FieldFault::new("/limit", "out_of_range", why)]));
        }
        let (now, past) = self.look_back(who, id).await?;
        let mut steps = self.events.steps(id, before, limit).await?;
        let next = steps.last().map(|oldest| oldest.version).filter(|oldest| *oldest > Version::FIRST);
        steps.retain(|step| past.shows(step.state));
        Ok(History { steps, next, newest: now.version })
    }

    /// An article as it was.
    pub async fn version(
        &self,
        who: Option<&Identity>,
        id: ArticleId,
        which: Which,
    ) -> Result<Article, NewsError> {
        let (now, past) = self.look_back(who, id).await?;
        let found = match which {
            Which::Version(version) if version == now.version => Some(now),
            Which::Version(version) => self.events.version(id, version).await?,
            Which::At(at) => self.at(now, at).await?,
        };
        Ok(found.filter(|article| past.shows(article.state)).ok_or(Denied::NotThere)?)
    }

    /// The words in which two versions differ.
    pub async fn compare(
        &self,
        who: Option<&Identity>,
        id: ArticleId,
        from: Version,
        to: Version,
    ) -> Result<Vec<DiffPart>, NewsError> {
        let old = self.version(who, id, Which::Version(from)).await?;
        let new = self.version(who, id, Which::Version(to)).await?;
        let gone = |error: &dyn std::fmt::Display| NewsError::Store(StoreFailure::broken(error.to_string()));
        let permit = turn(&self.comparing, PATIENCE).await?;
        // It can't be stopped once it has begun, so the permit goes with it; it ends by itself in less than a second.
        let work = tokio::task::spawn_blocking(move || {
            let _held = permit;
            diff(&old.story, &new.story)
        });
        work.await.map_err(|error| gone(&error))
    }

    /// The article as it is now, and how far back this asker may look.
    async fn look_back(&self, who: Option<&Identity>, id: ArticleId) -> Result<(Article, Past), NewsError> {
        let now = self.events.latest(id).await?.ok_or(Denied::NotThere)?;
        let past = may_look_back(who, &now).ok_or(Denied::NotThere)?;
        Ok((now, past))
    }

    /// The newest version of a moment. Times of versions never run backwards, so halving finds it: in 14 steps among 10,000.
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

/// A place among those that compare. Who would wait longer than `patience` is told to come back, while the request still has time.
async fn turn(places: &Arc<Semaphore>, patience: Duration) -> Result<OwnedSemaphorePermit, NewsError> {
    match tokio::time::timeout(patience, places.clone().acquire_owned()).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(closed)) => Err(NewsError::Store(StoreFailure::broken(closed.to_string()))),
        Err(_over) => Err(NewsError::Busy),
    }
}

#[cfg(test)]
mod tests {
    use kernel::{Fault, Kind};

    use super::*;

    #[tokio::test]
    async fn who_finds_no_place_to_compare_is_told_to_come_back() {
        let places = Arc::new(Semaphore::new(1));
        let held = turn(&places, Duration::from_millis(1)).await.expect("a place");
        let busy = turn(&places, Duration::from_millis(1)).await.expect_err("no place");
        assert_eq!((busy.kind(), busy.code().as_str()), (Kind::Unavailable, "busy"));
        assert!(busy.retry_after().is_some());
        drop(held);
        assert!(turn(&places, PATIENCE).await.is_ok(), "a place again");
    }
}
