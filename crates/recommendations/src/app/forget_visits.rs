use super::{App, TasteError};
use crate::domain::{COUNT_WINDOW, MAX_LATENESS};

impl App {
    /// Deletes at most `limit` visits that no reading can need any more, and returns their number.
    ///
    /// A reading may arrive `MAX_LATENESS` late, and the rule then looks back one more `COUNT_WINDOW`.
    /// Two windows leave a margin.
    pub async fn forget_visits(&self, limit: u32) -> Result<u64, TasteError> {
        let before = self.clock.now().minus(MAX_LATENESS + 2 * COUNT_WINDOW);
        Ok(self.graph.forget_visits(before, limit).await?)
    }
}
