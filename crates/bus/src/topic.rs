use std::fmt;
use std::str::FromStr;

use crate::BusError;

/// The most bytes of a routing key or pattern. AMQP 0-9-1 sends them as short strings.
const MAX_BYTES: usize = 255;

/// A pattern of routing keys: words between dots, with `*` for exactly one word and `#` for any number of
/// words, including none (AMQP 0-9-1, topic exchange).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

impl Pattern {
    /// Returns the text of the pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if this routing key matches the pattern.
    pub fn matches(&self, key: &str) -> bool {
        let pattern: Vec<&str> = self.0.split('.').collect();
        let words: Vec<&str> = key.split('.').collect();
        matches_words(&pattern, &words)
    }
}

/// Matches words against a pattern. Patterns are short and written by programmers, so the search after `#`
/// needs no bound.
fn matches_words(pattern: &[&str], words: &[&str]) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return words.is_empty() };
    if *first == "#" {
        return (0..=words.len()).any(|skipped| matches_words(rest, &words[skipped..]));
    }
    words
        .split_first()
        .is_some_and(|(word, others)| (*first == "*" || first == word) && matches_words(rest, others))
}

/// Parses the keys of a subscription.
pub(crate) fn parse_all(patterns: &[String]) -> Result<Vec<Pattern>, BusError> {
    let parse =
        |text: &String| text.parse().map_err(|fault: InvalidPattern| BusError::Name(fault.to_string()));
    patterns.iter().map(parse).collect()
}

/// A text that is not a pattern of routing keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a pattern of routing keys. Write words between dots, and `*` or `#` only as whole words."
)]
pub struct InvalidPattern(String);

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_valid =
            |word: &str| !word.is_empty() && (matches!(word, "*" | "#") || !word.contains(['*', '#']));
        if text.len() > MAX_BYTES || !text.split('.').all(is_valid) {
            return Err(InvalidPattern(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_one_word_and_a_hash_any_number_of_words() {
        for (pattern, key, is_match) in [
            ("users.erased", "users.erased", true),
            ("users.erased", "users.erased.twice", false),
            ("news.*.published", "news.sports.published", true),
            ("news.*.published", "news.published", false),
            ("news.*.published", "news.sports.football.published", false),
            ("news.sports.#", "news.sports.published", true),
            ("news.sports.#", "news.sports", true),
            ("news.sports.#", "news.politics.published", false),
            ("#", "users.erased", true),
            ("#.published", "published", true),
            ("#.published", "news.sports.published", true),
            ("#.sports.#", "news.sports.published", true),
            ("*.*", "news", false),
            ("*", "", true),
        ] {
            let parsed: Pattern = pattern.parse().expect("a pattern");
            assert_eq!(parsed.matches(key), is_match, "{pattern} on {key}");
        }
    }

    #[test]
    fn a_wildcard_that_is_only_part_of_a_word_is_refused() {
        for bad in ["", "news.", ".news", "news..read", "news.spor*", "news.##"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
        assert!("a".repeat(256).parse::<Pattern>().is_err());
    }
}
