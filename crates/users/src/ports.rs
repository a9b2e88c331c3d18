//! What this service needs from the outside. Every sentence in a list is a law, and a case of the contract suite that every
//! adapter has to pass (`store/contract`).

mod intake;

use std::time::Duration;

use async_trait::async_trait;
use chassis::StoreFailure;
use kernel::{
    Class, Expected, Fault, Kind, MessageId, Role, Sections, SessionId, Timestamp, UserId, Version,
};
use serde_json::{Map, Value};

pub use intake::{AHEAD, Answer, Begun, Intake, IntakeError, LONGEST_PAUSE, Once, Reservation, Waiting};

use crate::domain::{
    Account, Change, Choice, Consent, Credentials, Digest, Email, Refresh, Salt, Session, User,
};

/// The truth about accounts.
///
/// * What a method has answered survives `kill -9`.
/// * E-mails are compared without regard to case.
#[async_trait]
pub trait UserStore: Send + Sync + 'static {
    /// Stores an account that was registered.
    ///
    /// * An inserted account is read back as it was given.
    /// * Inserting an id again changes nothing and says so.
    /// * An insert of an erased id does nothing and says so.
    /// * An insert with the e-mail of another account is refused as a taken e-mail.
    async fn insert(&self, account: &Account) -> Result<Inserted, UserStoreError>;

    /// Stores many accounts that were registered, and says of each, in their order, what [`UserStore::insert`] would say. A
    /// store does it in as few steps as it can.
    ///
    /// * Of many accounts each has its own outcome, and one that is refused hides none of its neighbours.
    ///
    /// # Errors
    /// Where the store is away. Some may be stored nevertheless; inserting them again says so.
    async fn insert_all(&self, accounts: &[Account]) -> Result<Insertions, UserStoreError>;

    /// Stores the account of the first admin.
    ///
    /// * The first admin is stored only while there is no admin.
    /// * An e-mail that belongs to somebody makes nobody an admin: it is refused as taken.
    async fn insert_first_admin(&self, account: &Account) -> Result<Inserted, UserStoreError>;

    /// Whether anybody is an admin.
    async fn has_admin(&self) -> Result<bool, UserStoreError>;

    /// The account of this id.
    ///
    /// * An unknown id is nobody.
    async fn by_id(&self, id: UserId) -> Result<Option<User>, UserStoreError>;

    /// The accounts of these ids, in any order.
    ///
    /// * Ids without an account are left out.
    async fn by_ids(&self, ids: &[UserId]) -> Result<Vec<User>, UserStoreError>;

    /// The account of this id with its credentials.
    async fn account(&self, id: UserId) -> Result<Option<Account>, UserStoreError>;

    /// The account of this e-mail with its credentials.
    ///
    /// * An account is found by its e-mail in any case of letters.
    async fn account_of(&self, email: &Email) -> Result<Option<Account>, UserStoreError>;

    /// A slice of all accounts and how many there are.
    ///
    /// * A listing is ordered by registration and counts all accounts.
    async fn list(&self, start: u32, count: u32) -> Result<Listing, UserStoreError>;

    /// Changes an account, if the writer has seen its present version. Answers with the account as it is then.
    ///
    /// * An update changes what is named, keeps the rest, and makes the next version.
    /// * Of parallel updates on one version one wins, and the others are told the version that it made.
    /// * An update of nobody is refused as not found.
    /// * An update to the e-mail of another account is refused as a taken e-mail and changes nothing.
    /// * An account may change the case of letters of its own e-mail.
    /// * An update on the strength of credentials that no longer hold is refused as stale.
    /// * A new password ends all sessions of the account but the one that it names, and no other update ends any.
    async fn update(&self, id: UserId, expected: &Expected, change: &Change) -> Result<User, UserStoreError>;

    /// Puts another hash of the same password in the place of the one that was proven; what hashing costs may have been raised since.
    /// Answers whether it was done.
    ///
    /// * Another hash of the same password makes no version and ends no session.
    /// * A hash in the place of credentials that no longer hold is not stored.
    async fn rehash(
        &self,
        id: UserId,
        proven: &Credentials,
        credentials: &Credentials,
    ) -> Result<bool, UserStoreError>;

    /// How often each cost of hashing is found among the stored hashes: of all accounts, or of a sample if there are many.
    ///
    /// * Hashes of one cost are counted together, and those of another cost apart.
    async fn hash_costs(&self) -> Result<Vec<HashCost>, UserStoreError>;

    /// Gives an account a role that holds in `sections`. Answers with the account as it is then.
    ///
    /// * A new role makes the next version.
    /// * The last admin keeps the role, even when two admins are demoted at once.
    async fn set_role(&self, id: UserId, role: Role, sections: &Sections) -> Result<User, UserStoreError>;

    /// Erases an account, and in the same transaction leaves a tombstone and puts `user erased` into the outbox as `fact`.
    ///
    /// * An erased account is gone from every read, and its e-mail is free.
    /// * The fact of an erasure leaves in the transaction of the erasure.
    /// * An erasure of nobody is refused as not found and tells nobody.
    /// * The last admin is not erased.
    /// * The sessions of an erased account end.
    async fn erase(&self, id: UserId, fact: MessageId, at: Timestamp) -> Result<(), UserStoreError>;

    /// What the person allows; `None` where there is no such account.
    ///
    /// * Everything is off until the person turns it on.
    async fn consent(&self, id: UserId) -> Result<Option<Consent>, UserStoreError>;

    /// Stores what the person allows, and in the same transaction puts `consent changed` into the outbox as `fact`. Answers with
    /// the consent as it is then.
    ///
    /// * A changed consent has the next version, and its fact leaves in the same transaction.
    /// * A consent that changes nothing tells nobody.
    /// * A consent of nobody is refused as not found.
    async fn set_consent(
        &self,
        id: UserId,
        choice: Choice,
        fact: MessageId,
        at: Timestamp,
    ) -> Result<Consent, UserStoreError>;

    /// Opens a session of its account, on the strength of the credentials that were proven. Answers with what its access token says.
    ///
    /// * An opened session is listed, and its token is good.
    /// * A session of nobody is refused as not found.
    /// * A session on the strength of credentials that no longer hold is refused as stale.
    /// * An account has at most so many sessions: the one that rested longest ends for a new one.
    /// * Of many sessions that are opened at once the account has as many as it may, and the last of them is one.
    async fn open_session(
        &self,
        session: &Session,
        proven: &Credentials,
        most: u32,
    ) -> Result<Bearer, UserStoreError>;

    /// Does what follows from a presented refresh token ([`Session::judge`]), in one transaction: the store knows the next token
    /// before anybody else does.
    ///
    /// * A refresh makes the next token the good one, and answers with the account and the consent as they are now.
    /// * Of parallel refreshes with one token one makes the next token.
    /// * A token that was used before ends its session, and the next token with it.
    /// * The token before the newest is answered again for a moment, with what the newest was made with, and changes nothing.
    /// * A refresh that is asked for again by its key is answered with what its token was made with, and changes nothing.
    /// * A refresh without a key by an older release is refused for a moment, and ends nothing.
    /// * An unknown token, and one of a session that is over, are refused and end nothing.
    async fn refresh_session(&self, refresh: &Refresh) -> Result<Refreshed, UserStoreError>;

    /// The session of this name, unless it is over.
    ///
    /// * A session is found by its account and id, and by its series, until it is over.
    /// * A session is not found by the id of another account.
    async fn session(&self, name: SessionName, now: Timestamp) -> Result<Option<Session>, UserStoreError>;

    /// The sessions of an account that are not over, the last used one first.
    ///
    /// * A session that is over is not listed.
    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, UserStoreError>;

    /// Ends sessions. Answers how many that were.
    ///
    /// * What ends is the session that is named, and no other one.
    /// * A session is ended by its account only.
    /// * Ending all sessions of an account ends those of nobody else.
    async fn end_sessions(&self, which: Ending) -> Result<u64, UserStoreError>;

    /// Asks whether the store answers.
    async fn ping(&self) -> Result<(), StoreFailure>;

    /// Asks whether the store takes writes, by writing a byte.
    ///
    /// * A store that answers and is neither full nor read-only takes writes.
    async fn try_write(&self) -> Result<(), StoreFailure>;
}

