use kernel::UserId;

use super::{App, TasteError};
use crate::domain::ConsentRecord;

impl App {
    /// Puts on record what a reader said about consent; a withdrawal deletes what is kept about them.
    pub async fn change_consent(&self, reader: UserId, consent: &ConsentRecord) -> Result<(), TasteError> {
        Ok(self.graph.set_consent(reader, consent).await?)
    }
}
