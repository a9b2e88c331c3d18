use std::time::Duration;

use chassis::{Context, causes};
use futures::StreamExt;
use futures::stream;
use kernel::{Fault, UserId};

use super::{App, UserError};
use crate::domain::Account;
use crate::ports::{InsertOutcome, LONGEST_PAUSE, UserStoreError, WaitingRegistration};

/// The most registrations that the worker takes in one step.
pub(super) const BATCH: u32 = 100;
/// The lease of a worker on the registrations that it took. A batch takes a fraction of it.
const BATCH_LEASE: Duration = Duration::from_secs(30);
/// The most registrations that are settled in the intake in parallel.
const PARALLEL: usize = 16;
/// The pauses between attempts to store a registration that fails by its own fault; after the last one it is
/// put aside.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    LONGEST_PAUSE,
];

impl App {
    /// Moves a waiting registration into the store, now. Every change and erasure of an account does this
    /// first, so that it never loses to an insert that is still queued. A worker may hold the registration at
    /// the same time; that does no harm.
    pub(super) async fn settle(&self, id: UserId) -> Result<(), UserError> {
        if let Some(account) = self.intake.by_id(id).await? {
            self.store.insert(&account).await?;
            self.intake.settle(id).await?;
        }
        Ok(())
    }

    /// Takes a batch of registrations and moves them into the store. Returns the number that it took.
    ///
    /// A registration that fails by its own fault does not stop its neighbours: it is tried again after
    /// growing pauses, and put aside in the end. If the store is unavailable, all registrations are given
    /// back and the failure is returned.
    pub async fn settle_batch(&self) -> Result<usize, UserError> {
        let batch = self.intake.take(BATCH, BATCH_LEASE).await?;
        let count = batch.len();
        // A registration that failed before is stored alone: it must not make its neighbours fail again.
        let (fresh, retried): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|waiting| waiting.attempts == 1 && waiting.account.is_ok());
        let mut unavailable = self.settle_together(&fresh).await.err();
        for waiting in retried {
            if unavailable.is_some() {
                self.intake.give_back(waiting.id).await?;
                continue;
            }
            unavailable = self.settle_alone(&waiting).await.err();
        }
        unavailable.map_or(Ok(count), Err)
    }

    async fn settle_together(&self, batch: &[WaitingRegistration]) -> Result<(), UserError> {
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
                let concluded: Vec<_> = stream::iter(concluding).buffer_unordered(PARALLEL).collect().await;
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

    async fn settle_alone(&self, waiting: &WaitingRegistration) -> Result<(), UserError> {
        let outcome = match &waiting.account {
            // It was taken and not finished several times: it may be what ends the process.
            _ if waiting.attempts as usize > PAUSES.len() + 1 => Err(Failure::Lost),
            Ok(account) => self.store.insert(account).await.map_err(Failure::Store),
            Err(unreadable) => Err(Failure::Unreadable(causes(unreadable))),
        };
        self.conclude(waiting, outcome).await
    }

    /// Settles, gives back or defers a registration, depending on its outcome. The work continues the trace
    /// of its request.
    async fn conclude(
        &self,
        waiting: &WaitingRegistration,
        outcome: Result<InsertOutcome, Failure>,
    ) -> Result<(), UserError> {
        let context = Context { trace: waiting.trace.child(), ..Context::current() };
        let work = async {
            match outcome {
                Ok(_) => Ok(self.intake.settle(waiting.id).await?),
                Err(Failure::Store(error)) if error.kind().is_transient() => {
                    self.intake.give_back(waiting.id).await?;
                    Err(error.into())
                }
                Err(failure) => self.defer(waiting, &causes(&failure)).await,
            }
        };
        context.scope(work).await
    }

    async fn defer(&self, waiting: &WaitingRegistration, reason: &str) -> Result<(), UserError> {
        let WaitingRegistration { id, attempts, .. } = waiting;
        let pause =
            usize::try_from(*attempts).ok().and_then(|attempts| PAUSES.get(attempts.saturating_sub(1)));
        match pause {
            Some(pause) => {
                tracing::warn!(user = %id, attempts, reason, "a registration could not be stored; it is tried again");
                self.intake.defer(*id, reason, *pause).await?;
            }
            None => {
                tracing::error!(user = %id, attempts, reason, "a registration can't be stored; it was put aside for an operator");
                self.intake.bury(*id, reason).await?;
            }
        }
        Ok(())
    }
}

/// Why a registration was not stored.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(UserStoreError),
    #[error("{0}")]
    Unreadable(String),
    #[error("it was taken too often and never finished")]
    Lost,
}
