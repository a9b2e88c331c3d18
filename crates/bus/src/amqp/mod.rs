//! The bus over AMQP 0-9-1: RabbitMQ 3.10 or newer.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chassis::{Context, Runnable};
use kernel::{Deadline, Refusal};
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::receiver::Receiver;
use crate::told::Publishing;
use crate::topic::parse;
use crate::{Bus, BusError, Call, CallHandler, DeadLetter, Envelope, Handler, Queue, Schedule, Subscription};

mod calls;
mod connection;
mod consumer;
mod intake;
mod listener;
mod publisher;
mod server;
#[cfg(test)]
mod tests;
mod topology;
mod wire;

use calls::Caller;
use connection::{Link, channel, failure};
use consumer::Consumer;
use listener::{Ears, Listener};
use publisher::{Parcel, Publisher};
use server::Server;
use topology::DurableQueue;

/// How long opening, subscribing and serving wait for a broker that does not answer yet.
const PATIENCE: Duration = Duration::from_secs(5);
/// What traces call this bus, as OpenTelemetry does.
const SYSTEM: &str = "rabbitmq";

/// The bus of a fleet.
///
/// Two connections: one to send and one to receive. A broker that is short of memory or disk stops reading from
/// connections that publish, and acknowledgements must still reach it then.
pub struct AmqpBus {
    outgoing: Arc<Link>,
    incoming: Arc<Link>,
    publisher: Publisher,
    /// The exchange that it publishes to.
    way_out: String,
    caller: Caller,
    schedule: Arc<Schedule>,
    /// The durable queues that this service subscribed to.
    queues: Mutex<BTreeSet<String>>,
    _close_when_dropped: DropGuard,
}

impl AmqpBus {
    /// Connects to the broker at `url`, such as `amqp://users:password@rabbitmq:5672/portal`, and waits for it for five
    /// seconds. From then on a lost connection comes again by itself.
    ///
    /// # Errors
    /// Where the URL can't be read or nobody answers in that time.
    pub async fn open(url: &str, schedule: Schedule) -> Result<Self, BusError> {
        let uri: AMQPUri = read(url)?;
        let user = uri.authority.userinfo.username.clone();
        Self::open_as(&user, &uri, schedule).await
    }

    /// The same under a name of its own for the queue of replies.
    async fn open_as(service: &str, uri: &AMQPUri, schedule: Schedule) -> Result<Self, BusError> {
        Self::open_within(PATIENCE, service, uri, schedule).await
    }

    async fn open_within(
        patience: Duration,
        service: &str,
        uri: &AMQPUri,
        schedule: Schedule,
    ) -> Result<Self, BusError> {
        let closing = CancellationToken::new();
        let incoming = Arc::new(Link::start(uri, "receives", closing.clone()));
        let outgoing = Arc::new(Link::start(uri, "sends", closing.clone()));
        let bus = Self {
            publisher: Publisher::confirming(&outgoing, |returned| {
                let kind = returned.properties.kind().as_ref().map(|kind| kind.as_str());
                tracing::warn!(key = returned.key, kind, "nobody subscribes to the key of this message");
            })
            .through(topology::outgoing(service)),
            way_out: topology::outgoing(service),
            caller: Caller::new(service, &outgoing, &incoming),
            outgoing,
            incoming,
            schedule: Arc::new(schedule),
            queues: Mutex::default(),
            _close_when_dropped: closing.drop_guard(),
        };
        let deadline = Deadline::after(patience);
        for link in [&bus.incoming, &bus.outgoing] {
            link.within(deadline).await.map_err(|fault| {
                let (host, port) = (&uri.authority.host, uri.authority.port);
                let (user, vhost) = (&uri.authority.userinfo.username, &uri.vhost);
                BusError::Away(format!(
                    "no broker at {host}:{port} let {user} into the virtual host {vhost} within {patience:?} (bus.url): {fault}"
                ))
            })?;
        }
        Ok(bus)
    }

    /// The oldest dead letters of a durable queue, at most `limit`. They stay where they are; for this moment nobody
    /// else sees them.
    ///
    /// # Errors
    /// Where the broker is away, or there is no such queue.
    pub async fn dead_letters(&self, queue: &str, limit: u32) -> Result<Vec<DeadLetter>, BusError> {
        let channel = channel(&*self.incoming.now()?).await?;
        let name = wire::short("the name of a queue", &topology::dead(queue))?;
        let mut letters = Vec::new();
        for position in 0..i64::from(limit) {
            let got = channel.basic_get(name.clone(), BasicGetOptions::default()).await;
            let Some(got) = got.map_err(|error| failure(&error))? else { break };
            match wire::dead_letter(position, &got.delivery) {
                Ok(letter) => letters.push(letter),
                Err(why) => tracing::warn!(queue, why, "a dead letter can not be read"),
            }
        }
        // What was looked at and not acknowledged goes back to its place.
        channel.close(200, "OK".into()).await.map_err(|error| failure(&error))?;
        Ok(letters)
    }

