use std::sync::Arc;

use bytes::Bytes;
use kernel::Deadline;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, Connection, PublisherConfirm};
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, mpsc};

use super::connection::{Link, bus_error, open_channel, unavailable};
use super::topology::{self, ServiceExchange};
use crate::BusError;

/// The most unconfirmed messages of one publisher. They bound the memory that a broker costs which confirms
/// nothing.
pub(super) const MAX_UNCONFIRMED: usize = 200;

/// A message with its exchange and routing key.
pub(super) struct OutboundMessage {
    pub(super) exchange: String,
    pub(super) key: String,
    pub(super) properties: BasicProperties,
    pub(super) body: Bytes,
    /// True if the broker returns it when no queue accepts it.
    pub(super) mandatory: bool,
}

/// A message that no queue has accepted.
pub(super) struct ReturnedMessage {
    pub(super) key: String,
    pub(super) properties: BasicProperties,
}

type OnReturn = dyn Fn(ReturnedMessage) + Send + Sync;

/// A publisher with its own channel.
pub(super) struct Publisher {
    link: Arc<Link>,
    window: Arc<Semaphore>,
    /// Used by one task at a time. Messages must be sent in the order in which the driver numbers the
    /// confirmations.
    channel: Arc<Mutex<Option<OpenChannel>>>,
    confirms: bool,
    /// The service's own exchange, which must exist before the first message. Publishers of replies have
    /// none.
    service_exchange: Option<ServiceExchange>,
    /// Called for every returned message. If several publications are in progress, the driver may report a
    /// returned message to the wrong one.
    on_return: Arc<OnReturn>,
}

impl Publisher {
    /// Creates a publisher whose `send` waits until the broker has confirmed the messages.
    pub(super) fn confirming(
        link: &Arc<Link>,
        on_return: impl Fn(ReturnedMessage) + Send + Sync + 'static,
    ) -> Self {
        Self {
            link: link.clone(),
            window: Arc::new(Semaphore::new(MAX_UNCONFIRMED)),
            channel: Arc::default(),
            confirms: true,
            service_exchange: None,
            on_return: Arc::new(on_return),
        }
    }

    /// Makes sure that this exchange of the service exists before the first message.
    pub(super) fn through(self, service_exchange: ServiceExchange) -> Self {
        Self { service_exchange: Some(service_exchange), ..self }
    }

    /// Creates a publisher whose `send` does not wait for confirmations.
    pub(super) fn unconfirmed(link: &Arc<Link>) -> Self {
        Self { confirms: false, ..Self::confirming(link, |_| {}) }
    }

    /// Publishes messages in order. `Ok` means that the broker has confirmed all of them. Returns the number
    /// of messages that no queue has accepted.
    pub(super) async fn send(
        &self,
        messages: Vec<OutboundMessage>,
        deadline: Deadline,
    ) -> Result<usize, BusError> {
        let sent = tokio::time::timeout_at(deadline.instant().into(), self.send_all(messages));
        sent.await.unwrap_or_else(|_elapsed| Err(unavailable("the broker did not confirm in time")))
    }

    /// Succeeds if the broker answers now.
    pub(super) async fn ping(&self) -> Result<(), BusError> {
        let connection = self.link.current()?;
        if connection.status().blocked() {
            // The broker answers nothing on a blocked connection. Its notice that it blocks is an answer.
            return Ok(());
        }
        let open = self.open(None).await?;
        let request = open.channel()?.basic_qos(0, Default::default());
        request.await.map_err(|error| bus_error(&error))
    }

    /// Succeeds if the broker accepts messages. A broker that is short of memory or disk blocks the
    /// connection.
    pub(super) fn check_accepting(&self) -> Result<(), BusError> {
        let blocked = self.link.current()?.status().blocked();
        if blocked { Err(unavailable("the broker accepts no messages now")) } else { Ok(()) }
    }

    async fn send_all(&self, messages: Vec<OutboundMessage>) -> Result<usize, BusError> {
        let (sent, confirms) = mpsc::unbounded_channel();
        // A separate task that also waits for confirmations whose caller has stopped waiting. So the number
        // of unconfirmed messages stays right, and no returned message is lost.
        let collecting = chassis::spawn("bus.confirms", collect(confirms, self.on_return.clone()));
        for message in messages {
            let permit = self.window.clone().acquire_owned().await;
            let permit = permit.map_err(|_closed| unavailable("the bus is closed"))?;
            let confirm = self.write(message).await?;
            if sent.send((confirm, permit)).is_err() {
                break;
            }
        }
        drop(sent);
        collecting.await.map_err(|_panicked| unavailable("the confirmations were not read"))?
    }

