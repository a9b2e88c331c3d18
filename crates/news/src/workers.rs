//! The background work of a section, besides the relay of its messages.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::{Cleanup, Step, Worker};
use kernel::{Clock, Fault};
use tokio::sync::Notify;

use crate::app::App;

/// The interval in which answers whose time is over are removed. Nothing waits for it: such an answer no
/// longer counts.
const ANSWERS: Duration = Duration::from_secs(60);

/// Returns the worker that removes the answers to commands under keys when their time is over.
pub fn forget_answers(app: Arc<App>, clock: Arc<dyn Clock>) -> Cleanup {
    Cleanup::new("news.answers", ANSWERS, clock, move |most| {
        let app = app.clone();
        async move { app.forget_answers(most).await }
    })
}

/// The worker that publishes scheduled articles when their time comes.
pub struct PublishScheduled(pub Arc<App>);

#[async_trait]
impl Worker for PublishScheduled {
    fn name(&self) -> &'static str {
        "news.schedule"
    }

    async fn step(&self) -> Result<Step, Box<dyn Fault>> {
        let pause = self.0.publish_due().await?;
        Ok(if pause.is_zero() { Step::Worked } else { Step::IdleFor(pause) })
    }

    fn wake(&self) -> Arc<Notify> {
        self.0.scheduled()
    }
}
