//! An envelope as the properties and headers of an AMQP message, after the attributes of CloudEvents.

use bytes::Bytes;
use kernel::{Clock, Kind, Refusal, SystemClock, Timestamp, Trace};
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::{BusError, DeadLetter, Envelope};

/// The most bytes of a short string (AMQP 0-9-1, §4.2.5.3).
const SHORT: usize = 255;
const PERSISTENT: u8 = 2;

/// What the deliveries before this one have left in the headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Past {
    /// How often it was refused.
    pub(super) refused: u32,
    pub(super) was_stale: bool,
}

/// The properties of a message that is published.
pub(super) fn properties(message: &Envelope) -> Result<BasicProperties, BusError> {
    Ok(BasicProperties::default()
        .with_content_type("application/protobuf".into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(short("an id", &message.id.to_string())?)
        .with_type(short("the type of a message", &message.kind)?)
        .with_app_id(short("the name of a service", &message.source)?)
        .with_timestamp(u64::try_from(message.time.millis() / 1000).unwrap_or(0))
        .with_headers(headers(message)))
}

/// The properties of a message that is to come again.
pub(super) fn again(message: &Envelope, past: Past) -> Result<BasicProperties, BusError> {
    let mut headers = headers(message);
    headers.insert("refused".into(), number(past.refused));
    headers.insert("was-stale".into(), AMQPValue::Boolean(past.was_stale));
    Ok(properties(message)?.with_headers(headers))
}

/// The properties of a message that is given up: its own, and the reason.
pub(super) fn dead(delivery: &Delivery, deliveries: u32, reason: &Refusal) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in delivery.properties.headers().iter().flat_map(|table| table.inner()) {
        // What the broker has written down on the way is its own.
        if !name.as_str().starts_with("x-") {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers.insert("deliveries".into(), number(deliveries));
    headers.insert("died-at".into(), text(&SystemClock.now().to_string()));
    headers.insert("reason-kind".into(), text(&kind(reason.kind)));
    headers.insert("reason-code".into(), text(reason.code.as_str()));
    headers.insert("reason-detail".into(), text(&reason.detail));
    delivery.properties.clone().with_delivery_mode(PERSISTENT).with_headers(headers)
}

fn headers(message: &Envelope) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", &message.id.to_string()),
        ("ce-type", &message.kind),
        ("ce-source", &message.source),
        ("ce-subject", &message.subject),
        ("ce-time", &message.time.to_string()),
        // On a queue of retries the routing key is another one.
        ("ce-key", &message.key),
        ("traceparent", &message.trace.to_string()),
    ] {
        table.insert(name.into(), text(value));
    }
    table.insert("ce-version".into(), number(message.version));
    table
}

/// The message in a delivery, or what keeps it from being read.
pub(super) fn message(delivery: &Delivery) -> Result<Envelope, String> {
    let headers = delivery.properties.headers().as_ref();
    let required = |name: &str| string(headers, name).ok_or_else(|| format!("the header {name} lacks"));
    let unreadable = |name: &str| format!("the header {name} can not be read");
    let number = whole(headers, "ce-version").and_then(|version| u32::try_from(version).ok());
    Ok(Envelope {
        id: required("ce-id")?.parse().map_err(|_| unreadable("ce-id"))?,
        kind: required("ce-type")?,
        key: required("ce-key")?,
        source: required("ce-source")?,
        subject: required("ce-subject")?,
        version: number.ok_or_else(|| unreadable("ce-version"))?,
        time: required("ce-time")?.parse().map_err(|_| unreadable("ce-time"))?,
        // A trace that can't be read must not keep a message from being handled: its story starts anew.
        trace: string(headers, "traceparent").and_then(|text| text.parse().ok()).unwrap_or_else(Trace::start),
        body: Bytes::copy_from_slice(&delivery.data),
    })
}

pub(super) fn past(delivery: &Delivery) -> Past {
    let headers = delivery.properties.headers().as_ref();
    Past {
        refused: whole(headers, "refused").and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        was_stale: headers.and_then(|table| table.inner().get("was-stale")?.as_bool()).unwrap_or(false),
    }
}

/// A dead letter as it lies in its queue.
pub(super) fn dead_letter(position: i64, delivery: &Delivery) -> Result<DeadLetter, String> {
    let headers = delivery.properties.headers().as_ref();
    let reason = |name: &str| string(headers, name);
    let past = past(delivery);
    Ok(DeadLetter {
        position,
        died_at: reason("died-at").and_then(|at| at.parse().ok()).unwrap_or(Timestamp::from_millis(0)),
        deliveries: whole(headers, "deliveries").and_then(|n| u32::try_from(n).ok()).unwrap_or(past.refused),
        // Without a reason of ours it was the broker that gave it up.
        kind: reason("reason-kind").unwrap_or_else(|| kind(Kind::Internal)),
        code: reason("reason-code").or_else(|| reason("x-first-death-reason")).unwrap_or_default(),
        detail: reason("reason-detail").unwrap_or_default(),
        message: message(delivery)?,
    })
}

/// A kind in snake case, as it is everywhere on a wire.
fn kind(kind: Kind) -> String {
    serde_json::to_value(kind).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn number(value: u32) -> AMQPValue {
    AMQPValue::LongLongInt(i64::from(value))
}

/// A text that the protocol keeps short.
pub(super) fn short(what: &str, text: &str) -> Result<ShortString, BusError> {
    ShortString::try_new(text)
        .map_err(|_| BusError::Name(format!("{what} has at most {SHORT} bytes: {text}")))
}

pub(super) fn string(headers: Option<&FieldTable>, name: &str) -> Option<String> {
    match headers?.inner().get(name)? {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

/// A whole number of whatever width: other clients and the management interface choose their own.
pub(super) fn whole(headers: Option<&FieldTable>, name: &str) -> Option<i64> {
    match headers?.inner().get(name)? {
        AMQPValue::LongLongInt(n) => Some(*n),
        AMQPValue::LongInt(n) => Some(i64::from(*n)),
        AMQPValue::LongUInt(n) => Some(i64::from(*n)),
        AMQPValue::ShortInt(n) => Some(i64::from(*n)),
        AMQPValue::ShortUInt(n) => Some(i64::from(*n)),
        AMQPValue::ShortShortInt(n) => Some(i64::from(*n)),
        AMQPValue::ShortShortUInt(n) => Some(i64::from(*n)),
        _ => None,
    }
}
