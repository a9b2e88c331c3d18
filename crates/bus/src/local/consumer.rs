use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chassis::{Runnable, StoreFailure, back_off, causes};
use kernel::{Clock, Fault, Kind};
use tokio_util::sync::CancellationToken;

use super::queue::Queue;
use super::store::{Delivery, Outcome, Store};
use crate::receiver::{Failed, Receiver};
use crate::schedule::{Fate, Schedule};

/// The most deliveries that a consumer takes at once: one commit settles them all.
const BATCH: u32 = 64;
/// After so long a consumer settles what it has handled and gives the rest back: a slow handler must not keep deliveries
/// from the other consumers of the queue.
const TURN: Duration = Duration::from_millis(200);
/// How long an idle consumer waits at most before it looks by itself: clocks jump, and a wake-up may be lost with a
/// publisher that stopped waiting for its confirmation.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The pause after the store has failed …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// … and the longest after it has failed several times in a row.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Receives from a durable queue, one message after the other.
pub(super) struct Consumer {
    pub(super) queue: Arc<Queue>,
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
            // Before looking, so that what is published while it looks is not missed.
            let mut woken = pin!(self.queue.woken());
            woken.as_mut().enable();
            let looked = self.look(&stop).await;
            failures = if looked.is_ok() { 0 } else { failures.saturating_add(1) };
            let pause = match looked {
                Ok(None) => continue,
                Ok(Some(pause)) => pause,
                Err(failure) => {
                    tracing::warn!(
                        queue = self.queue.name,
                        cause = causes(&failure),
                        "the queue can not be read or settled and will be tried again"
                    );
                    back_off(failures, FIRST_PAUSE, MAX_PAUSE)
                }
            };
            tokio::select! {
                () = &mut woken, if failures == 0 => {}
                () = chassis::pause(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

impl Consumer {
    /// Handles what is due. How long to wait until there may be more, or nothing where there may be more at once.
    async fn look(&self, stop: &CancellationToken) -> Result<Option<Duration>, StoreFailure> {
        let now = self.clock.now();
        let hand = self.queue.take(&self.store, now, self.schedule.longest(), BATCH).await?;
        if hand.deliveries.is_empty() {
            let due = self.queue.next_due(&self.store).await?;
            return Ok(Some(due.map_or(LOOK_AGAIN, |due| due.since(now).min(LOOK_AGAIN))));
        }
        let started = Instant::now();
        let mut outcomes = Vec::with_capacity(hand.deliveries.len());
        for delivery in &hand.deliveries {
            let context = self.receiver.context(&delivery.message);
            outcomes.push((delivery.position, context.scope(self.deliver(delivery)).await));
            if stop.is_cancelled() || started.elapsed() >= TURN {
                break;
            }
        }
        self.settle(&outcomes, stop).await?;
        // Only now is the hand let go of: nobody else gets a delivery whose outcome is on its way.
        drop(hand);
        Ok(None)
    }

    /// Writes the outcomes down, and tries again while the consumer is to run: a store that is slow for a moment is no
    /// reason to handle messages twice.
    async fn settle(
        &self,
        outcomes: &[(i64, Outcome)],
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
                "handled messages can not be settled now and will be tried again"
            );
            failures = failures.saturating_add(1);
            tokio::select! {
                () = chassis::pause(back_off(failures, FIRST_PAUSE, MAX_PAUSE)) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let message = &delivery.message;
        if delivery.refused > 0 {
            self.receiver.comes_again();
        }
        let Err(Failed { refusal, cause }) = self.receiver.handle(message).await else {
            return Outcome::Done;
        };
        let attempts = delivery.refused.saturating_add(1);
        match self.schedule.fate(&refusal, attempts, delivery.was_stale) {
            Fate::Again(pause) => {
                tracing::warn!(
                    queue = self.queue.name, message_id = %message.id, kind = message.kind,
                    attempts, code = refusal.code.as_str(), cause, again_in_ms = pause.as_millis(),
                    "a message could not be handled and will come again"
                );
                Outcome::Again { due_at: self.clock.now().plus(pause), stale: refusal.kind == Kind::Stale }
            }
            Fate::Dead => {
                self.receiver.buried();
                tracing::error!(
                    queue = self.queue.name, message_id = %message.id, kind = message.kind,
                    attempts, code = refusal.code.as_str(), cause,
                    "a message went to the dead letters"
                );
                Outcome::Dead { reason: refusal }
            }
        }
    }
}
