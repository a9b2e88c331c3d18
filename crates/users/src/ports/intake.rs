use std::time::Duration;

use async_trait::async_trait;
use chassis::StoreFailure;
use kernel::{Class, Fault, Kind, Timestamp, Trace, UserId};

use crate::domain::{Account, Digest, Email, Fingerprint};

/// A lease that ends later than this many leases from now was given by a clock that has gone back since, and is over. More than one:
/// the clocks of two replicas differ a little.
pub const AHEAD: u32 = 2;

/// The longest pause before a registration is tried again. One that is to be tried later than that was put off by a clock that has gone
/// back since, and may be taken at once.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Registrations that were acknowledged and are not yet in the [`super::UserStore`], and the e-mails that they hold.
///
/// The e-mail is unique over two stores because of the order of steps: reserve it here, ask the store for it, append the
/// registration, answer; later insert it into the store, and only then settle it here, which frees the e-mail. While a
/// registration waits the reservation refuses the e-mail, afterwards the store does, and there is no moment in between.
///
/// * What was appended survives `kill -9`, taken or not, until it is settled, and so does its answer.
/// * E-mails are compared without regard to case.
#[async_trait]
pub trait Intake: Send + Sync + 'static {
    /// Reserves `email` for the account `id`, for as long as `lease`.
    ///
    /// * Of parallel reservations of one e-mail one is granted, and the others are refused as a taken e-mail.
    /// * A lease that ran out makes way for the next reservation, and so does one of a clock that has gone back since.
    /// * The e-mail of a waiting registration stays reserved, however long it waits.
    async fn reserve(&self, email: &Email, id: UserId, lease: Duration) -> Result<Reservation, IntakeError>;

    /// Takes a registration in, on the strength of its reservation. The trace of the running work goes with it. `once` says under
    /// which key it was asked for, if it was: then the answer is kept with it, in one step.
    ///
    /// * An append without a lease is refused as a lost lease, and takes nothing in.
    /// * What was appended under a key is the answer from then on.
    /// * An append under a key that somebody else has begun since is refused as a lost lease, and takes nothing in.
    async fn append(
        &self,
        reservation: &Reservation,
        account: &Account,
        once: Option<&Once>,
    ) -> Result<(), IntakeError>;

    /// Gives a reservation back that was not used.
    ///
    /// * A released e-mail can be reserved again.
    /// * A release never frees the e-mail of a waiting registration, nor one that another account reserved since.
    async fn release(&self, reservation: &Reservation) -> Result<(), IntakeError>;

    /// The waiting registration of this id, taken or not.
    ///
    /// * A waiting registration is found by id and by e-mail, until it is settled.
    async fn by_id(&self, id: UserId) -> Result<Option<Account>, IntakeError>;

    /// The waiting registration of this e-mail, taken or not.
    async fn by_email(&self, email: &Email) -> Result<Option<Account>, IntakeError>;

    /// The ids of the oldest waiting registrations, at most `limit`.
    ///
    /// * Who waits is named, taken or not, the oldest first.
    async fn waiting(&self, limit: u32) -> Result<Vec<UserId>, IntakeError>;

    /// Takes the oldest waiting registrations, at most `limit`; nobody else is given them for as long as `lease`.
    ///
    /// * Registrations are taken in the order in which they came in.
    /// * What is taken is given to nobody else, until its lease runs out.
    /// * Taking counts the attempts, so that a registration that ends the process is noticed.
    /// * A registration that can't be read is handed out as such and hides none of its neighbours.
    async fn take(&self, limit: u32, lease: Duration) -> Result<Vec<Waiting>, IntakeError>;

    /// The registration is in the store: nothing of it stays here but an answer, which names the account by its id alone, and its
    /// e-mail is free here.
    ///
    /// * A settled registration is gone, and its e-mail can be reserved again.
    /// * Settling again does no harm.
    async fn settled(&self, id: UserId) -> Result<(), IntakeError>;

    /// Gives a taken registration back for no fault of its own.
    ///
    /// * A registration that is given back can be taken at once, and the attempt does not count.
    async fn give_back(&self, id: UserId) -> Result<(), IntakeError>;

    /// Gives a taken registration back that failed, to be taken again after `pause`.
    ///
    /// * A failed registration is taken again after its pause, not before.
    async fn failed(&self, id: UserId, reason: &str, pause: Duration) -> Result<(), IntakeError>;

    /// Puts a registration aside that will never succeed, with the reason, for somebody to look at.
    ///
    /// * A buried registration is not taken again, and its e-mail stays reserved.
    async fn bury(&self, id: UserId, reason: &str) -> Result<(), IntakeError>;

    /// Begins what a client asks for under a key, or says what came of it. Nobody else begins it for as long as `lease`.
    ///
    /// * Of parallel beginnings under one key one begins, and the others are told that somebody is at it.
    /// * A beginning whose lease ran out makes way for the next.
    /// * An answer is given again until its time is over, and then counts as none.
    /// * A refusal that an older release has kept counts as none.
    /// * Keys are apart.
    async fn begin(&self, once: &Once, lease: Duration) -> Result<Begun, IntakeError>;

    /// Ends what was begun and led to no answer.
    ///
    /// * What is given up can be begun at once; an answer, and what somebody else began, stays.
    async fn give_up(&self, once: &Once) -> Result<(), IntakeError>;

    /// Forgets answers whose time is over, at most `limit`. Returns how many.
    ///
    /// * Answers whose time is over are forgotten in bounded steps, and the registrations stay.
    async fn forget_answers(&self, limit: u32) -> Result<u64, IntakeError>;

    /// Forgets what was answered about this account, because its person wants to be forgotten.
    ///
    /// * Of an account that is forgotten no answer is kept, and of the others all are.
    async fn forget_answers_about(&self, id: UserId) -> Result<(), IntakeError>;

    /// Makes what was settled and forgotten unreadable, as far as the engine can. Returns false if something is in the way for the
    /// moment.
    ///
    /// * An intake that is wiped keeps what waits, and no file of its own holds what was settled.
    async fn wipe(&self) -> Result<bool, StoreFailure>;

    /// Asks whether the intake answers.
    async fn ping(&self) -> Result<(), StoreFailure>;

    /// Asks whether the intake takes writes, by writing a byte.
    ///
    /// * A intake that answers and is neither full nor read-only takes writes.
    async fn try_write(&self) -> Result<(), StoreFailure>;
}