/// A cost of hashing that accounts have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashCost {
    /// What a hash of this cost begins with, up to its salt: `$argon2id$v=19$m=19456,t=2,p=1$`.
    pub head: String,
    /// The number of accounts that have it.
    pub accounts: u64,
}

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The account.
    pub user: User,
    /// What the person allows.
    pub consent: Consent,
}

/// What became of a refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// The next token is good from now on.
    Renewed(SessionId, Bearer),
    /// It was done before, at this time; its token was made with this salt.
    Again(SessionId, Bearer, Salt, Timestamp),
    /// The token was replaced a moment ago, and its answer cannot be made again.
    Replaced(SessionId),
    /// The token was used before; the session has ended.
    Reused(SessionId, UserId),
    /// There is no such session, or it is over.
    Over,
}

/// By what a session is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionName {
    /// Its account and its id, as in access tokens.
    Id(UserId, SessionId),
    /// What its refresh tokens have in common.
    Series(Digest),
}

/// Which sessions end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// This one of this account.
    One(UserId, SessionId),
    /// All of this account.
    All(UserId),
    /// The one whose tokens are of this series.
    Series(Digest),
}

/// What became of each of many accounts.
pub type Insertions = Vec<Result<Inserted, UserStoreError>>;

/// What an insert found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// The account is stored now.
    Stored,
    /// It was stored before, or somebody did what was asked for before.
    AlreadyThere,
    /// The id was erased: it must never come back.
    Erased,
}

