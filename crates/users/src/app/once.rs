use std::net::IpAddr;
use std::time::Duration;

use chassis::causes;
use kernel::{Class, Fault, Kind, UserId};

use super::throttle::origin;
use super::{App, LEASE, Register, UserError};
use crate::domain::{Digest, User};
use crate::ports::{Answer, Begun, IntakeError, Once};

/// How long an answer is kept for whoever asks again.
pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long nobody else begins what somebody has begun: until a reservation that was made in the time of a request has run out, if its
/// process died. Then no dead reservation is left to refuse the next attempt.
const TURN: Duration = LEASE.saturating_add(Duration::from_secs(5));

/// How a client names a request.
pub struct Named<'a> {
    /// Its account, if it has said which.
    pub account: Option<UserId>,
    /// Where it is.
    pub from: IpAddr,
    /// Its key.
    pub key: &'a str,
    /// All that it said.
    pub said: &'a [&'a str],
}

impl Named<'_> {
    /// A key belongs to the account, else to the address, and to what is asked for.
    fn digest(&self, command: &str) -> Digest {
        let owner = match self.account {
            Some(account) => account.to_string(),
            None => origin(self.from).unwrap_or_default(),
        };
        Digest::of(format!("{owner}\n{command}\n{}", self.key).as_bytes())
    }
}

/// A registration that was taken in.
pub struct Registered {
    /// The account, as it was when it was registered.
    pub user: User,
    /// True where the same was answered before.
    pub replayed: bool,
}

/// Why a request under a key led to nothing.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// It was refused, or could not be tried.
    #[error(transparent)]
    User(#[from] UserError),
    /// It is being done, under the same key.
    #[error("The first request with this key is not done yet.")]
    StillRunning,
    /// The key came with another request.
    #[error("This key was used for another request.")]
    KeyReused,
}

impl From<IntakeError> for OnceError {
    fn from(error: IntakeError) -> Self {
        OnceError::User(error.into())
    }
}

impl Fault for OnceError {
    fn classify(&self) -> Class<'_> {
        match self {
            OnceError::User(error) => Class::Inner(error),
            OnceError::StillRunning => Class::own(Kind::Conflict, "still_running"),
            OnceError::KeyReused => Class::own(Kind::Invalid, "idempotency_key_reused"),
        }
    }
}

impl App {
    /// Takes a registration in as [`App::register`] does, unless that was done before under the same key; then it says what came of it.
    /// A body that breaks a rule is a `wish` that is refused.
    ///
    /// The intake keeps the answer in the step that takes the registration in, so there is one of both, whichever replicas work at it and
    /// wherever one of them is killed. A refusal is not kept: it changed nothing, and the same key serves the request once it is
    /// corrected (decision 14).
    ///
    /// # Errors
    /// As [`App::register`]; `still_running`, `idempotency_key_reused`.
    pub async fn register_once(
        &self,
        named: &Named<'_>,
        wish: Result<Register, UserError>,
    ) -> Result<Registered, OnceError> {
        self.admit_registration(named.from).await?;
        let once = Once {
            name: named.digest("POST /"),
            fingerprint: self.tokens.fingerprint(named.said),
            id: self.new_user_id(),
            kept: KEPT,
        };
        match self.intake.begin(&once, TURN).await? {
            Begun::Now => {}
            Begun::Running => return Err(OnceError::StillRunning),
            Begun::Before(answer) => return self.again(answer, named, wish),
        }
        let outcome = match wish {
            Ok(wish) => self.take_in(once.id, wish, Some(&once)).await,
            Err(refused) => Err(refused),
        };
        if outcome.is_err() {
            self.give_up(&once).await;
        }
        Ok(Registered { user: outcome?, replayed: false })
    }

    /// What was answered before. Name and address are those of the request, which is the same.
    fn again(
        &self,
        answer: Answer,
        named: &Named<'_>,
        wish: Result<Register, UserError>,
    ) -> Result<Registered, OnceError> {
        if !self.tokens.is_fingerprint_of(&answer.fingerprint, named.said) {
            return Err(OnceError::KeyReused);
        }
        let Register { name, email, .. } = wish?;
        Ok(Registered { user: User::registered(answer.id, name, email, answer.at), replayed: true })
    }

    /// Lets the next attempt begin at once. That this fails costs the next one a wait, no more.
    async fn give_up(&self, once: &Once) {
        if let Err(error) = self.intake.give_up(once).await {
            tracing::debug!(cause = causes(&error), "what was begun under a key was left to run out");
        }
    }

    /// Forgets answers whose time is over, at most so many. Returns how many.
    pub async fn forget_answers(&self, limit: u32) -> Result<u64, UserError> {
        Ok(self.intake.forget_answers(limit).await?)
    }
}
