//! The ports of this service: a graph of readers and labels, and the directory of accounts.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use chassis::StoreFailure;
use kernel::{Class, Fault, Kind, Label, Refusal, Timestamp, UserId};

use crate::domain::{ConsentRecord, ReaderStatus, Reading, Taste, Visit, VisitKey};

/// The result of recording a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordedReading {
    /// It is part of the reader's taste now, or was already, because the message came again.
    Accepted,
    /// The reader's consent does not permit it, or the reader is erased. Nothing was stored.
    NotPermitted,
    /// No consent of this reader is on record. Nothing was stored.
    ConsentUnknown,
}

/// The edges from readers to the labels that they like, the data needed to count a reading once, and
/// consents.
///
/// Every method is one transaction: it happens as a whole or not at all, and a success survives a crash. Each
/// law below is one case of the contract suite, which every adapter passes.
///
/// Laws over all methods:
/// * Readings, consents and erasures end the same in any order and number.
/// * One reader changes nothing about another.
#[async_trait]
pub trait TasteGraph: Send + Sync {
    /// Counts a reading: adds one to the edge of each of its labels.
    ///
    /// * A reading adds one to each of its labels, with its time.
    /// * A repeated message changes nothing.
    /// * A reader and an article count once in 30 minutes.
    /// * A late reading counts as if it had arrived in time.
    /// * Without a consent on record nothing is stored.
    /// * A reading that consent does not permit is not stored.
    /// * A reading before the consent is not stored.
    /// * A reading after the erasure adds nothing.
    /// * Parallel deliveries of one reading count once.
    /// * Spellings of one label are one label. It is shown as it was spelled in the last reading.
    async fn record_read(&self, reading: &Reading) -> Result<RecordedReading, StoreFailure>;

    /// Returns at most `limit` labels that a reader likes, heaviest first; labels of equal weight are sorted
    /// by name.
    ///
    /// * Labels come heaviest first.
    /// * An unknown reader has no labels.
    async fn labels_of(&self, reader: UserId, limit: u32) -> Result<Vec<Taste>, StoreFailure>;

    /// Returns at most `limit` visits of a reader, in the order of their keys: those after `after`, or from
    /// the first one.
    ///
    /// * Pages of a reader's visits join without a gap.
    /// * An unknown reader has no visits.
    async fn visits_of(
        &self,
        reader: UserId,
        after: Option<VisitKey>,
        limit: u32,
    ) -> Result<Vec<(VisitKey, Visit)>, StoreFailure>;

    /// Returns the ids of at most `limit` readers who like a label, heaviest first.
    ///
    /// * Readers of a label come heaviest first, up to the limit.
    /// * An unknown label has no readers.
    async fn readers_of(&self, label: &Label, limit: u32) -> Result<Vec<UserId>, StoreFailure>;

    /// Stores a consent. Each consent starts from nothing: users counts only real changes, so between two
    /// permissions there was always a withdrawal.
    ///
    /// * The newest consent holds in any order of delivery.
    /// * A withdrawal deletes the reader's tastes and visits.
    /// * A new permission keeps only readings that were made under it.
    /// * A consent after the erasure adds nothing.
    async fn set_consent(&self, reader: UserId, consent: &ConsentRecord) -> Result<(), StoreFailure>;

    /// Returns the consent on record about a reader, or that the reader is erased.
    ///
    /// * An unknown reader has no status.
    async fn reader_status(&self, reader: UserId) -> Result<Option<ReaderStatus>, StoreFailure>;

    /// Deletes the reader's edges, visits and consent, for ever. Only the bare id stays, so that late
    /// messages are refused.
    ///
    /// * Erasure deletes edges, visits and consent.
    /// * A repeated erasure changes nothing.
    async fn erase(&self, reader: UserId, at: Timestamp) -> Result<(), StoreFailure>;

    /// Deletes at most `limit` visits whose last reading is before `before`, the oldest first, and returns
    /// their number. The edges stay.
    ///
    /// * Deleted visits leave the tastes unchanged.
    async fn forget_visits(&self, before: Timestamp, limit: u32) -> Result<u64, StoreFailure>;
}

/// The service that owns the accounts and their audit.
#[async_trait]
pub trait UserDirectory: Send + Sync {
    /// Returns a person's consent, as users knows it now, or `None` if there is no such account (any more).
    ///
    /// * The answer is the newest consent that users knows.
    /// * An unknown account has no consent, and that is not a failure.
    /// * The call ends within its budget (250 ms by default).
    /// * The call ends by the deadline of the current work.
    /// * Users stops working on a call that was cancelled.
    /// * A refusal by users is a failure that may pass.
    /// * A panic of users is a failure that may pass.
    /// * If users is down the call fails, and the first call after it has started succeeds.
    /// * After repeated failures users is not called for a while.
    async fn consent_of(&self, user: UserId) -> Result<Option<ConsentRecord>, DirectoryError>;

    /// Records in the audit of users that an admin looks at the labels of a reader, from this address.
    ///
    /// * A recorded view names the reader, the admin and the address.
    /// * A view that users did not record is a failure.
    async fn record_labels_view(
        &self,
        reader: UserId,
        admin: UserId,
        from: IpAddr,
    ) -> Result<(), DirectoryError>;
}

/// The failure of a call to users.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The call failed, or users refused it.
    #[error("the call to users failed")]
    Failed(#[source] Refusal),
    /// Calls failed so often that users is not called for this time.
    #[error("users is not called for a while, because it failed repeatedly")]
    CircuitOpen(Duration),
}

impl Fault for DirectoryError {
    fn classify(&self) -> Class<'_> {
        match self {
            // A refusal that this service can't have caused is a defect of one of the two; another replica
            // may answer.
            DirectoryError::Failed(refusal) if refusal.kind == Kind::Timeout => {
                Class::own(Kind::Timeout, "users_unavailable")
            }
            DirectoryError::Failed(_) | DirectoryError::CircuitOpen(_) => {
                Class::own(Kind::Unavailable, "users_unavailable")
            }
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            DirectoryError::Failed(_) => None,
            DirectoryError::CircuitOpen(left) => Some(*left),
        }
    }
}
