//! Accounts as the newsroom thinks of them: values that can't be wrong, rules, and the facts that leave the service.

mod consent;
mod email;
mod event;
mod fingerprint;
mod key;
mod password;
mod session;
mod user;

pub use consent::{Choice, Consent};
pub use email::Email;
pub use event::Event;
pub use fingerprint::Fingerprint;
pub use key::{KeyRing, NotAKeyRing};
pub use password::{Credentials, Password, prepared};
pub use session::{Digest, Previous, Print, Refresh, RefreshToken, Salt, Session, SessionRules, Verdict};
pub use user::{Account, Change, Name, Profile, User, Wish};

use std::time::Duration;

use kernel::FieldFault;

/// How long an access token holds; with it, how long a change of roles may take to reach the other services.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(900);

/// Why a text is not the value it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Invalid {
    /// The stable name of the rule that it breaks.
    pub code: &'static str,
    /// The rule, as a sentence for the person who typed it.
    pub detail: String,
}

impl Invalid {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// The same as a fault of the field at `pointer`.
    pub fn at(self, pointer: &str) -> FieldFault {
        FieldFault::new(pointer, self.code, self.detail)
    }
}

impl From<kernel::TextError> for Invalid {
    fn from(error: kernel::TextError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
