use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chassis::{Runnable, StoreFailure, back_off, causes};
use kernel::{Clock, Fault, Kind};
use tokio_util::sync::CancellationToken;

use super::queue::QueueState;
use super::store::{Delivery, DeliveryOutcome, Store};
use crate::receiver::{HandlerFailure, Receiver};
use crate::schedule::{Fate, Schedule};

/// The most deliveries that a consumer takes together. One commit settles them all.
const BATCH: u32 = 64;
/// The time after which a consumer settles what it has handled and gives the rest back. A slow handler must
/// not keep deliveries from the other consumers of the queue.
const MAX_TURN: Duration = Duration::from_millis(200);
/// The longest time that an idle consumer waits before it looks at its queue. Clocks jump, and a wake-up may
/// be lost with a publisher that stopped waiting for its confirmation.
const MAX_IDLE: Duration = Duration::from_secs(5);
/// The pause after the first failure of the store.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause after several failures in a row.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A consumer of a durable queue. It handles one message after the other.
pub(super) struct Consumer {
    pub(super) queue: Arc<QueueState>,
    pub(super) store: Arc<Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) schedule: Arc<Schedule>,
    pub(super) receiver: Receiver,
}

#[async_trait]
impl Runnable for Consumer {
    fn name(&self) -> String {
        self.queue.name.clone()
    }

    async fn run(self: Box<Self>, stop: CancellationToken) {
        let mut failures = 0u32;
        while !stop.is_cancelled() {
            // Enabled before the queue is read, so that a message published meanwhile is not missed.
            let mut wake_up = pin!(self.queue.wake_up());
            wake_up.as_mut().enable();
            let handled = self.handle_due(&stop).await;
            failures = if handled.is_ok() { 0 } else { failures.saturating_add(1) };
            let pause = match handled {
                Ok(None) => continue,
                Ok(Some(pause)) => pause,
                Err(failure) => {
                    tracing::warn!(
                        queue = self.queue.name,
                        cause = causes(&failure),
                        "the queue cannot be read or settled and will be tried again"
                    );
                    back_off(failures, FIRST_PAUSE, MAX_PAUSE)
                }
            };
            tokio::select! {
                () = &mut wake_up, if failures == 0 => {}
                () = chassis::pause(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

impl Consumer {
    /// Handles the messages that are due. Returns the time until there may be more, or `None` if there may be
    /// more now.
    async fn handle_due(&self, stop: &CancellationToken) -> Result<Option<Duration>, StoreFailure> {
        let now = self.clock.now();
        let batch = self.queue.take(&self.store, now, self.schedule.longest(), BATCH).await?;
        if batch.deliveries.is_empty() {
            let due = self.queue.next_due(&self.store).await?;
            return Ok(Some(due.map_or(MAX_IDLE, |due| due.since(now).min(MAX_IDLE))));
        }
        let started = Instant::now();
        let mut outcomes = Vec::with_capacity(batch.deliveries.len());
        for delivery in &batch.deliveries {
            let context = self.receiver.context(&delivery.message);
            outcomes.push((delivery.position, context.scope(self.deliver(delivery)).await));
            if stop.is_cancelled() || started.elapsed() >= MAX_TURN {
                break;
            }
        }
        self.settle(&outcomes, stop).await?;
        // Released only now, so that no other consumer gets a delivery whose outcome is being written.
        drop(batch);
        Ok(None)
    }

    /// Stores the outcomes, and tries again until the consumer is stopped. A store that is slow for a moment
    /// must not make messages be handled twice.
    async fn settle(
        &self,
        outcomes: &[(i64, DeliveryOutcome)],
        stop: &CancellationToken,
    ) -> Result<(), StoreFailure> {
        let mut failures = 0u32;
        loop {
            let Err(failure) = self.store.settle(outcomes, self.clock.now()).await else { return Ok(()) };
            if stop.is_cancelled() || !failure.kind().is_transient() {
                return Err(failure);
            }
            tracing::warn!(
                queue = self.queue.name,
                cause = causes(&failure),
                "handled messages cannot be settled now and will be tried again"
            );
            failures = failures.saturating_add(1);
            tokio::select! {
                () = chassis::pause(back_off(failures, FIRST_PAUSE, MAX_PAUSE)) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn deliver(&self, delivery: &Delivery) -> DeliveryOutcome {
        let message = &delivery.message;
        if delivery.refused > 0 {
            self.receiver.count_redelivery();
        }
        let Err(HandlerFailure { refusal, cause }) = self.receiver.handle(message).await else {
            return DeliveryOutcome::Done;
        };
        let attempts = delivery.refused.saturating_add(1);
        match self.schedule.fate(&refusal, attempts, delivery.was_stale) {
            Fate::Retry(pause) => {
                tracing::warn!(
                    queue = self.queue.name, message_id = %message.id, kind = message.kind,
                    attempts, code = refusal.code.as_str(), cause, again_in_ms = pause.as_millis(),
                    "a message could not be handled and will be retried"
                );
                DeliveryOutcome::Retry {
                    due_at: self.clock.now().plus(pause),
                    stale: refusal.kind == Kind::Stale,
                }
            }
            Fate::Dead => {
                self.receiver.count_dead();
                tracing::error!(
                    queue = self.queue.name, message_id = %message.id, kind = message.kind,
                    attempts, code = refusal.code.as_str(), cause,
                    "a message went to the dead letters"
                );
                DeliveryOutcome::Dead { reason: refusal }
            }
        }
    }
}
