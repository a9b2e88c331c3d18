//! The traits that this service needs. Every sentence in a list is a law, and a case of the contract suite
//! that every adapter must pass (`store/contract`).

mod audit;
mod cache;
mod erasures;
mod exports;
mod intake;

use async_trait::async_trait;
use chassis::StoreFailure;
use kernel::{
    Class, Expected, Fault, Kind, MessageId, Role, Sections, SessionId, Timestamp, UserId, Version,
};
use serde_json::{Map, Value};

pub use audit::AuditLog;
pub use cache::{Count, UserCache};
pub use erasures::ErasureLog;
pub use exports::{ExportSources, ExportStore};
pub use intake::{
    BeginOutcome, IdempotencyAttempt, Intake, IntakeError, LONGEST_PAUSE, MAX_LEASES_AHEAD,
    RegistrationAnswer, Reservation, WaitingRegistration,
};

use crate::domain::{
    Account, AccountChange, Consent, ConsentChoice, Credentials, Digest, Email, Origin, RefreshRequest, Salt,
    Session, User, Verdict,
};

/// The store of accounts, which holds the truth about them.
///
/// * The effect of a method that has returned survives `kill -9`.
/// * E-mails are compared without regard to case.
#[async_trait]
pub trait UserStore: Send + Sync + 'static {
    /// Stores a registered account.
    ///
    /// * An inserted account is read back unchanged.
    /// * Inserting an id again changes nothing and says so.
    /// * Inserting an erased id changes nothing and says so.
    /// * An insert with the e-mail of another account is refused as a taken e-mail.
    async fn insert(&self, account: &Account) -> Result<InsertOutcome, UserStoreError>;

    /// Stores many registered accounts, in as few steps as the store can. Returns for each of them, in their
    /// order, what [`UserStore::insert`] would return.
    ///
    /// * Each of many accounts has its own outcome, and a refused account does not affect its neighbours.
    ///
    /// # Errors
    /// If the store is unavailable. Some accounts may be stored nevertheless; inserting them again says so.
    async fn insert_all(&self, accounts: &[Account]) -> Result<InsertOutcomes, UserStoreError>;

    /// Stores the account of the first admin.
    ///
    /// * The first admin is stored only while there is no admin.
    /// * A first admin with the e-mail of another account is refused as a taken e-mail, and that account does
    ///   not become an admin.
    async fn insert_first_admin(&self, account: &Account) -> Result<InsertOutcome, UserStoreError>;

    /// Says whether there is an admin.
    async fn has_admin(&self) -> Result<bool, UserStoreError>;

    /// Returns the account of this id.
    ///
    /// * An unknown id has no account.
    async fn by_id(&self, id: UserId) -> Result<Option<User>, UserStoreError>;

    /// Returns the accounts of these ids, in any order.
    ///
    /// * Ids without an account are left out.
    async fn by_ids(&self, ids: &[UserId]) -> Result<Vec<User>, UserStoreError>;

    /// Returns the account of this id with its credentials.
    async fn account(&self, id: UserId) -> Result<Option<Account>, UserStoreError>;

    /// Returns the account of this e-mail with its credentials.
    ///
    /// * An account is found by its e-mail in any case of letters.
    async fn account_by_email(&self, email: &Email) -> Result<Option<Account>, UserStoreError>;

    /// Returns a range of all accounts, and the total number of accounts.
    ///
    /// * A listing is ordered by registration and counts all accounts.
    async fn list(&self, start: u32, count: u32) -> Result<Listing, UserStoreError>;

    /// Changes an account, if the writer has seen its current version. Returns the changed account.
    ///
    /// * An update changes the named fields, keeps the others, and makes the next version.
    /// * One of several parallel updates of one version succeeds, and the others are refused with the version
    ///   that it made.
    /// * An update of an unknown account is refused as not found.
    /// * An update to the e-mail of another account is refused as a taken e-mail and changes nothing.
    /// * An account may change the case of letters of its own e-mail.
    /// * An update with proven credentials that are no longer current is refused as stale.
    /// * A new password ends all sessions of the account except the named one, and no other update ends any.
    async fn update(
        &self,
        id: UserId,
        expected: &Expected,
        change: &AccountChange,
        origin: &Origin,
    ) -> Result<User, UserStoreError>;

    /// Replaces the proven hash of a password by another hash of the same password, for example after the
    /// cost of hashing was raised. Returns whether it was replaced.
    ///
    /// * Another hash of the same password makes no version and ends no session.
    /// * A hash that was proven and is no longer current is not replaced.
    async fn rehash(
        &self,
        id: UserId,
        proven: &Credentials,
        credentials: &Credentials,
    ) -> Result<bool, UserStoreError>;

    /// Counts the stored hashes by their cost: of all accounts, or of a sample if there are many.
    ///
    /// * Hashes of one cost are counted together, and hashes of different costs separately.
    async fn hash_costs(&self) -> Result<Vec<HashCost>, UserStoreError>;

    /// Gives an account a role that holds in `sections`. Returns the changed account.
    ///
    /// * A new role makes the next version.
    /// * The last admin keeps the role, even if two admins are demoted at the same time.
    async fn set_role(
        &self,
        id: UserId,
        role: Role,
        sections: &Sections,
        origin: &Origin,
    ) -> Result<User, UserStoreError>;

    /// Erases an account. The same transaction leaves a tombstone, and writes the event `user erased` into
    /// the outbox as the message `message`.
    ///
    /// * An erased account is gone from every read, and its e-mail is free.
    /// * The event of an erasure is written in the transaction of the erasure.
    /// * An erasure of an unknown account is refused as not found and writes no event.
    /// * The last admin is not erased.
    /// * The sessions of an erased account end.
    async fn erase(&self, id: UserId, message: MessageId, origin: &Origin) -> Result<(), UserStoreError>;

    /// Returns the consent of a person, or `None` if there is no such account.
    ///
    /// * A new account has consented to nothing.
    async fn consent(&self, id: UserId) -> Result<Option<Consent>, UserStoreError>;

    /// Stores the consent of a person. The same transaction writes the event `consent changed` into the
    /// outbox as the message `message`. Returns the new consent.
    ///
    /// * A changed consent has the next version, and its event is written in the same transaction.
    /// * A consent that changes nothing writes no event.
    /// * A consent of an unknown account is refused as not found.
    async fn set_consent(
        &self,
        id: UserId,
        choice: ConsentChoice,
        message: MessageId,
        origin: &Origin,
    ) -> Result<Consent, UserStoreError>;

    /// Opens a session, if the `proven` credentials of its account are still current. Ends the sessions
    /// beyond `most`. Returns what its access token contains.
    ///
    /// * An opened session is listed, and its token is good.
    /// * A session of an unknown account is refused as not found.
    /// * A session with proven credentials that are no longer current is refused as stale.
    /// * An account has at most `most` sessions: the session that was unused longest ends for a new one.
    /// * If many sessions are opened at the same time, the account keeps `most` of them, the last one
    ///   included.
    async fn open_session(
        &self,
        session: &Session,
        proven: &Credentials,
        most: u32,
        origin: &Origin,
    ) -> Result<TokenSubject, UserStoreError>;

    /// Judges a presented refresh token ([`Session::judge`]) and applies the verdict, in one transaction: the
    /// store knows the next token before any client does.
    ///
    /// * A refresh makes the next token the good one, and returns the account and the consent as they are
    ///   now.
    /// * One of several parallel refreshes with one token makes the next token.
    /// * A token that was used before ends its session, and the next token with it.
    /// * The token before the newest gets the same answer for a short time, with the salt of the newest
    ///   token, and changes nothing.
    /// * A refresh that is repeated with its key gets the same answer, with the salt of its token, and
    ///   changes nothing.
    /// * A refresh without a key by an older release is refused for a short time, and ends nothing.
    /// * An unknown token and a token of an expired session are refused, and end nothing.
    async fn refresh_session(&self, refresh: &RefreshRequest) -> Result<RefreshOutcome, UserStoreError>;

    /// Returns the session of this name, unless it has expired.
    ///
    /// * A session is found by its account and id, and by its series, until it expires.
    /// * A session is not found by the id of another account.
    async fn session(&self, name: SessionName, now: Timestamp) -> Result<Option<Session>, UserStoreError>;

    /// Returns the sessions of an account that have not expired, the last used one first.
    ///
    /// * An expired session is not listed.
    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, UserStoreError>;

    /// Ends sessions, and returns their number.
    ///
    /// * Only the named session ends.
    /// * A session is ended by its account only.
    /// * Ending all sessions of an account ends no session of another account.
    async fn end_sessions(&self, which: SessionsToEnd, origin: &Origin) -> Result<u64, UserStoreError>;

    /// Checks that the store answers.
    async fn ping(&self) -> Result<(), StoreFailure>;

    /// Checks that the store accepts writes, by writing a byte.
    ///
    /// * A store that answers and is neither full nor read-only accepts writes.
    async fn try_write(&self) -> Result<(), StoreFailure>;
}

