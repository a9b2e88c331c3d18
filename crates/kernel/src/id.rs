use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::Clock;

/// A text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an id such as 0190b2c4-5d1e-7a3f-8b6c-9e2d4f708152")]
pub struct NotAnId;

/// The number of characters of an id: 32 digits in five groups.
const LENGTH: usize = 36;

/// Parses the one spelling of an id (RFC 9562 §4), in lower or upper case. Braces, `urn:uuid:` and 32 bare
/// digits are refused: a cache would store a resource with several addresses several times.
fn canonical(text: &str) -> Result<Uuid, NotAnId> {
    // No other spelling that the parser accepts has this length.
    if text.len() != LENGTH {
        return Err(NotAnId);
    }
    Uuid::try_parse(text).map_err(|_| NotAnId)
}

/// Deserializes an id from a text format such as JSON.
struct Text;

impl Visitor<'_> for Text {
    type Value = Uuid;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Uuid, E> {
        canonical(text).map_err(E::custom)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps an id that already exists.
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// Returns the UUID, for stores and messages.
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
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                canonical(text).map(Self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return Uuid::deserialize(deserializer).map(Self);
                }
                deserializer.deserialize_str(Text).map(Self)
            }
        }
    };
}

id! {
    /// The id of an account.
    UserId
}
id! {
    /// The id of an article, unique over all sections.
    ArticleId
}
id! {
    /// The id of a message on the bus. A consumer stores it together with the effect of the message.
    MessageId
}
id! {
    /// The id of a session.
    SessionId
}

/// A source of new ids. It is injected, so that a test can predict them.
pub trait Ids: Send + Sync {
    /// Returns an id that was never returned before.
    fn next(&self) -> Uuid;
}

/// A source of UUIDv7 (RFC 9562 §5.7): ordered by time, and created without a store.
pub struct TimeOrderedIds {
    clock: Arc<dyn Clock>,
    counter: Mutex<uuid::ContextV7>,
}

impl TimeOrderedIds {
    /// Creates a source of ids that contain the time of this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, counter: Mutex::new(uuid::ContextV7::new()) }
    }
}

impl Ids for TimeOrderedIds {
    fn next(&self) -> Uuid {
        // The lock protects a counter, so a poisoned lock is harmless.
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
    fn an_id_has_one_spelling_and_is_formatted_in_lower_case() {
        let small = "0190b2c4-5d1e-7a3f-8b6c-9e2d4f708152";
        let id: ArticleId = small.parse().expect("an id");
        assert_eq!(small.to_uppercase().parse(), Ok(id));
        assert_eq!(serde_json::from_value(small.to_uppercase().into()).ok(), Some(id));
        assert_eq!((id.to_string(), serde_json::to_value(id).ok()), (small.to_owned(), Some(small.into())));
        for other in
            [format!("{{{small}}}"), format!("urn:uuid:{small}"), small.replace('-', ""), String::new()]
        {
            assert_eq!(other.parse::<ArticleId>(), Err(NotAnId), "{other}");
            assert!(serde_json::from_value::<UserId>(other.clone().into()).is_err(), "{other}");
        }
    }

    #[test]
    fn ids_of_one_millisecond_are_different_and_ordered() {
        let ids = TimeOrderedIds::new(Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_123))));
        let minted: Vec<Uuid> = (0..1000).map(|_| ids.next()).collect();
        assert!(minted.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(minted.iter().all(|id| id.get_version_num() == 7));
    }
}
