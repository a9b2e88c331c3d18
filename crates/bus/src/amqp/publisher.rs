use std::sync::Arc;

use bytes::Bytes;
use kernel::Deadline;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, Connection, PublisherConfirm};
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, mpsc};

use super::connection::{Link, away, channel, failure};
use super::topology;
use crate::BusError;

/// The most messages of one publisher that wait for their confirmation. A broker that confirms nothing costs no more
/// memory than these.
pub(super) const WINDOW: usize = 200;

/// Something to be published.
pub(super) struct Parcel {
    pub(super) exchange: String,
    pub(super) key: String,
    pub(super) properties: BasicProperties,
    pub(super) body: Bytes,
    /// Whether it comes back where no queue takes it.
    pub(super) mandatory: bool,
}

/// A message that no queue took.
pub(super) struct Returned {
    pub(super) key: String,
    pub(super) properties: BasicProperties,
}

type OnReturn = dyn Fn(Returned) + Send + Sync;

/// Publishes on a channel of its own and waits for confirmations.
pub(super) struct Publisher {
    link: Arc<Link>,
    window: Arc<Semaphore>,
    /// One at a time: the order on the wire must be that in which the driver numbers the confirmations.
    channel: Arc<Mutex<Option<Way>>>,
    confirms: bool,
    /// The exchange that has to be there besides those that all share, before the first message. Who never sends needs none.
    way_out: Option<String>,
    /// With several publications under way, the driver may tell one of them that a message of another came back. So
    /// all of them tell this.
    on_return: Arc<OnReturn>,
}

impl Publisher {
    /// A publisher whose `send` waits until the broker has taken the messages.
    pub(super) fn confirming(link: &Arc<Link>, on_return: impl Fn(Returned) + Send + Sync + 'static) -> Self {
        Self {
            link: link.clone(),
            window: Arc::new(Semaphore::new(WINDOW)),
            channel: Arc::default(),
            confirms: true,
            way_out: None,
            on_return: Arc::new(on_return),
        }
    }

    /// The same for what a service tells through its own exchange of this name.
    pub(super) fn through(self, way_out: String) -> Self {
        Self { way_out: Some(way_out), ..self }
    }

    /// A publisher whose `send` only writes.
    pub(super) fn plain(link: &Arc<Link>) -> Self {
        Self { confirms: false, ..Self::confirming(link, |_| {}) }
    }

    /// Publishes in order. `Ok` says that the broker has confirmed all, and how many of them no queue took.
    pub(super) async fn send(&self, parcels: Vec<Parcel>, deadline: Deadline) -> Result<usize, BusError> {
        let sent = tokio::time::timeout_at(deadline.instant().into(), self.send_all(parcels));
        sent.await.unwrap_or_else(|_elapsed| Err(away("the broker did not confirm in time")))
    }

    /// Whether the broker answers at this moment.
    pub(super) async fn ping(&self) -> Result<(), BusError> {
        let connection = self.link.now()?;
        if connection.status().blocked() {
            // It answers nothing on this connection; that it has said so is an answer.
            return Ok(());
        }
        let open = self.open(None).await?;
        let asked = open.channel()?.basic_qos(0, Default::default());
        asked.await.map_err(|error| failure(&error))
    }

    /// Whether the broker takes messages: one that is short of memory or disk says so.
    pub(super) fn is_taking(&self) -> Result<(), BusError> {
        let blocked = self.link.now()?.status().blocked();
        if blocked { Err(away("the broker takes no messages for now")) } else { Ok(()) }
    }

    async fn send_all(&self, parcels: Vec<Parcel>) -> Result<usize, BusError> {
        let (sent, confirms) = mpsc::unbounded_channel();
        // In a task of its own: a confirmation that nobody waits for any more is still waited for, so that the window
        // stays true and no message that came back is lost.
        let collecting = chassis::spawn("bus.confirms", collect(confirms, self.on_return.clone()));
        for parcel in parcels {
            let permit = self.window.clone().acquire_owned().await;
            let permit = permit.map_err(|_closed| away("the bus is closed"))?;
            let confirm = self.write(parcel).await?;
            if sent.send((confirm, permit)).is_err() {
                break;
            }
        }
        drop(sent);
        collecting.await.map_err(|_panicked| away("the confirmations were not read"))?
    }

    async fn write(&self, parcel: Parcel) -> Result<PublisherConfirm, BusError> {
        let Parcel { exchange, key, properties, body, mandatory } = parcel;
        let open = self.open(self.way_out.clone()).await?;
        let options = BasicPublishOptions { mandatory, ..Default::default() };
        let written = open.channel()?.basic_publish(exchange.into(), key.into(), options, &body, properties);
        written.await.map_err(|error| failure(&error))
    }

    /// The channel, a new one where there was none or the last one has ended, or was opened without this way out. Nobody else has it
    /// meanwhile.
    async fn open(&self, way_out: Option<String>) -> Result<Open, BusError> {
        let slot = self.channel.clone().lock_owned().await;
        let connection = self.link.now()?;
        if connection.status().blocked() {
            return Err(away("the broker takes no messages for now"));
        }
        if slot.as_ref().is_some_and(|way| way.leads_to(way_out.as_ref())) {
            return Ok(Open(slot));
        }
        // In a task of its own, which keeps the place: somebody whose time is over meanwhile (a readiness check, every second)
        // would leave a channel half open, and at a broker that is silent for a while they add up to the most that there may be.
        let confirms = self.confirms;
        let opening =
            chassis::spawn("bus.channel", async move { renew(slot, &connection, way_out, confirms).await });
        opening.await.unwrap_or_else(|_panicked| Err(away("a channel could not be opened")))
    }
}

/// A channel, and the exchange that is known to be there.
struct Way {
    channel: Channel,
    out: Option<String>,
}

impl Way {
    fn leads_to(&self, out: Option<&String>) -> bool {
        self.channel.status().connected() && (out.is_none() || out == self.out.as_ref())
    }
}

/// The place of an open channel, and the turn to use it.
struct Open(OwnedMutexGuard<Option<Way>>);

impl Open {
    fn channel(&self) -> Result<&Channel, BusError> {
        self.0.as_ref().map(|way| &way.channel).ok_or_else(|| away("there is no channel"))
    }
}

async fn renew(
    mut slot: OwnedMutexGuard<Option<Way>>,
    connection: &Connection,
    way_out: Option<String>,
    confirms: bool,
) -> Result<Open, BusError> {
    *slot = None;
    topology::exchanges(connection).await?;
    if let Some(name) = &way_out {
        topology::way_out(connection, name).await?;
    }
    let opened = channel(connection).await?;
    if confirms {
        let confirming = opened.confirm_select(ConfirmSelectOptions::default());
        confirming.await.map_err(|error| failure(&error))?;
    }
    *slot = Some(Way { channel: opened, out: way_out });
    Ok(Open(slot))
}

/// Waits for all confirmations, whatever becomes of the first of them.
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
                outcome = Err(away("the broker could not take a message"));
                message
            }
            Err(error) => {
                outcome = Err(failure(&error));
                None
            }
        };
        if let Some(message) = message {
            returned += 1;
            let message = message.delivery;
            on_return(Returned { key: message.routing_key.to_string(), properties: message.properties });
        }
    }
    outcome.map(|()| returned)
}
