use async_trait::async_trait;
use chassis::StoreFailure;
use kernel::{MessageId, Timestamp, UserId};

use crate::domain::{Erasure, Receipt};

/// The erasures with the receipts of the services. [`super::UserStore::erase`] begins one.
#[async_trait]
pub trait ErasureLog: Send + Sync + 'static {
    /// Returns the erasure of a person, with its receipts.
    ///
    /// * An erasure begins without receipts.
    /// * An account that was not erased has no erasure.
    async fn erasure(&self, person: UserId) -> Result<Option<Erasure>, StoreFailure>;

    /// Stores a receipt. The erasure is complete, at `now`, when it has as many receipts as there are
    /// `services`. Returns false if there is no such erasure.
    ///
    /// * An erasure is complete with the last receipt, and not before.
    /// * A repeated receipt changes nothing.
    /// * Receipts that arrive at the same time complete the erasure.
    /// * A receipt for an account that was not erased is not stored.
    async fn record_receipt(
        &self,
        person: UserId,
        receipt: &Receipt,
        services: &[&str],
        now: Timestamp,
    ) -> Result<bool, StoreFailure>;

    /// Returns the persons whose erasure is not complete and was last announced before a time, at most
    /// `limit`.
    ///
    /// * An erasure that was announced again waits for its next turn.
    async fn open_erasures(&self, before: Timestamp, limit: u32) -> Result<Vec<UserId>, StoreFailure>;

    /// Writes the event `user erased` into the outbox once more, as the message `message`, if the erasure
    /// is not complete.
    ///
    /// * The event of an open erasure is written again, and that of a complete one is not.
    async fn republish(&self, person: UserId, message: MessageId, now: Timestamp)
    -> Result<(), StoreFailure>;

    /// Counts the erasures that began before a time and are not complete, at most `limit`.
    ///
    /// * Only erasures that are not complete are counted, up to the limit.
    async fn count_open(&self, before: Timestamp, limit: u32) -> Result<u32, StoreFailure>;
}
