use kernel::{Label, UserId};

use super::{App, MAX_ENTRIES, TasteError};

impl App {
    /// Returns the readers who like a label, heaviest first. They are ids only, because labels can be
    /// opinions.
    pub async fn readers_of_label(&self, label: &Label) -> Result<Vec<UserId>, TasteError> {
        Ok(self.graph.readers_of(label, MAX_ENTRIES).await?)
    }
}
