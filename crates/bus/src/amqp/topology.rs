//! The names on the broker, and how they get there.
//!
//! Everything that belongs to a service begins with its name, so that its user's permissions can be three patterns. No
//! service publishes through the default exchange, which reaches every queue of everybody.

use std::collections::BTreeSet;
use std::time::Duration;

use lapin::options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ExchangeKind};

use super::connection::{channel, failure};
use crate::topic::Pattern;
use crate::{BusError, Schedule};

/// The topic exchange of all messages, to which consumers bind their queues. In a fleet nobody may write to it: who could
/// would reach every key, since RabbitMQ asks for a key's permission only where a client publishes, and neither where an
/// exchange is bound to another nor where a queue passes its dead letters on. Messages come in through [`outgoing`].
pub(super) const EVENTS: &str = "portal.events";
/// The exchange of all requests; the routing key is the address. A topic exchange too, because only on these a user's
/// permissions can be told by the key: nobody hears another's calls.
pub(super) const CALLS: &str = "portal.calls";
/// The exchange of all replies; the routing key is the queue of the process that asked.
pub(super) const REPLIES: &str = "portal.replies";

/// A message is given up by the broker when it was in the hand of so many consumers that ended without a word (their
/// process crashed, their connection was lost). RabbitMQ 4 has this limit by itself, 3 has none.
const DELIVERY_LIMIT: i32 = 20;
/// Looking at dead letters counts as delivering them; without a limit of its own RabbitMQ 4 would drop them at 20.
const LOOKS: i32 = 1_000_000;
/// The most broadcasts that wait for a process that does not keep up.
const WAITING: i32 = 1024;
/// A queue of calls that a restarted broker brings back and nobody serves is gone after this.
const UNSERVED: Duration = Duration::from_secs(10);

/// The exchanges that all services share. In a fleet they come with the broker's definitions and no service may change
/// them; on an empty broker whoever comes first makes them.
pub(super) async fn exchanges(connection: &Connection) -> Result<(), BusError> {
    let mut looking = channel(connection).await?;
    for name in [EVENTS, CALLS, REPLIES] {
        let passive = ExchangeDeclareOptions { passive: true, ..Default::default() };
        let looked =
            looking.exchange_declare(name.into(), ExchangeKind::Topic, passive, FieldTable::default());
        if looked.await.is_err() {
            // An answer in the negative has closed the channel.
            looking = channel(connection).await?;
            exchange(&looking, name, ExchangeKind::Topic).await?;
        }
    }
    Ok(())
}

/// The topic exchange to which a service publishes. What it passes on to [`EVENTS`] is said by a binding that the service
/// can't change.
pub(super) fn outgoing(service: &str) -> String {
    format!("{service}.events")
}

/// A service's way out: in a fleet it comes with the broker's definitions, whose binding names the keys that are the service's
/// own. On an empty broker it is made, open for every key.
pub(super) async fn way_out(connection: &Connection, name: &str) -> Result<(), BusError> {
    let looking = channel(connection).await?;
    let passive = ExchangeDeclareOptions { passive: true, ..Default::default() };
    let looked = looking.exchange_declare(name.into(), ExchangeKind::Topic, passive, FieldTable::default());
    if looked.await.is_ok() {
        return Ok(());
    }
    let making = channel(connection).await?;
    exchange(&making, name, ExchangeKind::Topic).await?;
    let options = ExchangeBindOptions::default();
    let bound = making.exchange_bind(EVENTS.into(), name.into(), "#".into(), options, FieldTable::default());
    bound.await.map_err(|error| failure(&error))
}

async fn exchange(channel: &Channel, name: &str, kind: ExchangeKind) -> Result<(), BusError> {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let made = channel.exchange_declare(name.into(), kind, durable, FieldTable::default());
    made.await.map_err(|error| failure(&error))
}

