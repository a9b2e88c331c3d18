//! The translation of envelopes into properties and headers of AMQP messages, after the attributes of
//! CloudEvents.

use bytes::Bytes;
use kernel::{Clock, Kind, Refusal, SystemClock, Timestamp, Trace};
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::{BusError, DeadLetter, Envelope};

/// The most bytes of a short string (AMQP 0-9-1, §4.2.5.3).
const MAX_SHORT: usize = 255;
const PERSISTENT: u8 = 2;

/// The refusals of earlier deliveries, as the headers record them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RefusalHistory {
    /// The number of refusals.
    pub(super) refused: u32,
    /// True if one of them was `Stale`.
    pub(super) was_stale: bool,
}

/// Returns the properties of a message that is published.
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

/// Returns the properties of a message that is to be delivered again.
pub(super) fn retry_properties(
    message: &Envelope,
    past: RefusalHistory,
) -> Result<BasicProperties, BusError> {
    let mut headers = headers(message);
    headers.insert("refused".into(), number(past.refused));
    headers.insert("was-stale".into(), AMQPValue::Boolean(past.was_stale));
    Ok(properties(message)?.with_headers(headers))
}

/// Returns the properties of a message that is given up: its own, and the reason.
pub(super) fn dead_properties(delivery: &Delivery, deliveries: u32, reason: &Refusal) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in delivery.properties.headers().iter().flat_map(|table| table.inner()) {
        // The broker's own headers are left out.
        if !name.as_str().starts_with("x-") {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers.insert("deliveries".into(), number(deliveries));
    headers.insert("died-at".into(), text(&SystemClock.now().to_string()));
    headers.insert("reason-kind".into(), text(&kind_name(reason.kind)));
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
        // In a queue of retries the routing key is the name of the queue.
        ("ce-key", &message.key),
        ("traceparent", &message.trace.to_string()),
    ] {
        table.insert(name.into(), text(value));
    }
    table.insert("ce-version".into(), number(message.version));
    table
}

/// Decodes the message of a delivery, or says what is wrong with it.
pub(super) fn decode_message(delivery: &Delivery) -> Result<Envelope, String> {
    let headers = delivery.properties.headers().as_ref();
    let required = |name: &str| string(headers, name).ok_or_else(|| format!("the header {name} is missing"));
    let invalid = |name: &str| format!("the header {name} cannot be decoded");
    let number = integer(headers, "ce-version").and_then(|version| u32::try_from(version).ok());
    Ok(Envelope {
        id: required("ce-id")?.parse().map_err(|_| invalid("ce-id"))?,
        kind: required("ce-type")?,
        key: required("ce-key")?,
        source: required("ce-source")?,
        subject: required("ce-subject")?,
        version: number.ok_or_else(|| invalid("ce-version"))?,
        time: required("ce-time")?.parse().map_err(|_| invalid("ce-time"))?,
        // A trace that can't be parsed must not prevent the message from being handled, so it starts a new
        // trace.
        trace: string(headers, "traceparent").and_then(|text| text.parse().ok()).unwrap_or_else(Trace::start),
        body: Bytes::copy_from_slice(&delivery.data),
    })
}

/// Returns the refusals of earlier deliveries.
pub(super) fn refusal_history(delivery: &Delivery) -> RefusalHistory {
    let headers = delivery.properties.headers().as_ref();
    RefusalHistory {
        refused: integer(headers, "refused").and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        was_stale: headers.and_then(|table| table.inner().get("was-stale")?.as_bool()).unwrap_or(false),
    }
}

/// Decodes a dead letter.
pub(super) fn decode_dead_letter(position: i64, delivery: &Delivery) -> Result<DeadLetter, String> {
    let headers = delivery.properties.headers().as_ref();
    let reason = |name: &str| string(headers, name);
    let history = refusal_history(delivery);
    Ok(DeadLetter {
        position,
        died_at: reason("died-at").and_then(|at| at.parse().ok()).unwrap_or(Timestamp::from_millis(0)),
        deliveries: integer(headers, "deliveries")
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(history.refused),
        // If there is no reason of ours, the broker has given the message up.
        kind: reason("reason-kind").unwrap_or_else(|| kind_name(Kind::Internal)),
        code: reason("reason-code").or_else(|| reason("x-first-death-reason")).unwrap_or_default(),
        detail: reason("reason-detail").unwrap_or_default(),
        message: decode_message(delivery)?,
    })
}

/// Formats a kind in snake case, as all messages do.
fn kind_name(kind: Kind) -> String {
    serde_json::to_value(kind).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn number(value: u32) -> AMQPValue {
    AMQPValue::LongLongInt(i64::from(value))
}

/// Converts a text into a short string of the protocol. `what` names it in the error.
pub(super) fn short(what: &str, text: &str) -> Result<ShortString, BusError> {
    ShortString::try_new(text)
        .map_err(|_| BusError::Name(format!("{what} must have at most {MAX_SHORT} bytes: {text}")))
}

/// Returns the text of a header.
pub(super) fn string(headers: Option<&FieldTable>, name: &str) -> Option<String> {
    match headers?.inner().get(name)? {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

/// Returns an integer of any width. Other clients and the management interface choose different widths.
pub(super) fn integer(headers: Option<&FieldTable>, name: &str) -> Option<i64> {
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
