use async_trait::async_trait;
use chassis::StoreFailure;
use kernel::{Timestamp, UserId};

use crate::domain::{AuditCursor, AuditEntry, AuditFilter, AuditKind, Origin};

/// The audit: an append-only log beside the accounts. The methods of [`super::UserStore`] write their entries
/// themselves, in the transaction of their effect.
///
/// * A new role leaves an entry that names the role, also the role of an account that is created with one.
/// * A change of consent leaves an entry for each permission that was given or taken back.
/// * A login leaves an entry, and so does each session that ends before its time. A session that expires
///   leaves none.
/// * A new password and another e-mail each leave an entry. Another spelling of the same e-mail leaves none.
/// * What is refused leaves no entry.
/// * The entries that name an erased person keep the ids and lose the network, also those that arrive later.
#[async_trait]
pub trait AuditLog: Send + Sync + 'static {
    /// Appends an entry about what this service learns from another one.
    ///
    /// * A recorded entry is read back unchanged.
    async fn record(&self, kind: AuditKind, subject: UserId, origin: &Origin) -> Result<(), StoreFailure>;

    /// Returns at most `limit` entries that pass the filter, the newest first: after `cursor`, or from the
    /// newest.
    ///
    /// * Each filter lets only its entries pass, and several filters only what passes all.
    /// * Pages of the audit join without a gap, also among entries of one moment.
    async fn entries(
        &self,
        filter: &AuditFilter,
        cursor: Option<AuditCursor>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreFailure>;

    /// Deletes at most `limit` entries from before a time, the oldest first. Returns their number.
    ///
    /// * Old entries are deleted in bounded steps, and newer ones stay.
    async fn delete_entries(&self, before: Timestamp, limit: u32) -> Result<u64, StoreFailure>;
}
