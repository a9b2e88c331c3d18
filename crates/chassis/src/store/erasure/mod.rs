//! The duty of a store to erase persons: in the end nothing of them can be read in its files.

#[cfg(feature = "servers")]
mod postgres;
mod sqlite;

use async_trait::async_trait;
use kernel::UserId;

use super::failure::StoreFailure;

#[cfg(feature = "servers")]
pub use postgres::{PostgresErasure, owe_postgres};
pub use sqlite::{SqliteErasure, enqueue_erasure};

/// The duty of one store: a durable row for each erased person. It is written in the transaction of the
/// erasure and deleted when the erasure is complete.
///
/// Deleting a row does not overwrite it. The log of the database, and pages that it has rearranged, may still
/// hold a copy. So an erasure is complete only after the store was wiped.
#[async_trait]
pub trait Erasable: Send + Sync + 'static {
    /// Returns the persons whose erasure is not complete here.
    async fn owed(&self) -> Result<Vec<UserId>, StoreFailure>;

    /// Makes deleted data unreadable, as far as the engine can. Returns false if that is not possible at the
    /// moment: a message that names one of these persons is not sent yet, or a reader holds the log.
    async fn wipe(&self, persons: &[UserId]) -> Result<bool, StoreFailure>;

    /// Notes that the erasure of these persons is complete.
    async fn done(&self, persons: &[UserId]) -> Result<(), StoreFailure>;
}
