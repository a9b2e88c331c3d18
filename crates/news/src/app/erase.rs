use std::sync::Arc;

use chassis::{Erasable, StoreFailure};
use kernel::UserId;

use super::App;

impl App {
    /// Returns the duties of both stores to wipe the data of erased people from their files.
    pub fn erasures(&self) -> Vec<Arc<dyn Erasable>> {
        [self.events.erasure(), self.view.erasure()].into_iter().flatten().collect()
    }

    /// Says whether the files of one of the stores must still be wiped of a person.
    pub async fn owes_erasure_of(&self, person: UserId) -> Result<bool, StoreFailure> {
        for store in self.erasures() {
            if store.owed().await?.contains(&person) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes a person's name from both stores. The articles stay, under an id that leads nowhere. It may be
    /// repeated: after a crash between the two stores, the next delivery of the message does the rest.
    pub async fn erase(&self, person: UserId) -> Result<(), StoreFailure> {
        self.events.erase(person).await?;
        self.view.erase(person).await?;
        tracing::info!(%person, section = %self.section, "the bylines of an erased person are removed");
        Ok(())
    }
}
