use kernel::{Timestamp, UserId};

use super::Consent;

/// A fact that other services act on. It leaves through the outbox, in the transaction of the effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A person's account was erased: whoever stores anything about them erases it too.
    UserErased {
        /// Whose.
        user: UserId,
        /// When.
        at: Timestamp,
    },
    /// A person changed what they allow; the whole consent as it is now.
    ConsentChanged {
        /// Whose.
        user: UserId,
        /// What holds now.
        consent: Consent,
        /// When.
        at: Timestamp,
    },
}

impl Event {
    /// Whom it is about.
    pub fn user(&self) -> UserId {
        match self {
            Event::UserErased { user, .. } | Event::ConsentChanged { user, .. } => *user,
        }
    }

    /// When it happened.
    pub fn at(&self) -> Timestamp {
        match self {
            Event::UserErased { at, .. } | Event::ConsentChanged { at, .. } => *at,
        }
    }
}
