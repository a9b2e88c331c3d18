use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use chassis::{Runnable, causes};
use kernel::{Deadline, Kind, Refusal};
use lapin::Connection;
use lapin::message::Delivery;
use tokio_util::sync::CancellationToken;

use super::codec::{self, RefusalHistory};
use super::connection::{Link, back_off, unavailable};
use super::inbound::{Deliveries, acknowledge};
use super::publisher::{OutboundMessage, Publisher};
use super::topology::DurableQueue;
use crate::receiver::{HandlerFailure, Receiver};
use crate::schedule::Fate;
use crate::{BusError, Envelope, Schedule};

/// The number of quick deliveries in a row after which a consumer becomes fast.
const QUICK_DELIVERIES: u32 = 100;
/// The time after which a delivery is slow. A fast consumer then returns the deliveries that it has not
/// begun.
const SLOW: Duration = Duration::from_millis(200);
/// The longest time for moving a message to another queue.
const MOVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The number of deliveries that a consumer takes in advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// One at a time. Every consumer begins so: waiting messages are free for the others, and the broker
    /// counts a crash only against the message that has caused it.
    Careful,
    /// As many as keep a quick handler busy without waiting for the broker.
    Fast,
}

impl Pace {
    fn prefetch(self) -> u16 {
        match self {
            Self::Careful => 1,
            Self::Fast => 32,
        }
    }
}

/// A consumer of a durable queue. It handles one message after the other, and reconnects when the connection
/// is lost.
pub(super) struct Consumer {
    pub(super) queue: DurableQueue,
    pub(super) link: Arc<Link>,
    /// Moves messages to the queues of retries and dead letters. It is not shared: with one publication at a
    /// time its result says whether this message was returned.
    pub(super) mover: Publisher,
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
            let connection = tokio::select! {
                () = stop.cancelled() => return,
                connection = self.link.wait() => connection,
            };
            // The bus is closed, so nothing will come. The service keeps running.
            let Some(connection) = connection else { return stop.cancelled().await };
            match self.consume(&connection, &stop, &mut failures).await {
                Ok(()) => return,
                Err(fault) => {
                    let queue = &self.queue.name;
                    tracing::warn!(
                        queue,
                        cause = causes(&fault),
                        "the consumer has stopped and will start again"
                    );
                }
            }
            failures = failures.saturating_add(1);
            tokio::select! {
                () = chassis::pause(back_off(failures)) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

impl Consumer {
    /// Handles messages until the consumer is stopped. Returns an error if the connection is lost. Messages
    /// that are not acknowledged then are delivered again.
    async fn consume(
        &self,
        connection: &Connection,
        stop: &CancellationToken,
        failures: &mut u32,
    ) -> Result<(), BusError> {
        let declared = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            declared = self.queue.declare(connection) => declared,
        };
        declared?;
        let mut pace = Pace::Careful;
        loop {
            let opening = Deliveries::open(connection, &self.queue.name, pace.prefetch());
            let mut deliveries = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                deliveries = opening => deliveries?,
            };
            let next = match pace {
                Pace::Careful => self.consume_carefully(&mut deliveries, stop, failures).await?,
                Pace::Fast => self.consume_fast(&mut deliveries, stop).await?,
            };
            deliveries.close().await;
            match next {
                Some(next) => pace = next,
                None => return Ok(()),
            }
        }
    }

    /// Handles deliveries one at a time. Returns `Fast` after enough quick ones, and `None` when stopped.
    async fn consume_carefully(
        &self,
        deliveries: &mut Deliveries,
        stop: &CancellationToken,
        failures: &mut u32,
    ) -> Result<Option<Pace>, BusError> {
        let mut quick = 0;
        while let Some(delivery) = deliveries.next(stop).await? {
            let begun = Instant::now();
            self.settle(&delivery).await?;
            *failures = 0;
            quick = if begun.elapsed() < SLOW { quick + 1 } else { 0 };
            if quick == QUICK_DELIVERIES {
                deliveries.cancel().await?;
                while let Some(delivery) = deliveries.receive_rest().await? {
                    self.settle(&delivery).await?;
                }
                return Ok(Some(Pace::Fast));
            }
        }
        Ok(None)
    }

