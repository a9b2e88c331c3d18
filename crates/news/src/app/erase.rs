use std::sync::Arc;

use chassis::{Erasable, StoreFailure};
use kernel::UserId;

use super::App;

impl App {
    /// Returns what the stores of both sides owe to people who were erased.
    pub fn erasures(&self) -> Vec<Arc<dyn Erasable>> {
        [self.events.erasure(), self.view.erasure()].into_iter().flatten().collect()
    }

    /// Takes a person's name off everything on both sides. What they wrote stays, under an id that leads nowhere. May be
    /// repeated: a crash between the two stores is healed by the next delivery.
    pub async fn erase(&self, person: UserId) -> Result<(), StoreFailure> {
        self.events.erase(person).await?;
        self.view.erase(person).await?;
        tracing::info!(%person, section = %self.section, "an erased person's bylines are gone");
        Ok(())
    }
}
