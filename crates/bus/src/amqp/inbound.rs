use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use tokio_util::sync::CancellationToken;

use super::connection::{CLOSE_TIMEOUT, bus_error, open_channel, unavailable, unless_lost};
use crate::BusError;

/// The deliveries from one queue, on their own channel. When the channel ends, unacknowledged deliveries go
/// back.
pub(super) struct Deliveries {
    channel: Channel,
    consumer: Consumer,
}

impl Deliveries {
    /// Starts to receive, with at most `prefetch` unacknowledged deliveries.
    pub(super) async fn open(connection: &Connection, queue: &str, prefetch: u16) -> Result<Self, BusError> {
        Self::open_on(open_channel(connection).await?, queue, prefetch).await
    }

    /// Starts to receive on an open channel.
    pub(super) async fn open_on(channel: Channel, queue: &str, prefetch: u16) -> Result<Self, BusError> {
        let queue = queue.to_owned();
        // A separate task, so that it is always completed. A consumer that only the broker knows would hold
        // messages for as long as the connection lasts.
        let opening = chassis::spawn("bus.consume", async move {
            channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
            let options = BasicConsumeOptions::default();
            let consuming =
                channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default());
            let consumer = consuming.await?;
            Ok::<_, lapin::Error>(Self { channel, consumer })
        });
        let opened = opening.await.map_err(|_panicked| unavailable("a consumer could not be opened"))?;
        let deliveries = opened.map_err(|error| bus_error(&error))?;
        // The driver may have notified all consumers of the end of the channel before it knew this one.
        if !deliveries.channel.status().connected() {
            return Err(unavailable("the channel was lost while a consumer was opened"));
        }
        Ok(deliveries)
    }

    /// Returns the next delivery, or `None` if the consumer is to stop.
    pub(super) async fn next(&mut self, stop: &CancellationToken) -> Result<Option<Delivery>, BusError> {
        let delivery = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(None),
            delivery = self.receive() => delivery?,
        };
        Ok(Some(delivery))
    }

    /// Returns the next delivery.
    pub(super) async fn receive(&mut self) -> Result<Delivery, BusError> {
        self.receive_rest().await?.ok_or_else(|| unavailable("the broker ended the consumer"))
    }

    /// Returns the next delivery, or `None` after the last one that arrives after `cancel`.
    pub(super) async fn receive_rest(&mut self) -> Result<Option<Delivery>, BusError> {
        self.consumer.next().await.transpose().map_err(|error| bus_error(&error))
    }

    /// Stops receiving. Deliveries that the broker has already sent still arrive.
    pub(super) async fn cancel(&self) -> Result<(), BusError> {
        let cancelled = self.channel.basic_cancel(self.consumer.tag(), BasicCancelOptions::default());
        match tokio::time::timeout(CLOSE_TIMEOUT, cancelled).await {
            Ok(cancelled) => cancelled.map_err(|error| bus_error(&error)),
            Err(_elapsed) => Err(unavailable("the broker did not end a consumer in time")),
        }
    }

    /// Stops receiving, and returns the deliveries that still arrive to the queue, in order.
    pub(super) async fn requeue_rest(&mut self) -> Result<(), BusError> {
        self.cancel().await?;
        while let Some(delivery) = self.receive_rest().await? {
            let options = BasicNackOptions { requeue: true, ..Default::default() };
            unless_lost(delivery.nack(options), || delivery.poisoned()).await?;
        }
        Ok(())
    }

    /// Closes the channel in order. When this returns, unacknowledged deliveries are back and
    /// acknowledgements have arrived.
    pub(super) async fn close(self) {
        // If the connection is lost, the broker does the same without us.
        let _late_or_lost = tokio::time::timeout(CLOSE_TIMEOUT, self.channel.close(200, "OK".into())).await;
    }
}

/// Acknowledges a delivery, after its effect is stored or the message is in another queue.
pub(super) async fn acknowledge(delivery: &Delivery) -> Result<(), BusError> {
    match unless_lost(delivery.ack(BasicAckOptions::default()), || delivery.poisoned()).await? {
        true => Ok(()),
        false => Err(unavailable("the channel ended before a delivery was acknowledged")),
    }
}
