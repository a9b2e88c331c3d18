//! The notation of limits, such as `50/second burst 200`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of requests in a period, and the number of them that may arrive together. It is written as
/// `50/second burst 200`. Without `burst`, all requests of a period may arrive together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    limit: u32,
    per: Per,
    burst: u32,
}

/// The periods that a limit can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Per {
    Second,
    Minute,
    Hour,
    Day,
}

impl Per {
    const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

impl Window {
    /// Returns the name of its period, such as `day`.
    pub(super) fn name(&self) -> &'static str {
        self.per.name()
    }

    /// Returns the time after which one more request is allowed.
    pub(super) fn pace(&self) -> Duration {
        Duration::from_nanos(self.per.seconds() * 1_000_000_000 / u64::from(self.limit))
    }

    /// Returns the time after which the requests of a client no longer count.
    pub(super) fn memory(&self) -> Duration {
        self.pace() * self.burst
    }

    /// Returns its item in `RateLimit-Policy`: `q` requests in `w` seconds, `burst` of them together.
    pub(super) fn policy(&self, name: &str) -> String {
        format!("\"{name}\";q={};w={};burst={}", self.limit, self.per.seconds(), self.burst)
    }
}

/// A text that is not a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a limit such as `50/second burst 200`, `20/minute`, `1000/hour` or `100000/day`")]
pub struct NotAWindow;

impl FromStr for Window {
    type Err = NotAWindow;

    fn from_str(text: &str) -> Result<Self, NotAWindow> {
        let mut words = text.split_whitespace();
        let (limit, per) = words.next().and_then(|word| word.split_once('/')).ok_or(NotAWindow)?;
        let limit = positive(limit)?;
        let per = Per::ALL.into_iter().find(|known| known.name() == per).ok_or(NotAWindow)?;
        let burst = match (words.next(), words.next(), words.next()) {
            (None, ..) => limit,
            (Some("burst"), Some(burst), None) => positive(burst)?,
            _ => return Err(NotAWindow),
        };
        Ok(Self { limit, per, burst })
    }
}

/// Parses a number from 1 to a million. The maximum keeps the pace above zero.
fn positive(text: &str) -> Result<u32, NotAWindow> {
    text.parse().ok().filter(|number| (1..=1_000_000).contains(number)).ok_or(NotAWindow)
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.limit, self.per.name())?;
        if self.burst == self.limit { Ok(()) } else { write!(f, " burst {}", self.burst) }
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parsed_limit_is_formatted_as_it_was_written() {
        for text in ["50/second burst 200", "20/minute", "1000/hour", "100000/day"] {
            assert_eq!(text.parse::<Window>().expect("a limit").to_string(), text);
        }
        let wrong =
            ["", "50", "0/second", "50/week", "50/second burst", "50/second burst 0", "5/second burst 2 3"];
        assert!(wrong.iter().all(|text| text.parse::<Window>() == Err(NotAWindow)));
        assert!("2000000/second".parse::<Window>().is_err());
    }

    #[test]
    fn a_policy_has_requests_seconds_and_burst() {
        let window: Window = "50/second burst 200".parse().expect("a limit");
        assert_eq!(window.policy("second"), "\"second\";q=50;w=1;burst=200");
        assert_eq!(window.pace(), Duration::from_millis(20));
        assert_eq!(window.memory(), Duration::from_secs(4));
    }
}