/// A cost of hashing, and the number of accounts that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashCost {
    /// The beginning of a hash of this cost, up to its salt: `$argon2id$v=19$m=19456,t=2,p=1$`.
    pub head: String,
    /// The number of accounts.
    pub accounts: u64,
}

/// The account and the consent that an access token is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSubject {
    /// The account.
    pub user: User,
    /// The consent of its person.
    pub consent: Consent,
}

/// The outcome of a refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// The next token is good from now on.
    Renewed(SessionId, TokenSubject),
    /// The refresh was done before, at this time; its token was made with this salt.
    Again(SessionId, TokenSubject, Salt, Timestamp),
    /// The token was replaced a moment ago, and its answer can't be made again.
    Replaced(SessionId),
    /// The token was used before; the session has ended.
    Reused(SessionId, UserId),
    /// There is no such session, or it has expired.
    Over,
}

impl RefreshOutcome {
    /// Returns the outcome that follows from a verdict on `session`.
    pub fn new(session: &Session, verdict: Verdict, subject: TokenSubject) -> Self {
        match verdict {
            Verdict::Good(_) => Self::Renewed(session.id, subject),
            Verdict::Again(salt, at) => Self::Again(session.id, subject, salt, at),
            Verdict::Replaced => Self::Replaced(session.id),
            Verdict::Reused => Self::Reused(session.id, session.user),
            Verdict::Over => Self::Over,
        }
    }
}

