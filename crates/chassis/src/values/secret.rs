use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that is never shown. It prints and serialises as `***`, and its memory is wiped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Returns the value, for the one place that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// Reads any plain value as text. An error may be printed, so it does not quote the value.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Plain {
            Text(String),
            Whole(i64),
            Large(u64),
        }
        match Plain::deserialize(deserializer) {
            Ok(Plain::Text(text)) => Ok(text.into()),
            Ok(Plain::Whole(number)) => Ok(number.to_string().into()),
            Ok(Plain::Large(number)) => Ok(number.to_string().into()),
            Err(_) => Err(serde::de::Error::custom("a secret must be a text")),
        }
    }
}
