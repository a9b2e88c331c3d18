use kernel::{MessageId, Timestamp, Trace};
use uuid::Uuid;

use crate::Envelope;

/// The columns of an envelope in the outbox and in the local bus.
#[derive(sqlx::FromRow)]
pub(crate) struct EnvelopeRow {
    message_id: Uuid,
    kind: String,
    routing_key: String,
    source: String,
    subject: String,
    version: u32,
    happened_at: i64,
    trace: String,
    body: Vec<u8>,
}

impl From<EnvelopeRow> for Envelope {
    fn from(row: EnvelopeRow) -> Self {
        Self {
            id: MessageId::new(row.message_id),
            kind: row.kind,
            key: row.routing_key,
            source: row.source,
            subject: row.subject,
            version: row.version,
            time: Timestamp::from_millis(row.happened_at),
            // A trace that can't be parsed must not prevent the message from being sent, so it starts a new
            // trace.
            trace: row.trace.parse().unwrap_or_else(|_| Trace::start()),
            body: row.body.into(),
        }
    }
}
