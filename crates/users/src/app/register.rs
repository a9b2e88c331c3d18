use std::net::IpAddr;

use chassis::causes;
use kernel::{Role, UserId};

use super::{App, LEASE, UserError};
use crate::domain::{Account, Email, Name, Password, User};
use crate::ports::{IntakeError, Once, Reservation};

/// Somebody wants an account.
pub struct Register {
    /// The display name.
    pub name: Name,
    /// The address to log in with.
    pub email: Email,
    /// The password.
    pub password: Password,
    /// Where they are.
    pub from: IpAddr,
}

impl App {
    /// Takes a registration in. When this returns, the e-mail is taken, the account can log in, and a crash loses nothing; the
    /// store gets it from the worker.
    ///
    /// # Errors
    /// `email_taken`; `too_many_attempts`; `busy` where too many passwords are being hashed.
    pub async fn register(&self, wish: Register) -> Result<User, UserError> {
        self.admit_registration(wish.from).await?;
        self.take_in(self.new_user_id(), wish, None).await
    }

    /// The same for an account of this id, with what keeps the answer under a key.
    pub(super) async fn take_in(
        &self,
        id: UserId,
        wish: Register,
        once: Option<&Once>,
    ) -> Result<User, UserError> {
        // A first look, so that a taken e-mail costs no hash. What counts is the look after the reservation.
        if self.account_of(&wish.email).await?.is_some() {
            return Err(IntakeError::EmailTaken.into());
        }
        let credentials = self.passwords.hash(&wish.password).await?;
        let account = Account::new(id, wish.name, wish.email, Role::Reader, credentials, self.clock.now());
        let reservation = self.reserve(&account.user.email, id).await?;
        if let Err(error) = self.intake.append(&reservation, &account, once).await {
            self.release(&reservation).await;
            return Err(error.into());
        }
        self.cache.put(&account.user).await;
        self.arrived.notify_one();
        Ok(account.user)
    }

    /// Reserves an e-mail that nobody has.
    ///
    /// The order is what makes the e-mail unique over two stores: reserve first, then ask the store. Whoever had it reserved
    /// before let it go only after the store had it.
    pub(super) async fn reserve(&self, email: &Email, id: UserId) -> Result<Reservation, UserError> {
        let reservation = self.intake.reserve(email, id, LEASE).await?;
        let refusal = match self.store.account_of(email).await {
            Ok(None) => return Ok(reservation),
            Ok(Some(_)) => IntakeError::EmailTaken.into(),
            Err(error) => error.into(),
        };
        self.release(&reservation).await;
        Err(refusal)
    }

    /// Gives a reservation back. That it fails costs the next one a wait, no more.
    pub(super) async fn release(&self, reservation: &Reservation) {
        if let Err(error) = self.intake.release(reservation).await {
            tracing::debug!(cause = causes(&error), "a reservation was left to run out");
        }
    }
}
