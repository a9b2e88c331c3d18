use std::sync::Arc;

use async_trait::async_trait;
use chassis::{Erasable, StoreFailure};
use kernel::UserId;

use crate::ports::Intake;

/// The intake as a store that is wiped after an erasure. The store of accounts records what both owe.
pub struct ErasableIntake(pub Arc<dyn Intake>);

#[async_trait]
impl Erasable for ErasableIntake {
    async fn owed(&self) -> Result<Vec<UserId>, StoreFailure> {
        Ok(Vec::new())
    }

    async fn wipe(&self, _: &[UserId]) -> Result<bool, StoreFailure> {
        self.0.wipe().await
    }

    async fn done(&self, _: &[UserId]) -> Result<(), StoreFailure> {
        Ok(())
    }
}
