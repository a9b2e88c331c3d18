use kernel::{Timestamp, UserId};

use super::Consent;

/// An event that other services act on. It is written into the outbox, in the transaction of its effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The account of a person was erased. Services that store anything about them erase it too.
    UserErased {
        /// The account.
        user: UserId,
        /// The time of the event.
        at: Timestamp,
    },
    /// A person changed their consent.
    ConsentChanged {
        /// The account.
        user: UserId,
        /// The whole consent as it is now.
        consent: Consent,
        /// The time of the event.
        at: Timestamp,
    },
}

impl Event {
    /// Returns the account that the event is about.
    pub fn user(&self) -> UserId {
        match self {
            Event::UserErased { user, .. } | Event::ConsentChanged { user, .. } => *user,
        }
    }

    /// Returns the time of the event.
    pub fn at(&self) -> Timestamp {
        match self {
            Event::UserErased { at, .. } | Event::ConsentChanged { at, .. } => *at,
        }
    }
}
