use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chassis::{Step, Worker};
use kernel::{Fault, Timestamp};
use tokio::sync::Notify;

use crate::app::App;

/// How often it looks for answers whose time is over. Nothing waits for it: such an answer counts as none.
const EVERY: Duration = Duration::from_secs(60);
/// How many it forgets in one step, so that nobody waits long for the intake.
const BATCH: u32 = 500;

/// Forgets answers to requests under keys once their time is over.
pub struct ForgetAnswers {
    app: Arc<App>,
    next: Mutex<Option<Timestamp>>,
    wake: Arc<Notify>,
}

impl ForgetAnswers {
    /// Of this service.
    pub fn new(app: Arc<App>) -> Self {
        Self { app, next: Mutex::default(), wake: Arc::default() }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.is_none_or(|next| next <= now)
    }
}

#[async_trait]
impl Worker for ForgetAnswers {
    fn name(&self) -> &'static str {
        "users.answers"
    }

    async fn step(&self) -> Result<Step, Box<dyn Fault>> {
        let now = self.app.clock.now();
        if !self.is_due(now) {
            return Ok(Step::Idle);
        }
        let forgotten = self.app.forget_answers(BATCH).await?;
        if forgotten == u64::from(BATCH) {
            return Ok(Step::Worked);
        }
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(now.plus(EVERY));
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}
