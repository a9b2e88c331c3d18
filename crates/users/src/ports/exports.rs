use async_trait::async_trait;
use chassis::StoreFailure;
use kernel::{Refusal, Timestamp, UserId};

use crate::domain::{ExportPart, PartPage, PartSource};

/// The parts of exports that have arrived and wait until the person asks again.
#[async_trait]
pub trait ExportStore: Send + Sync + 'static {
    /// Returns the parts of a person's export that began at `since` or later.
    ///
    /// * A kept part is read back unchanged.
    /// * A part from before the time is not returned.
    async fn export_parts(&self, person: UserId, since: Timestamp) -> Result<Vec<ExportPart>, StoreFailure>;

    /// Keeps parts of a person's export. Returns false if there is no such account.
    ///
    /// * Of two states of a part the one stays of which more has arrived: requests at the same time lose
    ///   nothing of each other.
    /// * A part that began before `since` is replaced.
    /// * Nothing is kept for an account that does not exist, and an erasure deletes what is kept.
    async fn keep_export_parts(
        &self,
        person: UserId,
        parts: &[ExportPart],
        since: Timestamp,
    ) -> Result<bool, StoreFailure>;

    /// Deletes all parts of a person's export.
    ///
    /// * A discarded export is gone, and those of other people stay.
    async fn discard_export(&self, person: UserId) -> Result<(), StoreFailure>;

    /// Deletes at most `limit` parts that began before a time. Returns their number.
    ///
    /// * Old parts are deleted in bounded steps, and newer ones stay.
    async fn delete_export_parts(&self, before: Timestamp, limit: u32) -> Result<u64, StoreFailure>;
}

/// The services that have parts of an export.
#[async_trait]
pub trait ExportSources: Send + Sync + 'static {
    /// Asks a service for a page of its part: after the position `after`, or the first one if it is empty.
    /// `token` is the access token of the person; the service verifies it again.
    async fn page(&self, source: PartSource, after: &str, token: &str) -> Result<PartPage, Refusal>;
}
