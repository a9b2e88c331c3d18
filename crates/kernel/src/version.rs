use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The version of an article or an account: 1 when it is created, and one more with each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(u32);

impl Version {
    /// The version of a new resource.
    pub const FIRST: Version = Version(1);

    /// Creates a version from its number, which starts at 1.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Returns the next version.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Returns the entity tag of this version, such as `"v7"`.
    pub fn etag(self) -> String {
        format!("\"v{}\"", self.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is not the entity tag of a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a version such as \"v7\"")]
pub struct NotAVersion;

impl FromStr for Version {
    type Err = NotAVersion;

    /// Parses an entity tag, strong or weak: a gateway that compresses weakens tags.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let text = text.strip_prefix("W/").unwrap_or(text);
        let inner = text.strip_prefix("\"v").and_then(|rest| rest.strip_suffix('"')).ok_or(NotAVersion)?;
        // Each version has one spelling: digits without a sign and without leading zeroes.
        let digits = inner.bytes().all(|byte| byte.is_ascii_digit()) && !inner.starts_with('0');
        inner.parse().ok().filter(|_| digits).map(Self).ok_or(NotAVersion)
    }
}

/// The versions that a writer expects to change (RFC 9110 §13.1.1, `If-Match`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Any version of an existing resource: `*`.
    Any,
    /// One of these versions. An empty list admits none: the writer named tags that no version has.
    OneOf(Vec<Version>),
}

impl Expected {
    /// Creates an expectation of exactly this version.
    pub fn exactly(version: Version) -> Self {
        Expected::OneOf(vec![version])
    }

    /// Returns true if a writer with this expectation may change `current`.
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
    fn an_entity_tag_is_parsed_even_if_a_gateway_weakened_it() {
        assert_eq!("\"v7\"".parse(), Ok(Version::new(7)));
        assert_eq!("W/\"v7\"".parse(), Ok(Version::new(7)));
        for bad in ["v7", "\"7\"", "\"v0\"", "\"v07\"", "\"v+7\"", "\"v\"", "\"v4294967296\"", "*"] {
            assert_eq!(bad.parse::<Version>(), Err(NotAVersion), "{bad}");
        }
    }
}
