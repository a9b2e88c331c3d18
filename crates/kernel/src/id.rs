use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Clock;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps an id that was minted before.
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The bare UUID, for stores and messages.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id! {
    /// An account.
    UserId
}
id! {
    /// An article, unique over all sections.
    ArticleId
}
id! {
    /// A message on the bus. Whoever has an effect on receiving it stores the id with the effect.
    MessageId
}
id! {
    /// A login.
    SessionId
}

/// The source of new ids; injected, so that a test can know them beforehand.
pub trait Ids: Send + Sync {
    /// A new id, never given out before.
    fn next(&self) -> Uuid;
}

/// UUIDv7 (RFC 9562 §5.7): ordered by time, minted without asking a store.
pub struct TimeOrderedIds {
    clock: Arc<dyn Clock>,
    counter: Mutex<uuid::ContextV7>,
}

impl TimeOrderedIds {
    /// Ids that carry this clock's time.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, counter: Mutex::new(uuid::ContextV7::new()) }
    }
}

impl Ids for TimeOrderedIds {
    fn next(&self) -> Uuid {
        // A poisoned lock guards a counter, nothing that could be half done.
        let counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        let millis = self.clock.now().millis().unsigned_abs();
        let nanos = u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000;
        Uuid::new_v7(uuid::Timestamp::from_unix(&*counter, millis / 1000, nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ManualClock, Timestamp};

    #[test]
    fn ids_of_one_millisecond_are_different_and_ordered() {
        let ids = TimeOrderedIds::new(Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_123))));
        let minted: Vec<Uuid> = (0..1000).map(|_| ids.next()).collect();
        assert!(minted.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(minted.iter().all(|id| id.get_version_num() == 7));
    }
}