/// A name by which a session is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionName {
    /// Its account and its id, as in access tokens.
    Id(UserId, SessionId),
    /// The part that all its refresh tokens share.
    Series(Digest),
}

/// A choice of sessions to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionsToEnd {
    /// This session of this account.
    One(UserId, SessionId),
    /// All sessions of this account.
    All(UserId),
    /// The session whose tokens have this series.
    Series(Digest),
}

/// The outcome of each of many inserts.
pub type InsertOutcomes = Vec<Result<InsertOutcome, UserStoreError>>;

/// The outcome of an insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertOutcome {
    /// The account is stored now.
    Stored,
    /// The account was stored before. For the first admin: there is an admin already.
    AlreadyThere,
    /// The id was erased: it must never come back.
    Erased,
}

/// A range of all accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The accounts of the range, in the order of registration.
    pub users: Vec<User>,
    /// The number of all accounts.
    pub total: u64,
}

/// Why a [`UserStore`] refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum UserStoreError {
    /// There is no account of this id, or it was erased.
    #[error("There is no account with this id.")]
    NotFound,
    /// The writer has not seen the current version.
    #[error("The account has changed since you read it: read it again, and repeat the change.")]
    Stale {
        /// The current version.
        current: Version,
    },
    /// The e-mail belongs to another account.
    #[error("The e-mail belongs to another account.")]
    EmailTaken,
    /// The portal would have no admin.
    #[error("The portal needs at least one admin: give another account this role first.")]
    LastAdmin,
    /// The store is unavailable or broken.
    #[error(transparent)]
    Store(#[from] StoreFailure),
}

impl Fault for UserStoreError {
    fn classify(&self) -> Class<'_> {
        match self {
            UserStoreError::NotFound => Class::own(Kind::NotFound, "not_found"),
            UserStoreError::Stale { .. } => Class::own(Kind::Stale, "stale_version"),
            UserStoreError::EmailTaken => Class::own(Kind::Conflict, "email_taken"),
            UserStoreError::LastAdmin => Class::own(Kind::Conflict, "last_admin"),
            UserStoreError::Store(failure) => Class::Inner(failure),
        }
    }

    fn extra(&self) -> Map<String, Value> {
        match self {
            UserStoreError::Stale { current } => {
                Map::from_iter([("current_version".to_owned(), current.number().into())])
            }
            _ => Map::new(),
        }
    }
}
