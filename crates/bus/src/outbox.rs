use std::sync::Arc;

use async_trait::async_trait;
use chassis::StoreFailure;
use tokio::sync::Notify;

use crate::Envelope;

#[cfg(test)]
pub(crate) mod contract;

/// The messages that a service has stored together with the effects that they tell of, and not yet sent.
///
/// A fact leaves its service only through here: the row is written in the transaction of the effect, and taken away only
/// after the bus has confirmed the message. A message comes back as it was stored. That of an effect that is not committed
/// does not come; that of one that was rolled back never does. What was committed survives a crash of the process.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// The oldest messages that are not sent, at most `limit`, each with its position. An effect that began when another was
    /// committed comes after it; one that is committed late is not passed over. What is not marked as sent comes again.
    async fn unsent(&self, limit: u32) -> Result<Vec<(i64, Envelope)>, StoreFailure>;

    /// Takes away what the bus has confirmed, and nothing that is not named. A position that is gone already does no harm.
    async fn mark_sent(&self, positions: &[i64]) -> Result<(), StoreFailure>;

    /// Notified by the store after each commit that put something in.
    fn wake(&self) -> Arc<Notify>;
}
