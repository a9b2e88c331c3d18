use std::time::Duration;

use kernel::{Class, Fault, Kind, UserId};

use super::{App, UserError};
use crate::domain::{Erasure, Receipt, services_with_personal_data};
use crate::ports::UserStoreError;

/// The promised time until an erasure is complete.
const PROMISED: Duration = Duration::from_secs(60);
/// The time after which an erasure that is not complete is announced again: longer than most handlers are
/// retried.
const ANNOUNCE_AGAIN_AFTER: Duration = Duration::from_secs(300);
/// The most erasures that are announced again in one step.
const BATCH: u32 = 100;
/// The most overdue erasures that are counted, so that counting is cheap however many there are.
const MAX_OVERDUE: u32 = 1000;

/// The reason why a question about an erasure was refused, or a receipt.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The service does not store anything about people, or the receipt is another service's.
    #[error("No receipt of {0:?} is expected here.")]
    Unexpected(String),
    /// The account was not erased.
    #[error("This account was not erased.")]
    NotErased,
    /// The store is unavailable.
    #[error(transparent)]
    User(#[from] UserError),
}

impl Fault for ErasureError {
    fn classify(&self) -> Class<'_> {
        match self {
            ErasureError::Unexpected(_) => Class::own(Kind::Invalid, "unexpected_receipt"),
            ErasureError::NotErased => Class::own(Kind::NotFound, "not_found"),
            ErasureError::User(error) => Class::Inner(error),
        }
    }
}

impl App {
    /// Returns the erasure of a person.
    ///
    /// # Errors
    /// `not_found` if the account was not erased.
    pub async fn erasure(&self, person: UserId) -> Result<Erasure, ErasureError> {
        let erasure =
            self.erasures.erasure(person).await.map_err(UserStoreError::from).map_err(UserError::from)?;
        erasure.ok_or(ErasureError::NotErased)
    }

    /// Stores the receipt of a service. It may be repeated.
    ///
    /// # Errors
    /// `unexpected_receipt`, `not_found`.
    pub async fn record_receipt(&self, person: UserId, receipt: &Receipt) -> Result<(), ErasureError> {
        let services = services_with_personal_data();
        if !services.contains(&receipt.service.as_str()) {
            return Err(ErasureError::Unexpected(receipt.service.clone()));
        }
        let stored = self.erasures.record_receipt(person, receipt, &services, self.clock.now()).await;
        match stored.map_err(|failure| UserError::Store(failure.into()))? {
            true => Ok(()),
            false => Err(ErasureError::NotErased),
        }
    }

    /// Announces erasures again that are not complete after a while: a service may have given up the message.
    /// Returns the number of erasures that take longer than promised, at most 1000.
    pub async fn pursue_erasures(&self) -> Result<u32, UserError> {
        let now = self.clock.now();
        let before = now.minus(ANNOUNCE_AGAIN_AFTER);
        let open = self.erasures.open_erasures(before, BATCH).await.map_err(UserStoreError::from)?;
        for person in open {
            tracing::warn!(%person, "an erasure is not complete yet; the services are notified again");
            let again = self.erasures.republish(person, self.new_message_id(), now).await;
            again.map_err(UserStoreError::from)?;
        }
        let overdue = self.erasures.count_open(now.minus(PROMISED), MAX_OVERDUE).await;
        Ok(overdue.map_err(UserStoreError::from)?)
    }
}