    async fn write(&self, message: OutboundMessage) -> Result<PublisherConfirm, BusError> {
        let OutboundMessage { exchange, key, properties, body, mandatory } = message;
        let open = self.open(self.service_exchange.clone()).await?;
        let options = BasicPublishOptions { mandatory, ..Default::default() };
        let written = open.channel()?.basic_publish(exchange.into(), key.into(), options, &body, properties);
        written.await.map_err(|error| bus_error(&error))
    }

    /// Returns the channel for exclusive use. Opens a new one if there is none, if the last one has ended, or
    /// if it was opened without this exchange.
    async fn open(&self, service_exchange: Option<ServiceExchange>) -> Result<ChannelGuard, BusError> {
        let slot = self.channel.clone().lock_owned().await;
        let connection = self.link.current()?;
        if connection.status().blocked() {
            return Err(unavailable("the broker accepts no messages now"));
        }
        if slot.as_ref().is_some_and(|open| open.serves(service_exchange.as_ref())) {
            return Ok(ChannelGuard(slot));
        }
        // A separate task, which keeps the lock. A caller that gives up meanwhile (a readiness check, every
        // second) would leave a half-open channel. While the broker is silent, these would add up to the
        // limit of channels.
        let confirms = self.confirms;
        let opening = chassis::spawn("bus.channel", async move {
            replace_channel(slot, &connection, service_exchange, confirms).await
        });
        opening.await.unwrap_or_else(|_panicked| Err(unavailable("a channel could not be opened")))
    }
}

/// An open channel with the service's exchange that is known to exist.
struct OpenChannel {
    channel: Channel,
    service_exchange: Option<ServiceExchange>,
}

impl OpenChannel {
    /// Returns true if the channel is open and the exchange is known to exist.
    fn serves(&self, exchange: Option<&ServiceExchange>) -> bool {
        self.channel.status().connected()
            && (exchange.is_none() || exchange == self.service_exchange.as_ref())
    }
}

/// Exclusive access to the channel of a publisher.
struct ChannelGuard(OwnedMutexGuard<Option<OpenChannel>>);

impl ChannelGuard {
    fn channel(&self) -> Result<&Channel, BusError> {
        self.0.as_ref().map(|open| &open.channel).ok_or_else(|| unavailable("there is no channel"))
    }
}

async fn replace_channel(
    mut slot: OwnedMutexGuard<Option<OpenChannel>>,
    connection: &Connection,
    service_exchange: Option<ServiceExchange>,
    confirms: bool,
) -> Result<ChannelGuard, BusError> {
    *slot = None;
    topology::ensure_shared_exchanges(connection).await?;
    if let Some(exchange) = &service_exchange {
        exchange.ensure(connection).await?;
    }
    let channel = open_channel(connection).await?;
    if confirms {
        let confirming = channel.confirm_select(ConfirmSelectOptions::default());
        confirming.await.map_err(|error| bus_error(&error))?;
    }
    *slot = Some(OpenChannel { channel, service_exchange });
    Ok(ChannelGuard(slot))
}

/// Waits for all confirmations, even after one of them has failed. Returns the number of returned messages.
async fn collect(
    mut confirms: mpsc::UnboundedReceiver<(PublisherConfirm, OwnedSemaphorePermit)>,
    on_return: Arc<OnReturn>,
) -> Result<usize, BusError> {
    let (mut returned, mut outcome) = (0, Ok(()));
    while let Some((confirm, _permit)) = confirms.recv().await {
        let message = match confirm.await {
            Ok(Confirmation::Ack(message)) => message,
            Ok(Confirmation::NotRequested) => None,
            Ok(Confirmation::Nack(message)) => {
                outcome = Err(unavailable("the broker could not store a message"));
                message
            }
            Err(error) => {
                outcome = Err(bus_error(&error));
                None
            }
        };
        if let Some(message) = message {
            returned += 1;
            let message = message.delivery;
            on_return(ReturnedMessage {
                key: message.routing_key.to_string(),
                properties: message.properties,
            });
        }
    }
    outcome.map(|()| returned)
}
