use std::time::Duration;

use kernel::{Class, Fault, FieldFault, Kind};

use super::passwords::PasswordError;
use crate::ports::{IntakeError, UserStoreError};

/// Why a use case was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Fields of the request break rules.
    #[error("The request breaks a rule: see `errors`.")]
    Invalid(Vec<FieldFault>),
    /// The current password in the request is wrong.
    #[error("The current password is wrong.")]
    WrongPassword,
    /// The login is too old to do this without the password.
    #[error("This login is older than 10 minutes: send `current_password` in the body, or log in again.")]
    CurrentPasswordRequired,
    /// There were too many attempts.
    #[error("Too many attempts: wait as long as `Retry-After` says.")]
    TooManyAttempts {
        /// The time to wait, in whole seconds.
        wait: Duration,
    },
    /// Too many exports are being made.
    #[error("Too many exports are being made: try again in a second.")]
    Busy,
    /// The store refused, or is unavailable.
    #[error(transparent)]
    Store(#[from] UserStoreError),
    /// The intake refused, or is unavailable.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// A password could not be hashed or compared.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

impl UserError {
    /// Creates the refusal of one field.
    pub fn field(fault: FieldFault) -> Self {
        UserError::Invalid(vec![fault])
    }
}

impl Fault for UserError {
    fn classify(&self) -> Class<'_> {
        match self {
            UserError::Invalid(_) => Class::own(Kind::Invalid, "invalid"),
            UserError::WrongPassword => Class::own(Kind::Forbidden, "wrong_password"),
            UserError::CurrentPasswordRequired => Class::own(Kind::Forbidden, "current_password_required"),
            UserError::TooManyAttempts { .. } => Class::own(Kind::TooMany, "too_many_attempts"),
            UserError::Busy => Class::own(Kind::Unavailable, "busy"),
            UserError::Store(error) => Class::Inner(error),
            UserError::Intake(error) => Class::Inner(error),
            UserError::Password(error) => Class::Inner(error),
        }
    }

    fn fields(&self) -> Vec<FieldFault> {
        match self {
            UserError::Invalid(fields) => fields.clone(),
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            UserError::TooManyAttempts { wait } => Some(*wait),
            UserError::Busy => Some(Duration::from_secs(1)),
            _ => self.inner().and_then(Fault::retry_after),
        }
    }
}
