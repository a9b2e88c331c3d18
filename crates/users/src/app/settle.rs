use std::time::Duration;

use chassis::{Context, causes};
use kernel::{Fault, UserId};

use super::{App, UserError};
use crate::ports::Waiting;

/// How many registrations the worker takes at once.
pub const BATCH: u32 = 100;
/// How long nobody else is given what a worker took. A batch takes a fraction of it.
const TAKEN: Duration = Duration::from_secs(30);
/// The pauses between attempts to store a registration that fails by its own fault; after the last it is put aside.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
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

    /// The worker's step: takes a batch of registrations and brings each into the store. The answer is how many it took.
    ///
    /// A registration that fails by its own fault stops none of its neighbours: it is tried again after growing pauses and
    /// put aside in the end. When the store is away, everything is given back and the failure is the answer.
    pub async fn settle_batch(&self) -> Result<usize, UserError> {
        let batch = self.intake.take(BATCH, TAKEN).await?;
        let count = batch.len();
        let mut away = None;
        for waiting in batch {
            if away.is_some() {
                self.intake.give_back(waiting.id).await?;
                continue;
            }
            // The work goes on in the trace of the request that it began with.
            let context = Context { trace: waiting.trace.child(), ..Context::current() };
            away = context.scope(self.settle_waiting(&waiting)).await.err();
        }
        away.map_or(Ok(count), Err)
    }

    async fn settle_waiting(&self, waiting: &Waiting) -> Result<(), UserError> {
        let Waiting { id, attempts, account, .. } = waiting;
        let pause =
            usize::try_from(*attempts).ok().and_then(|attempts| PAUSES.get(attempts.saturating_sub(1)));
        let reason = match account {
            // It was taken and never came back, again and again: it may be what ends the process.
            _ if *attempts as usize > PAUSES.len() + 1 => {
                "it was taken too often and never finished".to_owned()
            }
            Ok(account) => match self.store.insert(account).await {
                Ok(_) => return Ok(self.intake.settled(*id).await?),
                Err(error) if error.kind().is_transient() => {
                    self.intake.give_back(*id).await?;
                    return Err(error.into());
                }
                Err(error) => causes(&error),
            },
            Err(unreadable) => causes(unreadable),
        };
        match pause {
            Some(pause) => {
                tracing::warn!(user = %id, attempts, reason, "a registration could not be stored and will be tried again");
                self.intake.failed(*id, &reason, *pause).await?;
            }
            None => {
                tracing::error!(user = %id, attempts, reason, "a registration can't be stored and was put aside");
                self.intake.bury(*id, &reason).await?;
            }
        }
        Ok(())
    }
}
