use std::net::IpAddr;
use std::time::Duration;

use chassis::causes;
use kernel::{Class, Fault, Kind, UserId};

use super::throttle::origin;
use super::{App, LEASE, Register, UserError};
use crate::domain::{Digest, User};
use crate::ports::{BeginOutcome, IdempotencyAttempt, IntakeError, RegistrationAnswer};

/// The time for which an answer is kept for repeated requests.
const ANSWER_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// The time in which an attempt keeps others from beginning. If its process died, the reservation that it
/// made within the time of a request has expired by then, so no dead reservation refuses the next attempt.
const ATTEMPT_LEASE: Duration = LEASE.saturating_add(Duration::from_secs(5));

/// A request that a client names by an idempotency key.
pub struct IdempotentRequest<'a> {
    /// The caller's account, if the caller is logged in.
    pub account: Option<UserId>,
    /// The caller's address.
    pub from: IpAddr,
    /// The key.
    pub key: &'a str,
    /// The content of the request, as texts.
    pub content: &'a [&'a str],
}

impl IdempotentRequest<'_> {
    /// Returns the digest of the key. A key belongs to an account, or else to an address, and to one
    /// operation.
    fn digest(&self, operation: &str) -> Digest {
        let owner = match self.account {
            Some(account) => account.to_string(),
            None => origin(self.from).unwrap_or_default(),
        };
        Digest::of(format!("{owner}\n{operation}\n{}", self.key).as_bytes())
    }
}

/// A registration that was accepted.
pub struct Registration {
    /// The account as it was when it was registered.
    pub user: User,
    /// True if the same request was answered before.
    pub replayed: bool,
}

/// Why a registration under an idempotency key was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The registration was refused or failed.
    #[error(transparent)]
    User(#[from] UserError),
    /// Another request with the same key is in progress.
    #[error(
        "The first request with this `Idempotency-Key` is still in progress: repeat it in a few seconds."
    )]
    StillRunning,
    /// The key was used for another request.
    #[error("This `Idempotency-Key` was used for another request: use a new key.")]
    KeyReused,
}

impl From<IntakeError> for RegisterError {
    fn from(error: IntakeError) -> Self {
        RegisterError::User(error.into())
    }
}

impl Fault for RegisterError {
    fn classify(&self) -> Class<'_> {
        match self {
            RegisterError::User(error) => Class::Inner(error),
            RegisterError::StillRunning => Class::own(Kind::Conflict, "still_running"),
            RegisterError::KeyReused => Class::own(Kind::Invalid, "idempotency_key_reused"),
        }
    }
}

impl App {
    /// Accepts a registration as [`App::register`] does, unless the same key was answered before; then it
    /// returns that answer. A body that breaks a rule is passed as a refused `command`.
    ///
    /// The intake stores the answer in the same step as the registration. So there is one of both, whichever
    /// replicas work on it and wherever one of them is killed. A refusal is not stored: it changed nothing,
    /// and the same key serves the corrected request (decision 14).
    ///
    /// # Errors
    /// See [`App::register`]; `still_running`, `idempotency_key_reused`.
    pub async fn register_under_key(
        &self,
        request: &IdempotentRequest<'_>,
        command: Result<Register, UserError>,
    ) -> Result<Registration, RegisterError> {
        self.admit_registration(request.from).await?;
        let attempt = IdempotencyAttempt {
            key: request.digest("POST /"),
            fingerprint: self.tokens.fingerprint(request.content),
            user: self.new_user_id(),
            answer_life: ANSWER_LIFE,
        };
        match self.intake.begin(&attempt, ATTEMPT_LEASE).await? {
            BeginOutcome::Begun => {}
            BeginOutcome::StillRunning => return Err(RegisterError::StillRunning),
            BeginOutcome::Answered(answer) => return self.replay(answer, request, command),
        }
        let outcome = match command {
            Ok(command) => self.accept(attempt.user, command, Some(&attempt)).await,
            Err(refusal) => Err(refusal),
        };
        if outcome.is_err() {
            self.give_up(&attempt).await;
        }
        Ok(Registration { user: outcome?, replayed: false })
    }

    /// Repeats the stored answer. Name and e-mail come from the request, which is the same.
    fn replay(
        &self,
        answer: RegistrationAnswer,
        request: &IdempotentRequest<'_>,
        command: Result<Register, UserError>,
    ) -> Result<Registration, RegisterError> {
        if !self.tokens.is_fingerprint_of(&answer.fingerprint, request.content) {
            return Err(RegisterError::KeyReused);
        }
        let Register { name, email, .. } = command?;
        let user = User::registered(answer.user, name, email, answer.registered_at);
        Ok(Registration { user, replayed: true })
    }

    /// Lets the next attempt begin immediately. If this fails, the next attempt has to wait for the lease, no
    /// more.
    async fn give_up(&self, attempt: &IdempotencyAttempt) {
        if let Err(error) = self.intake.give_up(attempt).await {
            tracing::debug!(cause = causes(&error), "an attempt under an idempotency key was left to expire");
        }
    }

    /// Forgets expired answers, at most `limit`. Returns their number.
    pub async fn forget_answers(&self, limit: u32) -> Result<u64, UserError> {
        Ok(self.intake.forget_answers(limit).await?)
    }
}
