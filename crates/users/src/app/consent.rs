use kernel::UserId;

use super::{App, UserError};
use crate::domain::{Choice, Consent};
use crate::ports::UserStoreError;

impl App {
    /// What a person allows.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn consent(&self, id: UserId) -> Result<Consent, UserError> {
        // Who waits in the intake exists and has said nothing yet. Intake before store, as in every read.
        let waiting = self.intake.by_id(id).await?.is_some();
        match self.store.consent(id).await? {
            Some(consent) => Ok(consent),
            None if waiting => Ok(Consent::default()),
            None => Err(UserStoreError::NotFound.into()),
        }
    }

    /// Stores what a person allows; the fact leaves through the outbox.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn set_consent(&self, id: UserId, choice: Choice) -> Result<Consent, UserError> {
        self.settle(id).await?;
        Ok(self.store.set_consent(id, choice, self.new_message_id(), self.clock.now()).await?)
    }
}
