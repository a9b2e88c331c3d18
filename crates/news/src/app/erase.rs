use chassis::StoreFailure;
use kernel::UserId;

use super::App;

impl App {
    /// Removes a person's name from both stores. The articles stay, under an id that leads nowhere. It may be
    /// repeated: after a crash between the two stores, the next delivery of the message does the rest.
    pub async fn erase(&self, person: UserId) -> Result<(), StoreFailure> {
        self.events.erase(person).await?;
        self.view.erase(person).await?;
        tracing::info!(%person, section = %self.section, "the bylines of an erased person are removed");
        Ok(())
    }
}
