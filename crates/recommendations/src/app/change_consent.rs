use kernel::UserId;

use super::{App, TasteError};
use crate::domain::ConsentRecord;

impl App {
    /// Stores a reader's consent. A withdrawal deletes the reader's tastes and visits.
    pub async fn change_consent(&self, reader: UserId, consent: &ConsentRecord) -> Result<(), TasteError> {
        Ok(self.graph.set_consent(reader, consent).await?)
    }
}
