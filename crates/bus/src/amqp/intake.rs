use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use tokio_util::sync::CancellationToken;

use super::connection::{GOODBYE, away, channel, failure, unless_lost};
use crate::BusError;

/// Deliveries from one queue, on a channel of their own: when that ends, what is not acknowledged goes back.
pub(super) struct Intake {
    channel: Channel,
    deliveries: Consumer,
}

impl Intake {
    /// Begins to receive, with at most `prefetch` deliveries that are not acknowledged.
    pub(super) async fn open(connection: &Connection, queue: &str, prefetch: u16) -> Result<Self, BusError> {
        Self::on(channel(connection).await?, queue, prefetch).await
    }

    /// The same on a channel that is there.
    pub(super) async fn on(channel: Channel, queue: &str, prefetch: u16) -> Result<Self, BusError> {
        let queue = queue.to_owned();
        // In a task of its own, which is never left half way: a consumer that the broker has and nobody here would hold
        // messages for as long as the connection lasts.
        let opening = chassis::spawn("bus.consume", async move {
            channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
            let options = BasicConsumeOptions::default();
            let consuming =
                channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default());
            let deliveries = consuming.await?;
            Ok::<_, lapin::Error>(Self { channel, deliveries })
        });
        let opened = opening.await.map_err(|_panicked| away("a consumer could not be opened"))?;
        let intake = opened.map_err(|error| failure(&error))?;
        // The driver may have told all consumers of the end of the channel before it knew of this one.
        if !intake.channel.status().connected() {
            return Err(away("the channel was lost while a consumer was opened"));
        }
        Ok(intake)
    }

    /// The next delivery, or nothing where the consumer is to stop.
    pub(super) async fn next(&mut self, stop: &CancellationToken) -> Result<Option<Delivery>, BusError> {
        let delivery = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(None),
            delivery = self.any() => delivery?,
        };
        Ok(Some(delivery))
    }

    /// The next delivery.
    pub(super) async fn any(&mut self) -> Result<Delivery, BusError> {
        self.rest().await?.ok_or_else(|| away("the broker ended the consumer"))
    }

    /// What is still to be had after `cancel`.
    pub(super) async fn rest(&mut self) -> Result<Option<Delivery>, BusError> {
        self.deliveries.next().await.transpose().map_err(|error| failure(&error))
    }

    /// Receives nothing more than what is on its way.
    pub(super) async fn cancel(&self) -> Result<(), BusError> {
        let cancelled = self.channel.basic_cancel(self.deliveries.tag(), BasicCancelOptions::default());
        match tokio::time::timeout(GOODBYE, cancelled).await {
            Ok(cancelled) => cancelled.map_err(|error| failure(&error)),
            Err(_elapsed) => Err(away("the broker did not end a consumer in time")),
        }
    }

    /// Receives nothing more, and gives back what is on its way, in order.
    pub(super) async fn give_back(&mut self) -> Result<(), BusError> {
        self.cancel().await?;
        while let Some(delivery) = self.rest().await? {
            let options = BasicNackOptions { requeue: true, ..Default::default() };
            unless_lost(delivery.nack(options), || delivery.poisoned()).await?;
        }
        Ok(())
    }

    /// Ends it in order: what was not acknowledged goes back, and the acknowledgements have arrived when this returns.
    pub(super) async fn goodbye(self) {
        // Where the connection is lost, the broker does all this by itself.
        let _late_or_lost = tokio::time::timeout(GOODBYE, self.channel.close(200, "OK".into())).await;
    }
}

/// The effect of a delivery is stored, or it lies somewhere else.
pub(super) async fn acknowledge(delivery: &Delivery) -> Result<(), BusError> {
    match unless_lost(delivery.ack(BasicAckOptions::default()), || delivery.poisoned()).await? {
        true => Ok(()),
        false => Err(away("the channel ended before a delivery was acknowledged")),
    }
}