/// Something that a client asks for under a key, so that it has one effect however often it is asked for, by whichever replica.
#[derive(Debug, Clone)]
pub struct Once {
    /// The digest of who asks, for what, and the key.
    pub name: Digest,
    /// What makes two requests the same.
    pub fingerprint: Fingerprint,
    /// The account that it would be: every attempt has another one, and is known by it.
    pub id: UserId,
    /// How long its answer is kept.
    pub kept: Duration,
}

/// What a beginning found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It begins now.
    Now,
    /// Somebody is at it.
    Running,
    /// It was answered before.
    Before(Answer),
}

/// What was answered under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Of the request that was answered.
    pub fingerprint: Fingerprint,
    /// The account that was registered …
    pub id: UserId,
    /// … and when. The answer follows from this and from the request: no name and no address is kept.
    pub at: Timestamp,
}

/// The right to register an account with an e-mail, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The e-mail.
    pub email: Email,
    /// The account that it is for.
    pub id: UserId,
}

/// A registration that somebody took to store it.
#[derive(Debug)]
pub struct Waiting {
    /// Its id.
    pub id: UserId,
    /// How often it was taken, this time included.
    pub attempts: u32,
    /// The trace of the request that it came with.
    pub trace: Trace,
    /// The registration, or why it can't be read.
    pub account: Result<Account, StoreFailure>,
}

/// Why an [`Intake`] did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// Somebody else has reserved the e-mail, or registers with it just now.
    #[error("the e-mail belongs to another account")]
    EmailTaken,
    /// The work took longer than its reservation lasted.
    #[error("the registration took too long")]
    LeaseLost,
    /// The intake is away or broken.
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
