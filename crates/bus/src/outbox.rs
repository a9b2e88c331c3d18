use std::sync::Arc;

use async_trait::async_trait;
use chassis::StoreFailure;
use tokio::sync::Notify;

use crate::Envelope;

/// The messages that a service has stored together with the effects that they tell of, and not yet sent.
///
/// A fact leaves its service only through here: the row is written in the transaction of the effect, and taken away only
/// after the bus has confirmed the message. What a crash leaves in between is sent again.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// The oldest messages that are not sent, at most `limit`, in the order in which their effects were committed, each
    /// with its position.
    async fn unsent(&self, limit: u32) -> Result<Vec<(i64, Envelope)>, StoreFailure>;

    /// Takes away what the bus has confirmed. Positions that are gone already do no harm.
    async fn mark_sent(&self, positions: &[i64]) -> Result<(), StoreFailure>;

    /// Notified by the store after each commit that put something in.
    fn wake(&self) -> Arc<Notify>;
}
