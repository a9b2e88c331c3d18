use std::collections::HashSet;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kernel::{Fault, Timestamp, UserId};

use super::{App, NewsError};
use crate::domain::Article;
use crate::ports::CommandKey;

/// The time for which answers are kept under their keys.
const ANSWER_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// The effect of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The article after the command.
    pub article: Article,
    /// True if the command was done before, under the same key: `article` is the answer of that time.
    pub replayed: bool,
}

/// The commands under keys that this process is executing.
#[derive(Debug, Default)]
pub struct RunningCommands(Mutex<HashSet<RunningName>>);

/// Account, command and key.
type RunningName = (UserId, String, String);

/// Removes a command from the running ones when it ends, in whatever way.
struct RunningGuard<'a> {
    running: &'a RunningCommands,
    name: RunningName,
}

impl RunningCommands {
    /// Adds a command; `None` if it is running already.
    fn begin(&self, key: &CommandKey) -> Option<RunningGuard<'_>> {
        let name = (key.owner, key.command.clone(), key.key.clone());
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        is_new.then_some(RunningGuard { running: self, name })
    }
}

impl Drop for RunningGuard<'_> {
    fn drop(&mut self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

impl App {
    /// Returns the end of the time for which an answer is kept.
    pub fn kept_until(&self, now: Timestamp) -> Timestamp {
        now.plus(ANSWER_LIFE)
    }

    /// Returns the present time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Does `work`, a command that appends under `key`, unless it was done before under the same key: then it
    /// returns the answer of that time.
    ///
    /// The event store promises that there is one effect, whichever replicas execute the same command and
    /// wherever one of them is killed. This function adds that a process does not begin a command that it is
    /// executing already. A refusal is not kept: it changed nothing, and the same key serves the corrected
    /// request (decision 14).
    pub(super) async fn once(
        &self,
        key: Option<&CommandKey>,
        work: impl Future<Output = Result<Article, NewsError>> + Send,
    ) -> Result<Done, NewsError> {
        let done = |article| Done { article, replayed: false };
        let Some(key) = key else { return work.await.map(done) };
        let _running = self.running.begin(key).ok_or(NewsError::StillRunning)?;
        if let Some(before) = self.done_before(key).await? {
            return Ok(before);
        }
        match work.await {
            Ok(article) => Ok(done(article)),
            Err(error) if error.kind().is_server_error() || error.kind().is_transient() => Err(error),
            // Another replica may have done it meanwhile. Then this refusal is only a consequence, such as a
            // newer version.
            Err(error) => self.done_before(key).await?.ok_or(error),
        }
    }

    /// Returns the answer that is kept under this key.
    async fn done_before(&self, key: &CommandKey) -> Result<Option<Done>, NewsError> {
        let Some(answer) = self.events.answer(key).await? else { return Ok(None) };
        if answer.fingerprint != key.fingerprint {
            return Err(NewsError::KeyReused);
        }
        let article = self.events.version(answer.article, answer.version).await?;
        // No version is ever removed from the events.
        let missing = || chassis::StoreFailure::broken("a kept answer names a version that does not exist");
        Ok(Some(Done { article: article.ok_or_else(missing)?, replayed: true }))
    }

    /// Removes at most `limit` answers whose time is over. Returns how many.
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn forget_answers(&self, limit: u32) -> Result<u64, chassis::StoreFailure> {
        self.events.forget_answers(self.clock.now(), limit).await
    }
}
