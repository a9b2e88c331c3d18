use super::{App, TasteError};
use crate::domain::{KEPT, WINDOW};

impl App {
    /// Forgets at most `limit` visits that no reading can need any more; the answer is how many.
    ///
    /// A reading may come [`KEPT`] late, and the rule then looks back one more [`WINDOW`]; twice that is on the safe side.
    pub async fn forget_visits(&self, limit: u32) -> Result<u64, TasteError> {
        let before = self.clock.now().minus(KEPT + 2 * WINDOW);
        Ok(self.graph.forget_visits(before, limit).await?)
    }
}
