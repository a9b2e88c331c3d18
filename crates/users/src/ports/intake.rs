use std::time::Duration;

use async_trait::async_trait;
use chassis::StoreFailure;
use kernel::{Class, Fault, Kind, Timestamp, Trace, UserId};

use crate::domain::{Account, Digest, Email, Fingerprint};

/// The number of leases that a lease may end in the future. If it ends later, the clock that set it has gone
/// back since, and the lease has expired. It is more than one, because the clocks of two replicas differ a
/// little.
pub const MAX_LEASES_AHEAD: u32 = 2;

/// The longest pause before a registration is tried again. If a registration is due later than that, the
/// clock that deferred it has gone back since, and it may be taken immediately.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// The intake: registrations that were acknowledged and are not yet in the [`super::UserStore`], and the
/// e-mails that they hold.
///
/// The order of steps makes an e-mail unique over two stores: reserve it here, look it up in the store,
/// append the registration, answer; later insert it into the store, and only then settle it here, which frees
/// the e-mail. While a registration waits, its reservation refuses the e-mail; afterwards the store does;
/// there is no moment in between.
///
/// * An appended registration and its answer survive `kill -9`, whether it was taken or not, until it is
///   settled.
/// * E-mails are compared without regard to case.
#[async_trait]
pub trait Intake: Send + Sync + 'static {
    /// Reserves `email` for the account `id`, for the duration of `lease`.
    ///
    /// * One of several parallel reservations of one e-mail is granted, and the others are refused as a taken
    ///   e-mail.
    /// * An expired lease makes way for the next reservation, and so does a lease of a clock that has gone
    ///   back since.
    /// * The e-mail of a waiting registration stays reserved, however long it waits.
    async fn reserve(&self, email: &Email, id: UserId, lease: Duration) -> Result<Reservation, IntakeError>;

    /// Accepts a registration whose e-mail is reserved. The trace of the current work is stored with it. If
    /// the request had an idempotency key, `attempt` names it, and the answer is stored in the same step.
    ///
    /// * An append without a lease is refused as a lost lease, and stores nothing.
    /// * A registration that was appended under a key is the answer to that key from then on.
    /// * An append under a key that another attempt has begun since is refused as a lost lease, and stores
    ///   nothing.
    async fn append(
        &self,
        reservation: &Reservation,
        account: &Account,
        attempt: Option<&IdempotencyAttempt>,
    ) -> Result<(), IntakeError>;

    /// Releases a reservation that was not used.
    ///
    /// * A released e-mail can be reserved again.
    /// * A release never frees the e-mail of a waiting registration, nor an e-mail that another account has
    ///   reserved since.
    async fn release(&self, reservation: &Reservation) -> Result<(), IntakeError>;

    /// Returns the waiting registration of this id, taken or not.
    ///
    /// * A waiting registration is found by id and by e-mail, until it is settled.
    async fn by_id(&self, id: UserId) -> Result<Option<Account>, IntakeError>;

    /// Returns the waiting registration of this e-mail, taken or not.
    async fn by_email(&self, email: &Email) -> Result<Option<Account>, IntakeError>;

    /// Returns the ids of the oldest waiting registrations, at most `limit`.
    ///
    /// * Waiting registrations are listed, taken or not, the oldest first.
    async fn waiting(&self, limit: u32) -> Result<Vec<UserId>, IntakeError>;

    /// Takes the oldest waiting registrations, at most `limit`. No other worker gets them for the duration of
    /// `lease`.
    ///
    /// * Registrations are taken in the order in which they arrived.
    /// * A taken registration is given to no other worker until its lease expires.
    /// * Taking a registration counts an attempt, so that a registration that ends the process is noticed.
    /// * A registration that can't be read is returned as such, and does not affect its neighbours.
    async fn take(&self, limit: u32, lease: Duration) -> Result<Vec<WaitingRegistration>, IntakeError>;

    /// Removes a registration that is in the store now, and frees its e-mail here. Only its answer stays,
    /// which contains no personal data except the id of the account.
    ///
    /// * A settled registration is gone, and its e-mail can be reserved again.
    /// * Settling twice does no harm.
    async fn settle(&self, id: UserId) -> Result<(), IntakeError>;

    /// Gives back a taken registration that was not tried.
    ///
    /// * A registration that is given back can be taken immediately, and the attempt does not count.
    async fn give_back(&self, id: UserId) -> Result<(), IntakeError>;

    /// Defers a taken registration that failed: it can be taken again after `pause`.
    ///
    /// * A deferred registration is taken again after its pause, and not before.
    async fn defer(&self, id: UserId, reason: &str, pause: Duration) -> Result<(), IntakeError>;

    /// Puts aside a registration that will never succeed, with the reason, for an operator.
    ///
    /// * A buried registration is not taken again, and its e-mail stays reserved.
    async fn bury(&self, id: UserId, reason: &str) -> Result<(), IntakeError>;

    /// Begins a request under an idempotency key, or returns the state of an earlier attempt. No other
    /// attempt begins for the duration of `lease`.
    ///
    /// * One of several parallel attempts under one key begins, and the others learn that it is still
    ///   running.
    /// * An attempt whose lease has expired makes way for the next.
    /// * An answer is given again until it expires, and then does not count.
    /// * A refusal that an older release stored does not count.
    /// * Keys are independent of each other.
    async fn begin(&self, attempt: &IdempotencyAttempt, lease: Duration)
    -> Result<BeginOutcome, IntakeError>;

    /// Ends an attempt that led to no answer.
    ///
    /// * A key that was given up can be begun immediately; an answer and the attempt of another request stay.
    async fn give_up(&self, attempt: &IdempotencyAttempt) -> Result<(), IntakeError>;

    /// Forgets expired answers, at most `limit`. Returns their number.
    ///
    /// * Expired answers are forgotten in bounded steps, and the registrations stay.
    async fn forget_answers(&self, limit: u32) -> Result<u64, IntakeError>;

    /// Forgets the answer about this account, because its person wants to be forgotten.
    ///
    /// * No answer about a forgotten account stays, and the answers about all other accounts do.
    async fn forget_answers_about(&self, id: UserId) -> Result<(), IntakeError>;

    /// Makes settled and forgotten data unreadable, as far as the engine can. Returns false if it has to be
    /// tried again later.
    ///
    /// * A wiped intake keeps waiting registrations, and no file of its own contains settled ones.
    async fn wipe(&self) -> Result<bool, StoreFailure>;

    /// Checks that the intake answers.
    async fn ping(&self) -> Result<(), StoreFailure>;

    /// Checks that the intake accepts writes, by writing a byte.
    ///
    /// * An intake that answers and is neither full nor read-only accepts writes.
    async fn try_write(&self) -> Result<(), StoreFailure>;
}

