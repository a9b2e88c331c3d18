//! Accounts, sessions and consent: values that are always valid, rules, and the events of the service.

mod audit;
mod consent;
mod email;
mod erasure;
mod event;
mod export;
mod fingerprint;
mod key;
mod password;
mod session;
mod user;

pub use audit::{
    AuditCursor, AuditEntry, AuditFilter, AuditKind, InvalidCursor, Network, Origin, UnknownKind,
};
pub use consent::{Consent, ConsentChoice};
pub use email::Email;
pub use erasure::{Erasure, Receipt, services_with_personal_data};
pub use event::Event;
pub use export::{ExportPart, PartPage, PartSource};
pub use fingerprint::Fingerprint;
pub use key::{KeyRing, KeyRingError};
pub use password::{Credentials, Password, prepare};
pub use session::{
    Digest, PreviousRefresh, RefreshRequest, RefreshToken, Salt, Session, SessionRules, TokenDigest, Verdict,
};
pub use user::{Account, AccountChange, AccountPatch, Name, Profile, User};

use std::time::Duration;

use kernel::FieldFault;

/// The life of an access token. It is also the longest time that a change of roles may take to reach the
/// other services.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(900);

/// Why a text is not a valid value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Invalid {
    /// The stable code of the broken rule.
    pub code: &'static str,
    /// The rule, for the person who typed the text.
    pub detail: String,
}

impl Invalid {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// Returns this as a fault of the field at `pointer`.
    pub fn at(self, pointer: &str) -> FieldFault {
        FieldFault::new(pointer, self.code, self.detail)
    }
}

impl From<kernel::TextError> for Invalid {
    fn from(error: kernel::TextError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
