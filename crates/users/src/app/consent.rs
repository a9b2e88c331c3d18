use kernel::UserId;

use super::{App, UserError};
use crate::domain::{Consent, ConsentChoice, Origin};
use crate::ports::UserStoreError;

impl App {
    /// Returns the consent of a person.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn consent(&self, id: UserId) -> Result<Consent, UserError> {
        // An account that waits in the intake exists and has no consent yet. The intake comes first, as in
        // every read.
        let is_waiting = self.intake.by_id(id).await?.is_some();
        match self.store.consent(id).await? {
            Some(consent) => Ok(consent),
            None if is_waiting => Ok(Consent::default()),
            None => Err(UserStoreError::NotFound.into()),
        }
    }

    /// Stores the consent of a person; the event is published through the outbox.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn set_consent(
        &self,
        id: UserId,
        choice: ConsentChoice,
        origin: &Origin,
    ) -> Result<Consent, UserError> {
        self.settle(id).await?;
        Ok(self.store.set_consent(id, choice, self.new_message_id(), origin).await?)
    }
}
