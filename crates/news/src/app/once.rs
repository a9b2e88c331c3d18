use std::collections::HashSet;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kernel::{Fault, Timestamp, UserId};

use super::{App, NewsError};
use crate::domain::Article;
use crate::ports::Once;

/// How long an answer is kept for whoever asks again.
pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What a command led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The article from then on.
    pub article: Article,
    /// It was done before, under the same key.
    pub replayed: bool,
}

/// The commands under keys that this process is working at.
#[derive(Debug, Default)]
pub struct Running(Mutex<HashSet<Name>>);

/// Account, command and key.
type Name = (UserId, String, String);

/// Takes a command off the list when it ends, in whatever way.
struct Place<'a> {
    of: &'a Running,
    key: Name,
}

impl Running {
    fn begin(&self, once: &Once) -> Option<Place<'_>> {
        let key = (once.owner, once.command.clone(), once.key.clone());
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        new.then_some(Place { of: self, key })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.of.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl App {
    /// The end of an answer's time.
    pub fn kept_until(&self, now: Timestamp) -> Timestamp {
        now.plus(KEPT)
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Does `work` (a command that appends under `once`) unless it was done before; then it says what came of it.
    ///
    /// That there is one effect is the event store's promise, whichever replicas work at the same command and wherever one of them
    /// is killed. What is added here: a command that this process is working at is not begun a second time. A refusal is not kept:
    /// it changed nothing, and the same key serves the request once it is corrected (decision 14).
    pub async fn once(
        &self,
        once: Option<&Once>,
        work: impl Future<Output = Result<Article, NewsError>> + Send,
    ) -> Result<Done, NewsError> {
        let fresh = |article| Done { article, replayed: false };
        let Some(once) = once else { return Ok(fresh(work.await?)) };
        let _place = self.running.begin(once).ok_or(NewsError::StillRunning)?;
        if let Some(done) = self.before(once).await? {
            return Ok(done);
        }
        match work.await {
            Ok(article) => Ok(fresh(article)),
            Err(error) if error.kind().is_server_error() || error.kind().is_transient() => Err(error),
            // Another replica may have done it meanwhile: then this refusal is only what it left behind, such as a newer version.
            Err(error) => self.before(once).await?.ok_or(error),
        }
    }

    /// What was done under this key before.
    async fn before(&self, once: &Once) -> Result<Option<Done>, NewsError> {
        let Some(answer) = self.events.answer(once).await? else { return Ok(None) };
        if answer.fingerprint != once.fingerprint {
            return Err(NewsError::KeyReused);
        }
        let article = self.events.version(answer.article, answer.version).await?;
        // Nothing is ever taken out of the events.
        let missing = || chassis::StoreFailure::broken("a kept answer names a version that is not there");
        Ok(Some(Done { article: article.ok_or_else(missing)?, replayed: true }))
    }

    /// Forgets answers whose time is over, at most so many. Returns how many.
    pub async fn forget_answers(&self, limit: u32) -> Result<u64, chassis::StoreFailure> {
        self.events.forget_answers(self.clock.now(), limit).await
    }
}
