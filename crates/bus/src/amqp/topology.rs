//! The exchanges and queues on the broker, and their declaration.
//!
//! Every name that belongs to a service begins with the service's name, so that three patterns are enough for
//! its user's permissions. No service publishes through the default exchange, which reaches the queues of all
//! services.

use std::collections::BTreeSet;
use std::time::Duration;

use lapin::options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ExchangeKind};

use super::connection::{bus_error, open_channel};
use crate::topic::Pattern;
use crate::{BusError, Schedule};

/// The topic exchange of all messages, to which consumers bind their queues.
///
/// In a fleet no service may write to it, because that would reach every key. RabbitMQ checks a key's
/// permission only when a client publishes, not when an exchange is bound to another or a queue forwards its
/// dead letters. Messages come in through the exchanges of [`ServiceExchange::events`].
pub(super) const EVENTS: &str = "portal.events";
/// The exchange of all requests. The routing key is the address. It is a topic exchange too, because only on
/// these can a user's permissions depend on the key. So no service receives another service's calls. Requests
/// come in through the exchanges of [`ServiceExchange::calls`], for the same reason as messages.
pub(super) const CALLS: &str = "portal.calls";
/// The exchange of all replies. The routing key is the reply queue of the calling process.
pub(super) const REPLIES: &str = "portal.replies";

/// The broker gives a message up after this many consumers have ended while they held it (their process
/// crashed, their connection was lost). RabbitMQ 4 has this limit by default, 3 has none.
const DELIVERY_LIMIT: i32 = 20;
/// The delivery limit of dead letters. Reading them counts as delivering them, and with its default limit
/// RabbitMQ 4 would drop them after 20 times.
const DEAD_LETTER_LIMIT: i32 = 1_000_000;
/// The most broadcasts that wait for a process that is too slow.
const MAX_WAITING: i32 = 1024;
/// The lifetime of a queue of calls that a restarted broker restores and no process serves.
const UNSERVED_LIFETIME: Duration = Duration::from_secs(10);

/// Makes sure that the exchanges exist that all services share. In a fleet they come with the broker's
/// definitions, and no service may change them. On an empty broker the first service creates them.
pub(super) async fn ensure_shared_exchanges(connection: &Connection) -> Result<(), BusError> {
    let mut channel = open_channel(connection).await?;
    for name in [EVENTS, CALLS, REPLIES] {
        let passive = ExchangeDeclareOptions { passive: true, ..Default::default() };
        let found =
            channel.exchange_declare(name.into(), ExchangeKind::Topic, passive, FieldTable::default());
        if found.await.is_err() {
            // The broker reports "not found" by closing the channel.
            channel = open_channel(connection).await?;
            declare_exchange(&channel, name, ExchangeKind::Topic).await?;
        }
    }
    Ok(())
}

/// A topic exchange to which one service publishes. A binding that the service can't change says which keys
/// it forwards to a shared exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceExchange {
    pub(super) name: String,
    /// The shared exchange.
    target: &'static str,
}

impl ServiceExchange {
    /// Returns the exchange of a service's messages.
    pub(super) fn events(service: &str) -> Self {
        Self { name: format!("{service}.events"), target: EVENTS }
    }

    /// Returns the exchange of a service's requests.
    pub(super) fn calls(service: &str) -> Self {
        Self { name: format!("{service}.calls"), target: CALLS }
    }

    /// Makes sure that the exchange exists. In a fleet it comes with the broker's definitions, whose binding
    /// names the service's keys. On an empty broker it is created, open for every key.
    pub(super) async fn ensure(&self, connection: &Connection) -> Result<(), BusError> {
        let (name, none) = (self.name.as_str(), FieldTable::default);
        let channel = open_channel(connection).await?;
        let passive = ExchangeDeclareOptions { passive: true, ..Default::default() };
        let found = channel.exchange_declare(name.into(), ExchangeKind::Topic, passive, none());
        if found.await.is_ok() {
            return Ok(());
        }
        let channel = open_channel(connection).await?;
        declare_exchange(&channel, name, ExchangeKind::Topic).await?;
        let options = ExchangeBindOptions::default();
        let bound = channel.exchange_bind(self.target.into(), name.into(), "#".into(), options, none());
        bound.await.map_err(|error| bus_error(&error))
    }
}

async fn declare_exchange(channel: &Channel, name: &str, kind: ExchangeKind) -> Result<(), BusError> {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let declared = channel.exchange_declare(name.into(), kind, durable, FieldTable::default());
    declared.await.map_err(|error| bus_error(&error))
}

/// A durable queue with the queues beside it: one for each pause before a retry, and one for the dead
/// letters. All are bound under their own names to an exchange of the service.
pub(super) struct DurableQueue {
    pub(super) name: String,
    /// The service's own exchange.
    pub(super) exchange: String,
    patterns: Vec<Pattern>,
    pauses: BTreeSet<Duration>,
}

impl DurableQueue {
    pub(super) fn new(service: &str, name: &str, patterns: Vec<Pattern>, schedule: &Schedule) -> Self {
        let pauses = schedule.pauses().iter().copied().collect();
        Self { name: name.to_owned(), exchange: format!("{service}.queues"), patterns, pauses }
    }

