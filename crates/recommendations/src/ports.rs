//! What this service needs from outside: a graph of readers and labels, and somebody to ask about consent.

use async_trait::async_trait;
use chassis::StoreFailure;
use kernel::{Code, Fault, Kind, Label, Refusal, Timestamp, UserId};

use crate::domain::{ConsentRecord, Reading, Standing, Taste};

/// What became of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is part of the reader's taste now (or was already: the message came again).
    Taken,
    /// What is on record does not permit it. Nothing was kept.
    Refused,
    /// Nothing is on record about this reader's consent. Nothing was kept.
    Unheard,
}

/// Who likes what: edges from readers to labels, what is needed to count a reading once, and consent.
///
/// Every method is one transaction: it happens as a whole or not at all, and a success survives a crash. Each law below is
/// one case of the contract suite, which every adapter passes.
///
/// Laws over all methods:
/// * Reads, consents and erasures may come in any order and any number of times: the end is the same.
/// * What one reader does changes nothing about another.
#[async_trait]
pub trait TasteGraph: Send + Sync {
    /// Counts a reading, one on the edge of each of its labels.
    ///
    /// * A reading adds one to each of its labels, with its time.
    /// * A message that comes again changes nothing.
    /// * A reader and an article count once in 30 minutes.
    /// * A reading that comes late counts as if it had come in time.
    /// * Without a consent on record nothing is kept.
    /// * What consent does not permit is not kept.
    /// * What was read before the consent is not kept.
    /// * A reading that comes after the erasure adds nothing.
    /// * Parallel deliveries of one reading count once.
    /// * Spellings of one label are one label. It is shown as it was spelled in the last reading.
    async fn record_read(&self, reading: &Reading) -> Result<Recorded, TasteGraphError>;

    /// What a reader likes, heaviest first, of equal weight by label; at most `limit` labels.
    ///
    /// * The labels come heaviest first.
    /// * An unknown reader has no labels.
    async fn labels_of(&self, reader: UserId, limit: u32) -> Result<Vec<Taste>, TasteGraphError>;

    /// Who likes a label, heaviest first; at most `limit` readers. Ids and nothing else.
    ///
    /// * The readers of a label come heaviest first and no more than asked for.
    /// * An unknown label has no readers.
    async fn readers_of(&self, label: &Label, limit: u32) -> Result<Vec<UserId>, TasteGraphError>;

    /// Puts a consent on record. Each consent starts from nothing: users counts real changes only, and whatever a
    /// permission changes to is a withdrawal, so between two permissions there was always one.
    ///
    /// * A newer consent holds whatever the order of delivery.
    /// * A withdrawal deletes what is kept about the reader.
    /// * A new permission keeps only what was read under it.
    /// * A consent that comes after the erasure adds nothing.
    async fn set_consent(&self, reader: UserId, consent: &ConsentRecord) -> Result<(), TasteGraphError>;

    /// What is on record about a reader.
    ///
    /// * Of a reader never heard of there is no standing.
    async fn consent_of(&self, reader: UserId) -> Result<Option<Standing>, TasteGraphError>;

    /// Deletes the reader's edges, visits and consent, for ever: what is left is the bare id, which keeps what comes late
    /// from being kept.
    ///
    /// * Erasure deletes edges, visits and consent.
    /// * Erasing twice is erasing once.
    async fn erase(&self, reader: UserId, at: Timestamp) -> Result<(), TasteGraphError>;

    /// Forgets at most `limit` visits whose last reading is before `before`, the oldest first; the edges stay. The answer is
    /// how many.
    ///
    /// * Forgotten visits leave the tastes as they are.
    async fn forget_visits(&self, before: Timestamp, limit: u32) -> Result<u64, TasteGraphError>;
}

/// Why the graph did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum TasteGraphError {
    /// The store is away, or broken.
    #[error(transparent)]
    Store(#[from] StoreFailure),
}

impl Fault for TasteGraphError {
    fn kind(&self) -> Kind {
        let TasteGraphError::Store(failure) = self;
        failure.kind()
    }

    fn code(&self) -> Code {
        let TasteGraphError::Store(failure) = self;
        failure.code()
    }
}

/// The service that owns the accounts.
#[async_trait]
pub trait UserDirectory: Send + Sync {
    /// What a person consents to, as users knows it now; `None` where there is no such account (any more). It answers
    /// within 250 ms or not at all, never later than the deadline of the work in hand, and users stops working for who has
    /// given up. What users refuses is a failure that may pass. Where users is away the call fails, and once it has come the next
    /// one is answered. When it keeps failing it is left in peace for a while.
    async fn consent_of(&self, user: UserId) -> Result<Option<ConsentRecord>, DirectoryError>;
}

/// Why users could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The call failed, or users refused it.
    #[error("users was asked and did not answer well")]
    Failed(#[source] Refusal),
    /// It failed so often that it is left in peace for a moment.
    #[error("users is not asked for the moment")]
    Resting(std::time::Duration),
}

impl Fault for DirectoryError {
    fn kind(&self) -> Kind {
        match self {
            // A refusal that we can't have caused is a defect of one of the two, but the next try may meet another replica.
            DirectoryError::Failed(refusal) if refusal.kind == Kind::Timeout => Kind::Timeout,
            DirectoryError::Failed(_) | DirectoryError::Resting(_) => Kind::Unavailable,
        }
    }

    fn code(&self) -> Code {
        Code::new("users_unavailable")
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            DirectoryError::Failed(_) => None,
            DirectoryError::Resting(left) => Some(*left),
        }
    }
}
