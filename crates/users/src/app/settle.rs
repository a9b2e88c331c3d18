use std::time::Duration;

use chassis::{Context, causes};
use futures::StreamExt;
use futures::stream;
use kernel::{Fault, UserId};

use super::{App, UserError};
use crate::domain::Account;
use crate::ports::{Inserted, LONGEST_PAUSE, UserStoreError, Waiting};

/// How many registrations the worker takes at once.
pub const BATCH: u32 = 100;
/// How long nobody else is given what a worker took. A batch takes a fraction of it.
const TAKEN: Duration = Duration::from_secs(30);
/// How many registrations are settled in the intake at once: a server is asked for many in one breath.
const AT_ONCE: usize = 16;
/// The pauses between attempts to store a registration that fails by its own fault; after the last it is put aside.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    LONGEST_PAUSE,
];

impl App {
    /// Brings a registration that still waits into the store, now. Whoever changes or erases an account does this first: a
    /// change never loses to a create that is still queued. It does no harm that a worker may hold it at the same time.
    pub(super) async fn settle(&self, id: UserId) -> Result<(), UserError> {
        if let Some(account) = self.intake.by_id(id).await? {
            self.store.insert(&account).await?;
            self.intake.settled(id).await?;
        }
        Ok(())
    }

    /// The worker's step: takes a batch of registrations and brings them into the store. The answer is how many it took.
    ///
    /// A registration that fails by its own fault stops none of its neighbours: it is tried again after growing pauses and
    /// put aside in the end. When the store is away, everything is given back and the failure is the answer.
    pub async fn settle_batch(&self) -> Result<usize, UserError> {
        let batch = self.intake.take(BATCH, TAKEN).await?;
        let count = batch.len();
        // What was taken before and did not get through goes alone: it must not take its neighbours with it again.
        let (fresh, again): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|waiting| waiting.attempts == 1 && waiting.account.is_ok());
        let mut away = self.settle_together(&fresh).await.err();
        for waiting in again {
            if away.is_some() {
                self.intake.give_back(waiting.id).await?;
                continue;
            }
            away = self.settle_alone(&waiting).await.err();
        }
        away.map_or(Ok(count), Err)
    }

    async fn settle_together(&self, batch: &[Waiting]) -> Result<(), UserError> {
        let accounts: Vec<Account> =
            batch.iter().filter_map(|waiting| waiting.account.as_ref().ok()).cloned().collect();
        if accounts.is_empty() {
            return Ok(());
        }
        match self.store.insert_all(&accounts).await {
            Ok(outcomes) => {
                let concluding: Vec<_> = batch
                    .iter()
                    .zip(outcomes)
                    .map(|(waiting, outcome)| self.conclude(waiting, outcome.map_err(Failure::Store)))
                    .collect();
                let concluded: Vec<_> = stream::iter(concluding).buffer_unordered(AT_ONCE).collect().await;
                concluded.into_iter().collect()
            }
            Err(error) => {
                for waiting in batch {
                    self.intake.give_back(waiting.id).await?;
                }
                Err(error.into())
            }
        }
    }

    async fn settle_alone(&self, waiting: &Waiting) -> Result<(), UserError> {
        let outcome = match &waiting.account {
            // It was taken and never came back, again and again: it may be what ends the process.
            _ if waiting.attempts as usize > PAUSES.len() + 1 => Err(Failure::Lost),
            Ok(account) => self.store.insert(account).await.map_err(Failure::Store),
            Err(unreadable) => Err(Failure::Unreadable(causes(unreadable))),
        };
        self.conclude(waiting, outcome).await
    }

    /// Does with a registration what follows from its outcome. The work goes on in the trace of the request that it began with.
    async fn conclude(&self, waiting: &Waiting, outcome: Result<Inserted, Failure>) -> Result<(), UserError> {
        let context = Context { trace: waiting.trace.child(), ..Context::current() };
        let work = async {
            match outcome {
                Ok(_) => Ok(self.intake.settled(waiting.id).await?),
                Err(Failure::Store(error)) if error.kind().is_transient() => {
                    self.intake.give_back(waiting.id).await?;
                    Err(error.into())
                }
                Err(failure) => self.put_off(waiting, &causes(&failure)).await,
            }
        };
        context.scope(work).await
    }

    async fn put_off(&self, waiting: &Waiting, reason: &str) -> Result<(), UserError> {
        let Waiting { id, attempts, .. } = waiting;
        let pause =
            usize::try_from(*attempts).ok().and_then(|attempts| PAUSES.get(attempts.saturating_sub(1)));
        match pause {
            Some(pause) => {
                tracing::warn!(user = %id, attempts, reason, "a registration could not be stored and will be tried again");
                self.intake.failed(*id, reason, *pause).await?;
            }
            None => {
                tracing::error!(user = %id, attempts, reason, "a registration can't be stored and was put aside");
                self.intake.bury(*id, reason).await?;
            }
        }
        Ok(())
    }
}

/// Why a registration is not in the store.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(UserStoreError),
    #[error("{0}")]
    Unreadable(String),
    #[error("it was taken too often and never finished")]
    Lost,
}