/// One attempt at a registration under an idempotency key. The key gives the request one effect, however
/// often it is sent and whichever replicas receive it.
#[derive(Debug, Clone)]
pub struct IdempotencyAttempt {
    /// The digest of the caller, the operation and the key.
    pub key: Digest,
    /// The fingerprint of the request: equal requests have equal fingerprints.
    pub fingerprint: Fingerprint,
    /// The account that this attempt would create. Every attempt has another one, which identifies the
    /// attempt.
    pub user: UserId,
    /// The time for which the answer is kept.
    pub answer_life: Duration,
}

/// The outcome of [`Intake::begin`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BeginOutcome {
    /// This attempt begins.
    Begun,
    /// Another attempt is in progress.
    StillRunning,
    /// The request was answered before.
    Answered(RegistrationAnswer),
}

/// The stored answer to a registration. The full answer follows from it and from the repeated request, so
/// neither name nor e-mail is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationAnswer {
    /// The fingerprint of the request that was answered.
    pub fingerprint: Fingerprint,
    /// The account that was registered.
    pub user: UserId,
    /// The time of the registration.
    pub registered_at: Timestamp,
}

/// The right to register an account with an e-mail, until its lease expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The e-mail.
    pub email: Email,
    /// The account that the e-mail is reserved for.
    pub id: UserId,
}

/// A registration that a worker has taken to store it.
#[derive(Debug)]
pub struct WaitingRegistration {
    /// The id of the account.
    pub id: UserId,
    /// The number of times that it was taken, this time included.
    pub attempts: u32,
    /// The trace of the request that it came with.
    pub trace: Trace,
    /// The registration, or why it can't be read.
    pub account: Result<Account, StoreFailure>,
}

/// Why an [`Intake`] refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// Another account has reserved the e-mail, or is being registered with it.
    #[error("The e-mail belongs to another account.")]
    EmailTaken,
    /// The work took longer than its lease.
    #[error("The registration took too long: send it again.")]
    LeaseLost,
    /// The intake is unavailable or broken.
    #[error(transparent)]
    Store(#[from] StoreFailure),
}

impl Fault for IntakeError {
    fn classify(&self) -> Class<'_> {
        match self {
            IntakeError::EmailTaken => Class::own(Kind::Conflict, "email_taken"),
            IntakeError::LeaseLost => Class::own(Kind::Timeout, "too_slow"),
            IntakeError::Store(failure) => Class::Inner(failure),
        }
    }
}
