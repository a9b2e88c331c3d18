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

use crate::instrument::Publication;
use crate::receiver::Receiver;
use crate::topic::parse_all;
use crate::{Bus, BusError, Call, CallHandler, DeadLetter, Envelope, Handler, Queue, Schedule, Subscription};

mod calls;
mod codec;
mod connection;
mod consumer;
mod inbound;
mod listener;
mod publisher;
mod server;
#[cfg(test)]
mod tests;
mod topology;

use calls::CallSender;
use connection::{Link, bus_error, open_channel};
use consumer::Consumer;
use listener::{BroadcastQueue, Listener};
use publisher::{OutboundMessage, Publisher};
use server::Server;
use topology::{DurableQueue, ServiceExchange};

/// The time for which `open`, `subscribe` and `serve` wait for a broker that does not answer yet.
const PATIENCE: Duration = Duration::from_secs(5);
/// The name of this adapter in traces, as OpenTelemetry defines it.
const SYSTEM: &str = "rabbitmq";

/// The bus of a fleet.
///
/// It has two connections, one to send and one to receive. A broker that is short of memory or disk stops
/// reading from connections that publish, and acknowledgements must still reach it.
pub struct AmqpBus {
    outgoing: Arc<Link>,
    incoming: Arc<Link>,
    publisher: Publisher,
    /// The exchange that it publishes to.
    exchange: String,
    calls: CallSender,
    schedule: Arc<Schedule>,
    /// The durable queues that this service has subscribed to.
    queues: Mutex<BTreeSet<String>>,
    _close_when_dropped: DropGuard,
}

impl AmqpBus {
    /// Connects to the broker at `url`, such as `amqp://users:password@rabbitmq:5672/portal`, and waits for
    /// it for at most five seconds. After that a lost connection is reopened automatically.
    ///
    /// # Errors
    /// If the URL is not valid, or no broker answers in that time.
    pub async fn open(url: &str, schedule: Schedule) -> Result<Self, BusError> {
        let uri: AMQPUri = parse_url(url)?;
        let user = uri.authority.userinfo.username.clone();
        Self::open_as(&user, &uri, schedule).await
    }

    /// Connects under the name of this service, which begins the names of its exchange and its queue of
    /// replies.
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
        let events = ServiceExchange::events(service);
        let incoming = Arc::new(Link::start(uri, "receives", closing.clone()));
        let outgoing = Arc::new(Link::start(uri, "sends", closing.clone()));
        let bus = Self {
            publisher: Publisher::confirming(&outgoing, |returned| {
                let kind = returned.properties.kind().as_ref().map(|kind| kind.as_str());
                tracing::warn!(key = returned.key, kind, "no subscription matches the key of this message");
            })
            .through(events.clone()),
            exchange: events.name,
            calls: CallSender::new(service, &outgoing, &incoming),
            outgoing,
            incoming,
            schedule: Arc::new(schedule),
            queues: Mutex::default(),
            _close_when_dropped: closing.drop_guard(),
        };
        let deadline = Deadline::after(patience);
        for link in [&bus.incoming, &bus.outgoing] {
            link.wait_until(deadline).await.map_err(|fault| {
                let (host, port) = (&uri.authority.host, uri.authority.port);
                let (user, vhost) = (&uri.authority.userinfo.username, &uri.vhost);
                BusError::Unavailable(format!(
                    "no broker at {host}:{port} accepted the user {user} for the virtual host {vhost} within {patience:?} (bus.url): {fault}"
                ))
            })?;
        }
        Ok(bus)
    }

    /// Returns the oldest dead letters of a durable queue, at most `limit`. They stay in the queue. During
    /// the call no other client sees them.
    ///
    /// # Errors
    /// If the broker is unavailable, or the queue does not exist.
    pub async fn dead_letters(&self, queue: &str, limit: u32) -> Result<Vec<DeadLetter>, BusError> {
        let channel = open_channel(&*self.incoming.current()?).await?;
        let name = codec::short("the name of a queue", &topology::dead_queue(queue))?;
        let mut letters = Vec::new();
        for position in 0..i64::from(limit) {
            let letter = channel.basic_get(name.clone(), BasicGetOptions::default()).await;
            let Some(letter) = letter.map_err(|error| bus_error(&error))? else { break };
            match codec::decode_dead_letter(position, &letter.delivery) {
                Ok(letter) => letters.push(letter),
                Err(why) => tracing::warn!(queue, why, "a dead letter cannot be decoded"),
            }
        }
        // Letters that are not acknowledged go back to their positions.
        channel.close(200, "OK".into()).await.map_err(|error| bus_error(&error))?;
        Ok(letters)
    }

    /// Removes the dead letters of a queue that name `person`, among those that are in the queue now.
    async fn forget_in(&self, queue: &str, person: &str) -> Result<(), BusError> {
        let channel = open_channel(&*self.incoming.current()?).await?;
        let name = codec::short("the name of a queue", &topology::dead_queue(queue))?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declared = channel.queue_declare(name.clone(), passive, FieldTable::default()).await;
        let count = declared.map_err(|error| bus_error(&error))?.message_count();
        for _ in 0..count {
            let letter = channel.basic_get(name.clone(), BasicGetOptions::default()).await;
            let Some(letter) = letter.map_err(|error| bus_error(&error))? else { break };
            // A letter that can't be decoded may contain anything, so it stays for the operator.
            if codec::decode_dead_letter(0, &letter.delivery)
                .is_ok_and(|letter| names(&letter.message, person))
            {
                letter.delivery.ack(BasicAckOptions::default()).await.map_err(|error| bus_error(&error))?;
            }
        }
        // Letters that are not acknowledged go back to their positions.
        channel.close(200, "OK".into()).await.map_err(|error| bus_error(&error))
    }

    /// Sends messages and waits until the broker has confirmed them.
    async fn send(&self, messages: Vec<Envelope>) -> Result<(), BusError> {
        let outbound = |message: Envelope| {
            let properties = codec::properties(&message)?;
            let key = codec::short("a routing key", &message.key)?.to_string();
            let (exchange, body) = (self.exchange.clone(), message.body);
            Ok(OutboundMessage { exchange, key, properties, body, mandatory: true })
        };
        let messages = messages.into_iter().map(outbound).collect::<Result<Vec<_>, BusError>>()?;
        // A message without a subscription is confirmed and dropped, with a warning.
        self.publisher.send(messages, Context::current().deadline).await?;
        Ok(())
    }
}