    /// Removes those dead letters of a queue that name `person`, as far as the queue is long now.
    async fn forget_in(&self, queue: &str, person: &str) -> Result<(), BusError> {
        let channel = channel(&*self.incoming.now()?).await?;
        let name = wire::short("the name of a queue", &topology::dead(queue))?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let there = channel.queue_declare(name.clone(), passive, FieldTable::default()).await;
        let letters = there.map_err(|error| failure(&error))?.message_count();
        for _ in 0..letters {
            let got = channel.basic_get(name.clone(), BasicGetOptions::default()).await;
            let Some(got) = got.map_err(|error| failure(&error))? else { break };
            // One that can't be read may hold anything, and stays for whoever looks at dead letters.
            if wire::dead_letter(0, &got.delivery).is_ok_and(|letter| names(&letter.message, person)) {
                got.delivery.ack(BasicAckOptions::default()).await.map_err(|error| failure(&error))?;
            }
        }
        // What was looked at and not acknowledged goes back to its place.
        channel.close(200, "OK".into()).await.map_err(|error| failure(&error))
    }

    /// Sends messages and waits until the broker has them.
    async fn send(&self, messages: Vec<Envelope>) -> Result<(), BusError> {
        let parcel = |message: Envelope| {
            let properties = wire::properties(&message)?;
            let key = wire::short("a routing key", &message.key)?.to_string();
            let (exchange, body) = (self.way_out.clone(), message.body);
            Ok(Parcel { exchange, key, properties, body, mandatory: true })
        };
        let parcels = messages.into_iter().map(parcel).collect::<Result<Vec<_>, BusError>>()?;
        // A message that nobody subscribes to is confirmed and gone, with a warning.
        self.publisher.send(parcels, Context::current().deadline).await?;
        Ok(())
    }
}

/// Whether a message names a person and says more of them than what becomes of their account.
fn names(message: &Envelope, person: &str) -> bool {
    message.subject != person && message.body.windows(person.len()).any(|bytes| bytes == person.as_bytes())
}

pub(crate) fn read(url: &str) -> Result<AMQPUri, BusError> {
    // Neither the URL nor what its parser says of it is repeated: they hold a password.
    let sentence = "bus.url is no address such as amqp://user:password@host:5672/vhost";
    url.parse().map_err(|_| BusError::Url(sentence.to_owned()))
}

#[async_trait]
impl Bus for AmqpBus {
    async fn publish(&self, mut messages: Vec<Envelope>) -> Result<(), BusError> {
        let publishing = Publishing::begin(SYSTEM, &mut messages);
        publishing.end(self.send(messages).await)
    }

    async fn subscribe(
        &self,
        subscription: Subscription,
        handler: Arc<dyn Handler>,
    ) -> Result<Box<dyn Runnable>, BusError> {
        let Subscription { queue, keys, service, budget } = subscription;
        let patterns = parse(&keys)?;
        let receiver = |queue: Option<&str>| Receiver::new(SYSTEM, service, queue, budget, handler);
        let connection = self.incoming.within(Deadline::after(PATIENCE)).await?;
        let name = match queue {
            Queue::Broadcast => {
                let ears = Some(Ears::open(&connection, service, &patterns).await?);
                let receiver = receiver(None);
                return Ok(Box::new(Listener { ears, link: self.incoming.clone(), patterns, receiver }));
            }
            Queue::Durable(name) => name,
        };
        if !name.starts_with(&format!("{service}.")) {
            return Err(BusError::Name(format!(
                "{name:?} is no name of a durable queue of {service} such as {service}.projection"
            )));
        }
        let queue = DurableQueue::new(service, &name, patterns, &self.schedule);
        wire::short("the name of a queue", &queue.retry(Duration::from_millis(u64::from(u32::MAX))))?;
        queue.declare(&connection).await?;
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        Ok(Box::new(Consumer {
            queue,
            link: self.incoming.clone(),
            aside: Publisher::confirming(&self.outgoing, |_| {}),
            schedule: self.schedule.clone(),
            receiver: receiver(Some(&name)),
        }))
    }

    async fn call(&self, address: &str, call: Call) -> Result<Bytes, Refusal> {
        let _counting = Context::current().upstream.count();
        self.caller.call(address, call).await
    }

    async fn serve(
        &self,
        service: &'static str,
        address: &str,
        handler: Arc<dyn CallHandler>,
    ) -> Result<Box<dyn Runnable>, BusError> {
        wire::short("an address", &calls::given_up(address))?;
        let connection = self.incoming.within(Deadline::after(PATIENCE)).await?;
        let server = Server::new(service, address, handler, &self.incoming, &self.outgoing);
        let open = match server.open(&connection).await {
            // The last server of this address may have taken its queue away between our two steps.
            Err(BusError::Away(_)) => server.open(&connection).await?,
            opened => opened?,
        };
        Ok(Box::new(server.start(open)))
    }

    /// The broker deletes what is acknowledged by itself, some time later; what waits is handled, or becomes a dead letter, and can't be
    /// looked at from here.
    async fn forget(&self, person: &str) -> Result<bool, BusError> {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for queue in queues {
            self.forget_in(&queue, person).await?;
        }
        Ok(true)
    }

    async fn ping(&self) -> Result<(), BusError> {
        self.incoming.now()?;
        self.publisher.ping().await
    }

    async fn try_write(&self) -> Result<(), BusError> {
        self.publisher.is_taking()
    }

    async fn close(&self) {
        self.incoming.close().await;
        self.outgoing.close().await;
    }
}