/// A slice of all accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The slice, in the order of registration.
    pub users: Vec<User>,
    /// How many accounts there are.
    pub total: u64,
}

/// Why a [`UserStore`] did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum UserStoreError {
    /// There is no account of this id, or none any more.
    #[error("there is no such account")]
    NotFound,
    /// The writer has not seen the newest version.
    #[error("the account has changed since it was read")]
    Stale {
        /// The version that it has now.
        current: Version,
    },
    /// The e-mail belongs to another account.
    #[error("the e-mail belongs to another account")]
    EmailTaken,
    /// The portal would be left without an admin.
    #[error("the portal needs at least one admin")]
    LastAdmin,
    /// The store is away or broken.
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

/// Lookups by id that need not reach the store. It may lose everything at any time: an absent or failing cache is a miss, never
/// an error, and what it holds ages out after a while.
///
/// * An unknown id is a miss.
/// * A cached account is found as it was put.
/// * Of two versions the newer stays, in whichever order they are put.
/// * A forgotten account is not found, and stays so when somebody puts what they read before.
///
/// It also counts what must not happen too often, for all replicas together; without it each of them counts by itself.
#[async_trait]
pub trait UserCache: Send + Sync + 'static {
    /// The account, if it is here.
    async fn get(&self, id: UserId) -> Option<User>;

    /// Keeps an account for a while, unless a newer version is here or the account was forgotten.
    async fn put(&self, user: &User);

    /// Forgets an account, and every version of it that somebody may put late: after an erasure, and after a change of which
    /// nobody knows whether it was done. Whoever asks next asks the store.
    async fn forget(&self, id: UserId);

    /// Counts one more in a bucket. Its window begins with the first that is counted in it.
    ///
    /// * What is counted in a bucket is counted one by one, many at once too.
    /// * Buckets are counted apart.
    /// * A window that is over begins anew.
    async fn count(&self, bucket: &str, window: Duration, now: Timestamp) -> Count;

    /// How often was counted in a bucket in the window that runs now.
    ///
    /// * Looking at a bucket counts nothing, and a window that is over counts as none.
    async fn counted(&self, bucket: &str, window: Duration, now: Timestamp) -> u64;

    /// Asks whether the cache answers.
    async fn ping(&self) -> Result<(), StoreFailure>;
}

/// How often, and until when that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// How often in this window, this time included.
    pub times: u64,
    /// What is left of the window; never nothing, and never more than the window.
    pub left: Duration,
}