/// Returns true if a message names a person and says more about them than what happens to their account.
fn names(message: &Envelope, person: &str) -> bool {
    message.subject != person && message.body.windows(person.len()).any(|bytes| bytes == person.as_bytes())
}

/// Parses the address of a broker.
pub(crate) fn parse_url(url: &str) -> Result<AMQPUri, BusError> {
    // Neither the URL nor the parser's message is repeated, because they contain a password.
    let sentence = "bus.url is not an address such as amqp://user:password@host:5672/vhost";
    url.parse().map_err(|_| BusError::Url(sentence.to_owned()))
}

#[async_trait]
impl Bus for AmqpBus {
    async fn publish(&self, mut messages: Vec<Envelope>) -> Result<(), BusError> {
        let publication = Publication::begin(SYSTEM, &mut messages);
        publication.end(self.send(messages).await)
    }

    async fn subscribe(
        &self,
        subscription: Subscription,
        handler: Arc<dyn Handler>,
    ) -> Result<Box<dyn Runnable>, BusError> {
        let Subscription { queue, keys, service, budget } = subscription;
        let patterns = parse_all(&keys)?;
        let receiver = |queue: Option<&str>| Receiver::new(SYSTEM, service, queue, budget, handler);
        let connection = self.incoming.wait_until(Deadline::after(PATIENCE)).await?;
        let name = match queue {
            Queue::Broadcast => {
                let queue = Some(BroadcastQueue::open(&connection, service, &patterns).await?);
                let receiver = receiver(None);
                return Ok(Box::new(Listener { queue, link: self.incoming.clone(), patterns, receiver }));
            }
            Queue::Durable(name) => name,
        };
        if !name.starts_with(&format!("{service}.")) {
            return Err(BusError::Name(format!(
                "{name:?} is not a name of a durable queue of {service}, such as {service}.projection"
            )));
        }
        let queue = DurableQueue::new(service, &name, patterns, &self.schedule);
        codec::short("the name of a queue", &queue.retry_queue(Duration::from_millis(u64::from(u32::MAX))))?;
        queue.declare(&connection).await?;
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        Ok(Box::new(Consumer {
            queue,
            link: self.incoming.clone(),
            mover: Publisher::confirming(&self.outgoing, |_| {}),
            schedule: self.schedule.clone(),
            receiver: receiver(Some(&name)),
        }))
    }

    async fn call(&self, address: &str, call: Call) -> Result<Bytes, Refusal> {
        let _counting = Context::current().upstream.count();
        self.calls.call(address, call).await
    }

    async fn serve(
        &self,
        service: &'static str,
        address: &str,
        handler: Arc<dyn CallHandler>,
    ) -> Result<Box<dyn Runnable>, BusError> {
        codec::short("an address", &calls::cancellation_key(address))?;
        let connection = self.incoming.wait_until(Deadline::after(PATIENCE)).await?;
        let server = Server::new(service, address, handler, &self.incoming, &self.outgoing);
        let open = match server.open(&connection).await {
            // The queue may have been removed with the last server of this address, between our two steps.
            Err(BusError::Unavailable(_)) => server.open(&connection).await?,
            opened => opened?,
        };
        Ok(Box::new(server.start(open)))
    }

    /// Always returns true. The broker deletes acknowledged messages some time later. Waiting messages will
    /// be handled or become dead letters, and can't be searched from here.
    async fn forget(&self, person: &str) -> Result<bool, BusError> {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for queue in queues {
            self.forget_in(&queue, person).await?;
        }
        Ok(true)
    }

    async fn ping(&self) -> Result<(), BusError> {
        self.incoming.current()?;
        self.publisher.ping().await
    }

    async fn try_write(&self) -> Result<(), BusError> {
        self.publisher.check_accepting()
    }

    async fn close(&self) {
        self.incoming.close().await;
        self.outgoing.close().await;
    }
}
