use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The version of an article or an account: 1 when it is created, one more with every change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(u32);

impl Version {
    /// The version of something new.
    pub const FIRST: Version = Version(1);

    /// A version by its number, counted from 1.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The version after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The entity tag of this version: `"v7"`.
    pub fn etag(self) -> String {
        format!("\"v{}\"", self.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is no entity tag of a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a version such as \"v7\"")]
pub struct NotAVersion;

impl FromStr for Version {
    type Err = NotAVersion;

    /// Reads an entity tag; a weak one too, since a gateway that compresses weakens them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let text = text.strip_prefix("W/").unwrap_or(text);
        let inner = text.strip_prefix("\"v").and_then(|rest| rest.strip_suffix('"')).ok_or(NotAVersion)?;
        // One spelling: digits without a sign, and none before the first that counts.
        let digits = inner.bytes().all(|byte| byte.is_ascii_digit()) && !inner.starts_with('0');
        inner.parse().ok().filter(|_| digits).map(Self).ok_or(NotAVersion)
    }
}

/// The version that a writer has seen, and on whose strength it writes (RFC 9110 §13.1.1, `If-Match`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there, as long as something is: `*`.
    Any,
    /// One of these. An empty list admits nothing: the writer named tags that no version has.
    OneOf(Vec<Version>),
}

impl Expected {
    /// Exactly this version.
    pub fn exactly(version: Version) -> Self {
        Expected::OneOf(vec![version])
    }

    /// True where a writer with this expectation may change `current`.
    pub fn admits(&self, current: Version) -> bool {
        match self {
            Expected::Any => true,
            Expected::OneOf(versions) => versions.contains(&current),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_tag_is_read_back_even_when_a_gateway_weakened_it() {
        assert_eq!("\"v7\"".parse(), Ok(Version::new(7)));
        assert_eq!("W/\"v7\"".parse(), Ok(Version::new(7)));
        for bad in ["v7", "\"7\"", "\"v0\"", "\"v07\"", "\"v+7\"", "\"v\"", "\"v4294967296\"", "*"] {
            assert_eq!(bad.parse::<Version>(), Err(NotAVersion), "{bad}");
        }
    }
}
