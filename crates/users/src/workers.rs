//! What this service does by itself: it brings registrations from the intake into the store. (What tells other services is the
//! bus's own worker, the relay.)

use std::sync::Arc;

use async_trait::async_trait;
use chassis::{Step, Worker};
use kernel::Fault;
use tokio::sync::Notify;

use crate::app::App;

/// Brings registrations into the store, a batch at a step.
pub struct IntakeWorker(pub Arc<App>);

#[async_trait]
impl Worker for IntakeWorker {
    fn name(&self) -> &'static str {
        "users.intake"
    }

    async fn step(&self) -> Result<Step, Box<dyn Fault>> {
        match self.0.settle_batch().await {
            Ok(0) => Ok(Step::Idle),
            Ok(_) => Ok(Step::Worked),
            Err(error) => Err(Box::new(error)),
        }
    }

    fn wake(&self) -> Arc<Notify> {
        self.0.arrived.clone()
    }
}
