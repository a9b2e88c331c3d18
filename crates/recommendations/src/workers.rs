//! What this service does by itself: forgetting.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chassis::{Step, Worker};
use kernel::{Clock, Fault};
use tokio::sync::Notify;

use crate::app::App;

/// How often it looks for visits to forget.
const EVERY: Duration = Duration::from_secs(10 * 60);
/// How many it forgets in one transaction: the one writer is not held up for long.
const BATCH: u32 = 1000;

/// Forgets visits that are not needed any more: what somebody read when is not kept longer than the rule of 30 minutes and
/// late deliveries take.
pub struct Forgetting {
    app: App,
    clock: Arc<dyn Clock>,
    next_at: AtomicI64,
    wake: Arc<Notify>,
}

impl Forgetting {
    /// A worker that looks at once and then every ten minutes.
    pub fn new(app: App, clock: Arc<dyn Clock>) -> Self {
        Self { app, clock, next_at: AtomicI64::new(i64::MIN), wake: Arc::default() }
    }
}

#[async_trait]
impl Worker for Forgetting {
    fn name(&self) -> &'static str {
        "recommendations.forgetting"
    }

    async fn step(&self) -> Result<Step, Box<dyn Fault>> {
        let now = self.clock.now();
        if now.millis() < self.next_at.load(Ordering::Relaxed) {
            return Ok(Step::Idle);
        }
        let forgotten =
            self.app.forget_visits(BATCH).await.map_err(|fault| Box::new(fault) as Box<dyn Fault>)?;
        if forgotten == u64::from(BATCH) {
            return Ok(Step::Worked);
        }
        self.next_at.store(now.plus(EVERY).millis(), Ordering::Relaxed);
        Ok(if forgotten > 0 { Step::Worked } else { Step::Idle })
    }

    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}
