use std::time::Duration;

use kernel::{Fault, Identity, UserId};
use secrecy::SecretString;

use super::{App, UserError};
use crate::domain::{Origin, Session};
use crate::ports::UserStoreError;

/// The time after its login in which a session may erase an account without the password.
const RECENT_LOGIN: Duration = Duration::from_secs(600);

/// The command to erase an account.
pub struct EraseUser {
    /// The account.
    pub id: UserId,
    /// The caller: its owner, or an admin.
    pub by: Identity,
    /// The origin of the request, for the audit.
    pub origin: Origin,
    /// The caller's session.
    pub session: Session,
    /// The caller's current password, as it was typed, if it was sent.
    pub current_password: Option<SecretString>,
}

impl App {
    /// Erases an account. It is gone from every read when this returns; the event is published through the
    /// outbox, and every service that stores something about the person sends a receipt ([`App::erasure`]).
    ///
    /// # Errors
    /// `not_found`, `last_admin`; `current_password_required`, `wrong_password`, `too_many_attempts`.
    pub async fn erase(&self, command: EraseUser) -> Result<(), UserError> {
        self.confirm(&command).await?;
        let id = command.id;
        // Otherwise a waiting registration could bring the account back. If a worker holds it already, the
        // tombstone in the store prevents that.
        self.settle(id).await?;
        // It happens before the erasure, so that no crash leaves an answer about an erased person. No new
        // answer can follow, because no other attempt has this id.
        self.intake.forget_answers_about(id).await?;
        let message = self.new_message_id();
        let outcome = self.store.erase(id, message, &command.origin).await;
        // It is also forgotten if the outcome is unknown.
        if outcome.as_ref().map_or_else(|error| error.kind().is_server_error(), |()| true) {
            self.cache.forget(id).await;
        }
        Ok(outcome?)
    }

    /// Checks that the caller is the owner of the session: a stolen device or token must not be enough to
    /// erase an account. A password that was sent is checked even if none is needed.
    async fn confirm(&self, command: &EraseUser) -> Result<(), UserError> {
        let Some(typed) = &command.current_password else {
            let age = self.clock.now().since(command.session.created_at);
            return if age < RECENT_LOGIN { Ok(()) } else { Err(UserError::CurrentPasswordRequired) };
        };
        let account = self.store.account(command.by.user).await?.ok_or(UserStoreError::NotFound)?;
        self.prove_password(&account, Some(typed)).await?;
        Ok(())
    }
}