/// A durable queue with those beside it: one for each pause before a retry, and one for the dead letters. All are bound
/// under their own names to an exchange of the service.
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

    /// Where a message waits for so long before it comes again.
    pub(super) fn retry(&self, pause: Duration) -> String {
        format!("{}.retry.{}", self.name, text(pause))
    }

    pub(super) fn dead(&self) -> String {
        dead(&self.name)
    }

    /// Makes what is not there. A queue that is there and different is refused.
    pub(super) async fn declare(&self, connection: &Connection) -> Result<(), BusError> {
        exchanges(connection).await?;
        let channel = channel(connection).await?;
        exchange(&channel, &self.exchange, ExchangeKind::Direct).await?;
        let looks = arguments([("x-delivery-limit", AMQPValue::LongInt(LOOKS))]);
        self.quorum(&channel, &self.dead(), looks).await?;
        let mut own = self.passing_on(&self.dead());
        own.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
        self.quorum(&channel, &self.name, own).await?;
        for pause in &self.pauses {
            let millis = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX).max(1);
            let mut waiting = self.passing_on(&self.name);
            // All in one queue wait equally long: a message expires only at the head of its queue.
            waiting.insert("x-message-ttl".into(), AMQPValue::LongLongInt(millis));
            self.quorum(&channel, &self.retry(*pause), waiting).await?;
        }
        for pattern in &self.patterns {
            bind(&channel, &self.name, EVENTS, pattern.as_str()).await?;
        }
        Ok(())
    }

    async fn quorum(&self, channel: &Channel, name: &str, mut more: FieldTable) -> Result<(), BusError> {
        more.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(name.into(), options, more).await.map_err(|error| failure(&error))?;
        bind(channel, name, &self.exchange, name).await
    }

    /// The arguments of a queue whose messages go to another one of the family, with a confirmation between the two.
    fn passing_on(&self, to: &str) -> FieldTable {
        let text = |text: &str| AMQPValue::LongString(text.into());
        arguments([
            ("x-dead-letter-exchange", text(&self.exchange)),
            ("x-dead-letter-routing-key", text(to)),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
        ])
    }
}

/// The dead letters of a queue.
pub(super) fn dead(queue: &str) -> String {
    format!("{queue}.dead")
}

/// A queue for this connection alone that ends with it.
pub(super) async fn exclusive(channel: &Channel, name: &str) -> Result<(), BusError> {
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let bounded = arguments([
        ("x-queue-type", AMQPValue::LongString("classic".into())),
        ("x-max-length", AMQPValue::LongInt(WAITING)),
    ]);
    channel.queue_declare(name.into(), options, bounded).await.map_err(|error| failure(&error))?;
    Ok(())
}

/// The queue of an address. It is there while somebody serves it: a call that finds none comes back at once.
pub(super) async fn address(channel: &Channel, name: &str) -> Result<(), BusError> {
    let options = QueueDeclareOptions { durable: true, auto_delete: true, ..Default::default() };
    let unserved = i64::try_from(UNSERVED.as_millis()).unwrap_or(i64::MAX);
    let classic = arguments([
        ("x-queue-type", AMQPValue::LongString("classic".into())),
        ("x-expires", AMQPValue::LongLongInt(unserved)),
    ]);
    channel.queue_declare(name.into(), options, classic).await.map_err(|error| failure(&error))?;
    bind(channel, name, CALLS, name).await
}

pub(super) async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> Result<(), BusError> {
    let options = QueueBindOptions::default();
    let bound = channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default());
    bound.await.map_err(|error| failure(&error))
}

fn arguments<const N: usize>(pairs: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in pairs {
        table.insert(name.into(), value);
    }
    table
}

/// A pause as it stands in the name of a queue: `1s`, `2m`, `20ms`.
fn text(pause: Duration) -> String {
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
    fn a_queue_for_each_pause_is_named_after_it() {
        let queue =
            DurableQueue::new("recommendations", "recommendations.reading", Vec::new(), &Schedule::default());
        let names: Vec<String> = queue.pauses.iter().map(|pause| queue.retry(*pause)).collect();
        let pauses = ["1s", "5s", "30s", "2m", "10m"];
        assert_eq!(names, pauses.map(|pause| format!("recommendations.reading.retry.{pause}")));
        assert_eq!(queue.retry(Duration::ZERO), "recommendations.reading.retry.0ms");
        assert_eq!(queue.retry(Duration::from_millis(1500)), "recommendations.reading.retry.1500ms");
        assert_eq!(queue.dead(), "recommendations.reading.dead");
    }
}
