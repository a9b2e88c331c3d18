use std::time::Duration;

use kernel::{Code, Fault, FieldFault, Kind};
use serde_json::{Map, Value};

use super::passwords::PasswordError;
use crate::ports::{IntakeError, UserStoreError};

/// Why something was not done with an account.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Fields break rules.
    #[error("The body breaks a rule; see errors.")]
    Invalid(Vec<FieldFault>),
    /// The current password that was given is another one.
    #[error("The current password is not right.")]
    WrongPassword,
    /// The session is too old to do this without the password.
    #[error("This login is older than 10 minutes: send `current_password` in the body, or log in again.")]
    CurrentPasswordRequired,
    /// It was tried too often.
    #[error("Too many attempts; wait a little.")]
    TooManyAttempts {
        /// So long, in whole seconds.
        wait: Duration,
    },
    /// The store refused, or is away.
    #[error(transparent)]
    Store(#[from] UserStoreError),
    /// The intake refused, or is away.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// A password could not be hashed now.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

impl UserError {
    /// One field that breaks a rule.
    pub fn field(fault: FieldFault) -> Self {
        UserError::Invalid(vec![fault])
    }

    fn inner(&self) -> Option<&dyn Fault> {
        match self {
            UserError::Invalid(_)
            | UserError::WrongPassword
            | UserError::CurrentPasswordRequired
            | UserError::TooManyAttempts { .. } => None,
            UserError::Store(error) => Some(error),
            UserError::Intake(error) => Some(error),
            UserError::Password(error) => Some(error),
        }
    }
}

impl Fault for UserError {
    fn kind(&self) -> Kind {
        match self {
            UserError::Invalid(_) => Kind::Invalid,
            UserError::WrongPassword | UserError::CurrentPasswordRequired => Kind::Forbidden,
            UserError::TooManyAttempts { .. } => Kind::TooMany,
            _ => self.inner().map_or(Kind::Internal, Fault::kind),
        }
    }

    fn code(&self) -> Code {
        match self {
            UserError::Invalid(_) => Code::new("invalid"),
            UserError::WrongPassword => Code::new("wrong_password"),
            UserError::CurrentPasswordRequired => Code::new("current_password_required"),
            UserError::TooManyAttempts { .. } => Code::new("too_many_attempts"),
            _ => self.inner().map_or(Code::new("internal"), Fault::code),
        }
    }

    fn fields(&self) -> Vec<FieldFault> {
        match self {
            UserError::Invalid(fields) => fields.clone(),
            _ => Vec::new(),
        }
    }

    fn extra(&self) -> Map<String, Value> {
        self.inner().map(Fault::extra).unwrap_or_default()
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            UserError::TooManyAttempts { wait } => Some(*wait),
            _ => self.inner().and_then(Fault::retry_after),
        }
    }
}
