use std::sync::Arc;

use async_trait::async_trait;
use chassis::{Runnable, causes};
use lapin::{Channel, Connection};
use tokio_util::sync::CancellationToken;

use super::connection::{Link, back_off, open_channel};
use super::inbound::{Deliveries, acknowledge};
use super::{codec, topology};
use crate::BusError;
use crate::receiver::Receiver;
use crate::topic::Pattern;

/// A listener for broadcasts. It handles them one after the other, from a queue that lives as long as its
/// connection.
pub(super) struct Listener {
    /// The queue that is open from the subscription on. It is `None` while the listener reconnects.
    pub(super) queue: Option<BroadcastQueue>,
    pub(super) link: Arc<Link>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) receiver: Receiver,
}

/// A queue that collects what is published from now on.
pub(super) struct BroadcastQueue {
    channel: Channel,
    name: String,
}

/// The most broadcasts that are on their way to one listener.
const PREFETCH: u16 = 100;

impl BroadcastQueue {
    /// Declares the queue and binds it to the patterns.
    pub(super) async fn open(
        connection: &Connection,
        service: &str,
        patterns: &[Pattern],
    ) -> Result<Self, BusError> {
        topology::ensure_shared_exchanges(connection).await?;
        let channel = open_channel(connection).await?;
        // A new name each time, because the broker may not have noticed yet that the last connection is lost.
        let name = format!("{service}.broadcast.{}", uuid::Uuid::new_v4());
        topology::declare_exclusive_queue(&channel, &name).await?;
        for pattern in patterns {
            topology::bind(&channel, &name, topology::EVENTS, pattern.as_str()).await?;
        }
        Ok(Self { channel, name })
    }
}

#[async_trait]
impl Runnable for Listener {
    fn name(&self) -> String {
        format!("{}.broadcast", self.receiver.service)
    }

    async fn run(mut self: Box<Self>, stop: CancellationToken) {
        let mut failures = 0u32;
        while !stop.is_cancelled() {
            match self.listen(&stop, &mut failures).await {
                Ok(()) => return stop.cancelled().await,
                Err(fault) => {
                    let service = self.receiver.service;
                    let cause = causes(&fault);
                    tracing::warn!(
                        service,
                        cause,
                        "broadcasts may have been missed; the listener starts again"
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

impl Listener {
    /// Handles broadcasts until the listener is stopped. Returns an error if the connection is lost.
    async fn listen(&mut self, stop: &CancellationToken, failures: &mut u32) -> Result<(), BusError> {
        let queue = match self.queue.take() {
            Some(queue) => queue,
            None => {
                let connection = tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    connection = self.link.wait() => connection,
                };
                let Some(connection) = connection else { return Ok(()) };
                BroadcastQueue::open(&connection, self.receiver.service, &self.patterns).await?
            }
        };
        let mut deliveries = Deliveries::open_on(queue.channel, &queue.name, PREFETCH).await?;
        while let Some(delivery) = deliveries.next(stop).await? {
            match codec::decode_message(&delivery) {
                Ok(message) => {
                    let context = self.receiver.context(&message);
                    context.scope(self.receiver.handle_broadcast(&message)).await;
                }
                Err(why) => tracing::warn!(why, "a broadcast cannot be decoded"),
            }
            acknowledge(&delivery).await?;
            *failures = 0;
        }
        deliveries.close().await;
        Ok(())
    }
}
