use std::fmt;
use std::str::FromStr;

use crate::BusError;

/// The most bytes of a routing key or pattern (AMQP 0-9-1: a short string).
const MAX: usize = 255;

/// Which routing keys a subscription wants: words between dots, where `*` stands for exactly one word and `#` for any
/// number of words, none included (AMQP 0-9-1, topic exchange).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True where messages with this routing key are wanted.
    pub fn matches(&self, key: &str) -> bool {
        let pattern: Vec<&str> = self.0.split('.').collect();
        let words: Vec<&str> = key.split('.').collect();
        fits(&pattern, &words)
    }
}

/// Patterns are written by programmers and short, so that the search behind `#` needs no bound of its own.
fn fits(pattern: &[&str], words: &[&str]) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return words.is_empty() };
    if *first == "#" {
        return (0..=words.len()).any(|taken| fits(rest, &words[taken..]));
    }
    words.split_first().is_some_and(|(word, others)| (*first == "*" || first == word) && fits(rest, others))
}

/// The keys of a subscription.
pub(crate) fn parse(patterns: &[String]) -> Result<Vec<Pattern>, BusError> {
    let parse = |text: &String| text.parse().map_err(|fault: NotAPattern| BusError::Name(fault.to_string()));
    patterns.iter().map(parse).collect()
}

/// The text is no pattern of routing keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no pattern of routing keys: words between dots, `*` and `#` only as whole words")]
pub struct NotAPattern(String);

impl FromStr for Pattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = |word: &str| !word.is_empty() && (matches!(word, "*" | "#") || !word.contains(['*', '#']));
        if text.len() > MAX || !text.split('.').all(good) {
            return Err(NotAPattern(text.to_owned()));
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
    fn a_star_is_one_word_and_a_hash_any_number() {
        for (pattern, key, wanted) in [
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
            assert_eq!(parsed.matches(key), wanted, "{pattern} on {key}");
        }
    }

    #[test]
    fn a_pattern_with_half_a_wildcard_is_refused() {
        for bad in ["", "news.", ".news", "news..read", "news.spor*", "news.##"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
        assert!("a".repeat(256).parse::<Pattern>().is_err());
    }
}
