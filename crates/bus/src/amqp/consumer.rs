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

use super::connection::{Link, away, back_off};
use super::intake::{Intake, acknowledge};
use super::publisher::{Parcel, Publisher};
use super::topology::DurableQueue;
use super::wire::{self, Past};
use crate::receiver::{Failed, Receiver};
use crate::schedule::Fate;
use crate::{BusError, Envelope, Schedule};

/// How a consumer begins: one at a time. What waits is anybody's, and a message that ends its process is the only one
/// that the broker counts it against.
const CAREFUL: u16 = 1;
/// How it goes on while its handler is quick: so many on their way that the broker is never waited for.
const BRISK: u16 = 32;
/// So many quick ones in a row make a consumer brisk.
const TRUST: u32 = 100;
/// After so long a handler is slow: what is on its way to it goes back to the others.
const SLOW: Duration = Duration::from_millis(200);
/// How long putting a message aside may take.
const PUT_ASIDE: Duration = Duration::from_secs(10);

/// Receives from a durable queue, one message after the other, on whatever connection there is.
pub(super) struct Consumer {
    pub(super) queue: DurableQueue,
    pub(super) link: Arc<Link>,
    /// Its own: with one publication at a time it knows what came back.
    pub(super) aside: Publisher,
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
            // The bus is closed: nothing will ever come, but the service runs on.
            let Some(connection) = connection else { return stop.cancelled().await };
            match self.receive(&connection, &stop, &mut failures).await {
                Ok(()) => return,
                Err(fault) => {
                    let queue = &self.queue.name;
                    tracing::warn!(queue, cause = causes(&fault), "receiving ended and will begin again");
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
    /// Receives until it is stopped or something is lost. What is not acknowledged then comes again.
    async fn receive(
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
        let mut prefetch = CAREFUL;
        loop {
            let opening = Intake::open(connection, &self.queue.name, prefetch);
            let mut intake = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                intake = opening => intake?,
            };
            let outcome = match prefetch {
                CAREFUL => self.go_carefully(&mut intake, stop, failures).await?,
                _ => self.go_briskly(&mut intake, stop).await?,
            };
            intake.goodbye().await;
            match outcome {
                Some(next) => prefetch = next,
                None => return Ok(()),
            }
        }
    }

    /// Takes one after the other until it is stopped, which is nothing, or may go on briskly.
    async fn go_carefully(
        &self,
        intake: &mut Intake,
        stop: &CancellationToken,
        failures: &mut u32,
    ) -> Result<Option<u16>, BusError> {
        let mut quick = 0;
        while let Some(delivery) = intake.next(stop).await? {
            let begun = Instant::now();
            self.settle(&delivery).await?;
            *failures = 0;
            quick = if begun.elapsed() < SLOW { quick + 1 } else { 0 };
            if quick == TRUST {
                intake.cancel().await?;
                while let Some(delivery) = intake.rest().await? {
                    self.settle(&delivery).await?;
                }
                return Ok(Some(BRISK));
            }
        }
        Ok(None)
    }

    /// Takes many, one after the other, until it is stopped, which is nothing, or is to be careful again.
    async fn go_briskly(
        &self,
        intake: &mut Intake,
        stop: &CancellationToken,
    ) -> Result<Option<u16>, BusError> {
        while let Some(delivery) = intake.next(stop).await? {
            let mut settling = pin!(self.settle(&delivery));
            match tokio::time::timeout(SLOW, &mut settling).await {
                Ok(settled) => settled?,
                Err(_elapsed) => {
                    let given_back = intake.give_back().await;
                    settling.await?;
                    given_back?;
                    return Ok(Some(CAREFUL));
                }
            }
        }
        intake.give_back().await?;
        Ok(None)
    }

    /// Handles a delivery, and acknowledges it when its effect is stored or it lies somewhere else.
    async fn settle(&self, delivery: &Delivery) -> Result<(), BusError> {
        let past = wire::past(delivery);
        if delivery.redelivered || past.refused > 0 {
            self.receiver.comes_again();
        }
        match wire::message(delivery) {
            Ok(message) => {
                let context = self.receiver.context(&message);
                let handled = async {
                    match self.receiver.handle(&message).await {
                        Ok(()) => Ok(()),
                        Err(failed) => self.refuse(delivery, &message, past, &failed).await,
                    }
                };
                context.scope(handled).await?;
            }
            Err(why) => {
                let reason = Refusal::new(Kind::Malformed, "unreadable_message", why);
                self.bury(delivery, past.refused.saturating_add(1), &reason.into()).await?;
            }
        }
        acknowledge(delivery).await
    }

    async fn refuse(
        &self,
        delivery: &Delivery,
        message: &Envelope,
        past: Past,
        failed: &Failed,
    ) -> Result<(), BusError> {
        let attempts = past.refused.saturating_add(1);
        let Failed { refusal, cause } = failed;
        let Fate::Again(pause) = self.schedule.fate(refusal, attempts, past.was_stale) else {
            return self.bury(delivery, attempts, failed).await;
        };
        tracing::warn!(
            queue = self.queue.name, message_id = %message.id, kind = message.kind,
            attempts, code = refusal.code.as_str(), cause, again_in_ms = pause.as_millis(),
            "a message could not be handled and will come again"
        );
        let past = Past { refused: attempts, was_stale: refusal.kind == Kind::Stale };
        let properties = wire::again(message, past)?;
        self.put_aside(self.queue.retry(pause), properties, message.body.clone()).await
    }

    async fn bury(&self, delivery: &Delivery, attempts: u32, failed: &Failed) -> Result<(), BusError> {
        let Failed { refusal, cause } = failed;
        tracing::error!(
            queue = self.queue.name,
            message_id = delivery.properties.message_id().as_ref().map(|id| id.as_str()),
            attempts,
            code = refusal.code.as_str(),
            cause,
            "a message went to the dead letters"
        );
        let properties = wire::dead(delivery, attempts, refusal);
        self.put_aside(self.queue.dead(), properties, Bytes::copy_from_slice(&delivery.data)).await?;
        self.receiver.buried();
        Ok(())
    }

    /// Lays a message in another queue of the family. Until the broker has confirmed that, it stays in its own too.
    async fn put_aside(
        &self,
        queue: String,
        properties: lapin::BasicProperties,
        body: Bytes,
    ) -> Result<(), BusError> {
        let exchange = self.queue.exchange.clone();
        let parcel = Parcel { exchange, key: queue, properties, body, mandatory: true };
        match self.aside.send(vec![parcel], Deadline::after(PUT_ASIDE)).await? {
            0 => Ok(()),
            _ => Err(away("a queue of this subscription is not there any more")),
        }
    }
}