    /// Handles deliveries that arrive in advance. Returns `Careful` after a slow one, and `None` when
    /// stopped.
    async fn consume_fast(
        &self,
        deliveries: &mut Deliveries,
        stop: &CancellationToken,
    ) -> Result<Option<Pace>, BusError> {
        while let Some(delivery) = deliveries.next(stop).await? {
            let mut settling = pin!(self.settle(&delivery));
            match tokio::time::timeout(SLOW, &mut settling).await {
                Ok(settled) => settled?,
                Err(_elapsed) => {
                    let requeued = deliveries.requeue_rest().await;
                    settling.await?;
                    requeued?;
                    return Ok(Some(Pace::Careful));
                }
            }
        }
        deliveries.requeue_rest().await?;
        Ok(None)
    }

    /// Handles a delivery, and acknowledges it when its effect is stored or the message is in another queue.
    async fn settle(&self, delivery: &Delivery) -> Result<(), BusError> {
        let history = codec::refusal_history(delivery);
        if delivery.redelivered || history.refused > 0 {
            self.receiver.count_redelivery();
        }
        match codec::decode_message(delivery) {
            Ok(message) => {
                let context = self.receiver.context(&message);
                let handle = async {
                    match self.receiver.handle(&message).await {
                        Ok(()) => Ok(()),
                        Err(failure) => self.refuse(delivery, &message, history, &failure).await,
                    }
                };
                context.scope(handle).await?;
            }
            Err(why) => {
                let reason = Refusal::new(Kind::Malformed, "unreadable_message", why);
                self.move_to_dead_letters(delivery, history.refused.saturating_add(1), &reason.into())
                    .await?;
            }
        }
        acknowledge(delivery).await
    }

    /// Moves a refused message to the queue of its pause or to the dead letters.
    async fn refuse(
        &self,
        delivery: &Delivery,
        message: &Envelope,
        history: RefusalHistory,
        failure: &HandlerFailure,
    ) -> Result<(), BusError> {
        let attempts = history.refused.saturating_add(1);
        let HandlerFailure { refusal, cause } = failure;
        let Fate::Retry(pause) = self.schedule.fate(refusal, attempts, history.was_stale) else {
            return self.move_to_dead_letters(delivery, attempts, failure).await;
        };
        tracing::warn!(
            queue = self.queue.name, message_id = %message.id, kind = message.kind,
            attempts, code = refusal.code.as_str(), cause, again_in_ms = pause.as_millis(),
            "a message could not be handled and will be retried"
        );
        let was_stale = history.was_stale || refusal.kind == Kind::Stale;
        let history = RefusalHistory { refused: attempts, was_stale };
        let properties = codec::retry_properties(message, history)?;
        self.move_to(self.queue.retry_queue(pause), properties, message.body.clone()).await
    }

    async fn move_to_dead_letters(
        &self,
        delivery: &Delivery,
        attempts: u32,
        failure: &HandlerFailure,
    ) -> Result<(), BusError> {
        let HandlerFailure { refusal, cause } = failure;
        tracing::error!(
            queue = self.queue.name,
            message_id = delivery.properties.message_id().as_ref().map(|id| id.as_str()),
            attempts,
            code = refusal.code.as_str(),
            cause,
            "a message went to the dead letters"
        );
        let properties = codec::dead_properties(delivery, attempts, refusal);
        self.move_to(self.queue.dead_queue(), properties, Bytes::copy_from_slice(&delivery.data)).await?;
        self.receiver.count_dead();
        Ok(())
    }

    /// Publishes a message to another queue of the family. Until the broker has confirmed it, the message
    /// also stays in its own queue.
    async fn move_to(
        &self,
        queue: String,
        properties: lapin::BasicProperties,
        body: Bytes,
    ) -> Result<(), BusError> {
        let exchange = self.queue.exchange.clone();
        let message = OutboundMessage { exchange, key: queue, properties, body, mandatory: true };
        match self.mover.send(vec![message], Deadline::after(MOVE_TIMEOUT)).await? {
            0 => Ok(()),
            _ => Err(unavailable("a queue of this subscription no longer exists")),
        }
    }
}
