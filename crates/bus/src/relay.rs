use std::sync::Arc;

use async_trait::async_trait;
use chassis::{Context, Step, Worker};
use kernel::{Clock, Fault, SystemClock, Timestamp};
use tokio::sync::Notify;

use crate::metrics::OUTBOX_OLDEST;
use crate::{Bus, Envelope, Outbox};

#[cfg(test)]
mod tests;

/// The most messages of one publication.
const BATCH: u32 = 200;

/// A worker that publishes the messages of an outbox, in order, each at least once.
///
/// A batch counts as sent only after the bus has confirmed all of it. After a failure between the two it is
/// sent again. One relay for each outbox keeps the order. A second one would only repeat messages.
pub struct Relay {
    outbox: Arc<dyn Outbox>,
    bus: Arc<dyn Bus>,
}

impl Relay {
    /// Creates a relay from `outbox` to `bus`. It runs as a worker of the service that owns the outbox.
    pub fn new(outbox: Arc<dyn Outbox>, bus: Arc<dyn Bus>) -> Self {
        Self { outbox, bus }
    }
}

#[async_trait]
impl Worker for Relay {
    fn name(&self) -> &'static str {
        "relay"
    }

    async fn step(&self) -> Result<Step, Box<dyn Fault>> {
        let unsent = self.outbox.unsent(BATCH).await.map_err(boxed)?;
        report_age(unsent.first().map(|(_, oldest)| oldest.time));
        if unsent.is_empty() {
            return Ok(Step::Idle);
        }
        let (positions, messages): (Vec<i64>, Vec<Envelope>) = unsent.into_iter().unzip();
        self.bus.publish(messages).await.map_err(boxed)?;
        self.outbox.mark_sent(&positions).await.map_err(boxed)?;
        tracing::debug!(messages = positions.len(), "messages left the outbox");
        Ok(Step::Worked)
    }

    fn wake(&self) -> Arc<Notify> {
        self.outbox.wake()
    }
}

/// Sets the metric for the age of the oldest message.
fn report_age(oldest: Option<Timestamp>) {
    let age = oldest.map_or(0.0, |since| SystemClock.now().since(since).as_secs_f64());
    OUTBOX_OLDEST.set([Context::current().service.into()], age);
}

fn boxed(fault: impl Fault) -> Box<dyn Fault> {
    Box::new(fault)
}
