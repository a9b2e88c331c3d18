use kernel::UserId;

use super::{App, TasteError};

impl App {
    /// Deletes everything about a reader whose account was erased, for ever.
    pub async fn erase_reader(&self, reader: UserId) -> Result<(), TasteError> {
        Ok(self.graph.erase(reader, self.clock.now()).await?)
    }
}
