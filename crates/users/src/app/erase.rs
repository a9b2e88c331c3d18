use kernel::{Fault, MessageId, UserId};

use super::{App, UserError};

/// An erasure that has begun: the account is gone, the other services are being told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasure {
    /// Its id: that of the message that tells the other services.
    pub id: MessageId,
}

impl App {
    /// Erases an account: gone from every read when this returns; the fact leaves through the outbox.
    ///
    /// # Errors
    /// `not_found`, `last_admin`.
    pub async fn erase(&self, id: UserId) -> Result<Erasure, UserError> {
        // What still waits could come back from the dead otherwise; against a worker that holds it already, the store's
        // tombstone helps.
        self.settle(id).await?;
        // Before the erasure, so that no crash leaves an answer about somebody who is gone. Nothing can be answered about them anew: the
        // id is no other attempt's.
        self.intake.forget_answers_about(id).await?;
        let fact = self.new_message_id();
        let outcome = self.store.erase(id, fact, self.clock.now()).await;
        // Also where nobody knows whether it was done.
        if outcome.as_ref().map_or_else(|error| error.kind().is_ours(), |()| true) {
            self.cache.forget(id).await;
        }
        outcome?;
        Ok(Erasure { id: fact })
    }
}
