use kernel::{Label, UserId};

use super::{App, MOST, TasteError};

impl App {
    /// Who likes a label, heaviest first: ids only, since labels can be opinions.
    pub async fn readers_of_label(&self, label: &Label) -> Result<Vec<UserId>, TasteError> {
        Ok(self.graph.readers_of(label, MOST).await?)
    }
}
