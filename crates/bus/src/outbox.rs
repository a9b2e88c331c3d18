use std::sync::Arc;

use async_trait::async_trait;
use chassis::StoreFailure;
use tokio::sync::Notify;

use crate::Envelope;

#[cfg(test)]
pub(crate) mod contract;

/// The messages that a service has stored in the transactions of their effects, and that are not sent yet.
///
/// An event leaves its service only through an outbox. The row is written in the transaction of the effect,
/// and deleted only after the bus has confirmed the message. A message is read as it was stored. It is not
/// read before its transaction is committed, and never if that is rolled back. Committed messages survive a
/// crash of the process.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Returns the oldest messages that are not sent, at most `limit`, each with its position. If an effect
    /// began after another was committed, it comes after it. A late commit is not skipped. A message that is
    /// not marked as sent is returned again.
    async fn unsent(&self, limit: u32) -> Result<Vec<(i64, Envelope)>, StoreFailure>;

    /// Deletes the messages at these positions, which the bus has confirmed, and no others. Positions that
    /// are already deleted are ignored.
    async fn mark_sent(&self, positions: &[i64]) -> Result<(), StoreFailure>;

    /// Returns the signal that the store sets after each commit that has stored a message.
    fn wake(&self) -> Arc<Notify>;
}
