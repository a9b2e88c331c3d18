use std::sync::Arc;

use async_trait::async_trait;
use chassis::{Runnable, causes};
use lapin::{Channel, Connection};
use tokio_util::sync::CancellationToken;

use super::connection::{Link, back_off, channel};
use super::intake::{Intake, acknowledge};
use super::{topology, wire};
use crate::BusError;
use crate::receiver::Receiver;
use crate::topic::Pattern;

/// Receives broadcasts, one after the other, from a queue that lives as long as its connection.
pub(super) struct Listener {
    pub(super) ears: Option<Ears>,
    pub(super) link: Arc<Link>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) receiver: Receiver,
}

/// A queue that hears what is published from now on.
pub(super) struct Ears {
    channel: Channel,
    queue: String,
}

/// Broadcasts on their way to one listener.
const HEARING: u16 = 100;

impl Ears {
    pub(super) async fn open(
        connection: &Connection,
        service: &str,
        patterns: &[Pattern],
    ) -> Result<Self, BusError> {
        topology::exchanges(connection).await?;
        let channel = channel(connection).await?;
        // A new name each time: the broker may not know yet that the last connection is gone.
        let queue = format!("{service}.broadcast.{}", uuid::Uuid::new_v4());
        topology::exclusive(&channel, &queue).await?;
        for pattern in patterns {
            topology::bind(&channel, &queue, topology::EVENTS, pattern.as_str()).await?;
        }
        Ok(Self { channel, queue })
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
                    tracing::warn!(service, cause, "broadcasts may have been missed; listening begins again");
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
    async fn listen(&mut self, stop: &CancellationToken, failures: &mut u32) -> Result<(), BusError> {
        let ears = match self.ears.take() {
            Some(ears) => ears,
            None => {
                let connection = tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    connection = self.link.wait() => connection,
                };
                let Some(connection) = connection else { return Ok(()) };
                Ears::open(&connection, self.receiver.service, &self.patterns).await?
            }
        };
        let mut intake = Intake::on(ears.channel, &ears.queue, HEARING).await?;
        while let Some(delivery) = intake.next(stop).await? {
            match wire::message(&delivery) {
                Ok(message) => {
                    let context = self.receiver.context(&message);
                    context.scope(self.receiver.hear(&message)).await;
                }
                Err(why) => tracing::warn!(why, "a broadcast can not be read"),
            }
            acknowledge(&delivery).await?;
            *failures = 0;
        }
        intake.goodbye().await;
        Ok(())
    }
}
