use std::time::Duration;

use kernel::{Fault, Identity, MessageId, UserId};
use secrecy::SecretString;

use super::{App, UserError};
use crate::domain::Session;
use crate::ports::UserStoreError;

/// How long after its login a session may erase an account without the password.
const RECENT_LOGIN: Duration = Duration::from_secs(600);

/// A wish that an account be erased.
pub struct Erase {
    /// The account.
    pub id: UserId,
    /// The caller: its owner, or an admin.
    pub by: Identity,
    /// The caller's session.
    pub session: Session,
    /// The caller's current password, as it was typed, if it was sent.
    pub current_password: Option<SecretString>,
}

/// An erasure that has begun: the account is gone, the other services are being notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasure {
    /// Its id: that of the message that the other services receive.
    pub id: MessageId,
}

impl App {
    /// Erases an account: gone from every read when this returns; the event leaves through the outbox.
    ///
    /// # Errors
    /// `not_found`, `last_admin`; `current_password_required`, `wrong_password`, `too_many_attempts`.
    pub async fn erase(&self, wish: Erase) -> Result<Erasure, UserError> {
        self.confirm(&wish).await?;
        let id = wish.id;
        // What still waits could come back from the dead otherwise; against a worker that holds it already, the store's
        // tombstone helps.
        self.settle(id).await?;
        // Before the erasure, so that no crash leaves an answer about somebody who is gone. Nothing can be answered about them anew: the
        // id is no other attempt's.
        self.intake.forget_answers_about(id).await?;
        let fact = self.new_message_id();
        let outcome = self.store.erase(id, fact, self.clock.now()).await;
        // Also where nobody knows whether it was done.
        if outcome.as_ref().map_or_else(|error| error.kind().is_server_error(), |()| true) {
            self.cache.forget(id).await;
        }
        outcome?;
        Ok(Erasure { id: fact })
    }

    /// Checks that the caller means it: a found device or token is not enough to erase an account. A password that was sent is
    /// checked also if none is needed.
    async fn confirm(&self, wish: &Erase) -> Result<(), UserError> {
        let Some(typed) = &wish.current_password else {
            let age = self.clock.now().since(wish.session.created_at);
            return if age < RECENT_LOGIN { Ok(()) } else { Err(UserError::CurrentPasswordRequired) };
        };
        let account = self.store.account(wish.by.user).await?.ok_or(UserStoreError::NotFound)?;
        self.proven(&account, Some(typed)).await?;
        Ok(())
    }
}