    /// Returns the name of the queue in which a message waits for this pause.
    pub(super) fn retry_queue(&self, pause: Duration) -> String {
        format!("{}.retry.{}", self.name, pause_name(pause))
    }

    /// Returns the name of the queue of dead letters.
    pub(super) fn dead_queue(&self) -> String {
        dead_queue(&self.name)
    }

    /// Declares all queues of the family. The broker refuses a queue that exists with other properties.
    pub(super) async fn declare(&self, connection: &Connection) -> Result<(), BusError> {
        ensure_shared_exchanges(connection).await?;
        let channel = open_channel(connection).await?;
        declare_exchange(&channel, &self.exchange, ExchangeKind::Direct).await?;
        let limit = arguments([("x-delivery-limit", AMQPValue::LongInt(DEAD_LETTER_LIMIT))]);
        self.declare_quorum_queue(&channel, &self.dead_queue(), limit).await?;
        let mut own = self.forwarding_to(&self.dead_queue());
        own.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
        self.declare_quorum_queue(&channel, &self.name, own).await?;
        for pause in &self.pauses {
            let millis = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX).max(1);
            let mut waiting = self.forwarding_to(&self.name);
            // All messages of one queue wait equally long, because a message expires only at the head of its
            // queue.
            waiting.insert("x-message-ttl".into(), AMQPValue::LongLongInt(millis));
            self.declare_quorum_queue(&channel, &self.retry_queue(*pause), waiting).await?;
        }
        for pattern in &self.patterns {
            bind(&channel, &self.name, EVENTS, pattern.as_str()).await?;
        }
        Ok(())
    }

    async fn declare_quorum_queue(
        &self,
        channel: &Channel,
        name: &str,
        mut more: FieldTable,
    ) -> Result<(), BusError> {
        more.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(name.into(), options, more).await.map_err(|error| bus_error(&error))?;
        bind(channel, name, &self.exchange, name).await
    }

    /// Returns the arguments of a queue whose messages go to another one of the family, confirmed between the
    /// two.
    fn forwarding_to(&self, to: &str) -> FieldTable {
        let text = |text: &str| AMQPValue::LongString(text.into());
        arguments([
            ("x-dead-letter-exchange", text(&self.exchange)),
            ("x-dead-letter-routing-key", text(to)),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
        ])
    }
}

/// Returns the name of the queue of dead letters that belongs to `queue`.
pub(super) fn dead_queue(queue: &str) -> String {
    format!("{queue}.dead")
}

/// Declares a queue that only this connection uses and that ends with it.
pub(super) async fn declare_exclusive_queue(channel: &Channel, name: &str) -> Result<(), BusError> {
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let bounded = arguments([
        ("x-queue-type", AMQPValue::LongString("classic".into())),
        ("x-max-length", AMQPValue::LongInt(MAX_WAITING)),
    ]);
    channel.queue_declare(name.into(), options, bounded).await.map_err(|error| bus_error(&error))?;
    Ok(())
}

/// Declares the queue of an address. It exists while a process serves it. A call that finds no queue is
/// returned immediately.
pub(super) async fn declare_address_queue(channel: &Channel, name: &str) -> Result<(), BusError> {
    let options = QueueDeclareOptions { durable: true, auto_delete: true, ..Default::default() };
    let lifetime = i64::try_from(UNSERVED_LIFETIME.as_millis()).unwrap_or(i64::MAX);
    let classic = arguments([
        ("x-queue-type", AMQPValue::LongString("classic".into())),
        ("x-expires", AMQPValue::LongLongInt(lifetime)),
    ]);
    channel.queue_declare(name.into(), options, classic).await.map_err(|error| bus_error(&error))?;
    bind(channel, name, CALLS, name).await
}

/// Binds a queue to an exchange.
pub(super) async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> Result<(), BusError> {
    let options = QueueBindOptions::default();
    let bound = channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default());
    bound.await.map_err(|error| bus_error(&error))
}

fn arguments<const N: usize>(pairs: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in pairs {
        table.insert(name.into(), value);
    }
    table
}

/// Formats a pause for the name of a queue: `1s`, `2m`, `20ms`.
fn pause_name(pause: Duration) -> String {
    let millis = pause.as_millis();
    match (millis % 60_000, millis % 1000) {
        (0, _) if millis > 0 => format!("{}m", millis / 60_000),
        (_, 0) if millis > 0 => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_of_each_pause_is_named_after_it() {
        let queue =
            DurableQueue::new("recommendations", "recommendations.reading", Vec::new(), &Schedule::default());
        let names: Vec<String> = queue.pauses.iter().map(|pause| queue.retry_queue(*pause)).collect();
        let pauses = ["1s", "5s", "30s", "2m", "10m"];
        assert_eq!(names, pauses.map(|pause| format!("recommendations.reading.retry.{pause}")));
        assert_eq!(queue.retry_queue(Duration::ZERO), "recommendations.reading.retry.0ms");
        assert_eq!(queue.retry_queue(Duration::from_millis(1500)), "recommendations.reading.retry.1500ms");
        assert_eq!(queue.dead_queue(), "recommendations.reading.dead");
    }
}
