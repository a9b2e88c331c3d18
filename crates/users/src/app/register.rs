use std::net::IpAddr;

use chassis::causes;
use kernel::{Role, UserId};

use super::{App, LEASE, UserError};
use crate::domain::{Account, Email, Name, Password, User};
use crate::ports::{IdempotencyAttempt, IntakeError, Reservation};

/// The command to register an account.
pub struct Register {
    /// The display name.
    pub name: Name,
    /// The address to log in with.
    pub email: Email,
    /// The password.
    pub password: Password,
    /// The caller's address.
    pub from: IpAddr,
}

impl App {
    /// Accepts a registration. When this returns, the e-mail is taken, the account can log in, and a crash
    /// loses nothing; the worker brings it into the store.
    ///
    /// # Errors
    /// `email_taken`; `too_many_attempts`; `busy` if too many passwords are being hashed.
    pub async fn register(&self, command: Register) -> Result<User, UserError> {
        self.admit_registration(command.from).await?;
        self.accept(self.new_user_id(), command, None).await
    }

    /// Accepts a registration for an account of this id. If the request has an idempotency key, `attempt`
    /// names it.
    pub(super) async fn accept(
        &self,
        id: UserId,
        command: Register,
        attempt: Option<&IdempotencyAttempt>,
    ) -> Result<User, UserError> {
        // This check saves a hash if the e-mail is taken. The check after the reservation is the one that
        // counts.
        if self.find_account(&command.email).await?.is_some() {
            return Err(IntakeError::EmailTaken.into());
        }
        let credentials = self.passwords.hash(&command.password).await?;
        let account =
            Account::new(id, command.name, command.email, Role::Reader, credentials, self.clock.now());
        let reservation = self.reserve(&account.user.email, id).await?;
        if let Err(error) = self.intake.append(&reservation, &account, attempt).await {
            self.release(&reservation).await;
            return Err(error.into());
        }
        self.cache.put(&account.user).await;
        self.arrived.notify_one();
        Ok(account.user)
    }

    /// Reserves an e-mail that no account has.
    ///
    /// The order makes the e-mail unique over two stores: reserve it first, then ask the store. An earlier
    /// reservation was released only after the store had the account.
    pub(super) async fn reserve(&self, email: &Email, id: UserId) -> Result<Reservation, UserError> {
        let reservation = self.intake.reserve(email, id, LEASE).await?;
        let refusal = match self.store.account_by_email(email).await {
            Ok(None) => return Ok(reservation),
            Ok(Some(_)) => IntakeError::EmailTaken.into(),
            Err(error) => error.into(),
        };
        self.release(&reservation).await;
        Err(refusal)
    }

    /// Releases a reservation. If this fails, the next registration has to wait for the lease, no more.
    pub(super) async fn release(&self, reservation: &Reservation) {
        if let Err(error) = self.intake.release(reservation).await {
            tracing::debug!(cause = causes(&error), "a reservation was left to expire");
        }
    }
}
