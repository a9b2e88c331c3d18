//! The table of all problem codes, `codes.toml`. The OpenAPI document lists it, every test of a response
//! checks against it, and the pages of problems are generated from it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use http::StatusCode;
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// The explanation of a code for people.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meaning {
    /// The HTTP statuses that the code comes with.
    #[serde(deserialize_with = "statuses")]
    pub status: Vec<StatusCode>,
    /// The sender of the code.
    #[serde(default)]
    pub by: By,
    /// A sentence about what has happened.
    pub means: String,
    /// The situations in which it happens.
    pub when: String,
    /// The advice for clients.
    pub client: String,
}

/// The sender of a code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The services, in a fleet and in one process.
    #[default]
    Services,
    /// Only the gateway of the fleet.
    Gateway,
    /// The services, and the gateway if it refuses a request itself.
    Both,
}

/// Returns all codes in alphabetical order with their meanings.
pub fn codes() -> &'static BTreeMap<String, Meaning> {
    static CODES: LazyLock<BTreeMap<String, Meaning>> =
        LazyLock::new(|| toml::from_str(include_str!("codes.toml")).expect("a test reads the same text"));
    &CODES
}

/// Returns the schema of a code: a string with the list of its values.
pub(super) fn schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("The stable code of the problem, for programs."))
        .enum_values(Some(codes().keys().map(String::as_str)))
        .build()
}

/// Panics in debug builds, and therefore in tests, if the table lacks `code`.
pub(super) fn check(code: &str) {
    debug_assert!(codes().contains_key(code), "the code {code} is not in chassis/src/http/codes.toml");
}

fn statuses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<StatusCode>, D::Error> {
    let numbers = Vec::<u16>::deserialize(deserializer)?;
    numbers.into_iter().map(|number| StatusCode::from_u16(number).map_err(serde::de::Error::custom)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_sorted_and_unique() {
        let heads = include_str!("codes.toml").lines().filter_map(|line| line.strip_prefix('['));
        let heads: Vec<_> = heads.map(|head| head.trim_end_matches(']')).collect();
        assert!(heads.windows(2).all(|pair| pair[0] < pair[1]), "{heads:?}");
        assert!(heads.iter().eq(codes().keys()), "every head is a code");
    }

    #[test]
    fn every_code_has_an_error_status_and_three_complete_sentences() {
        for (code, meaning) in codes() {
            assert!(!meaning.status.is_empty(), "{code}");
            assert!(
                meaning.status.iter().all(|it| it.is_client_error() || it.is_server_error()),
                "{code}: {:?}",
                meaning.status
            );
            for text in [&meaning.means, &meaning.when, &meaning.client] {
                assert!(text.len() > 10 && text.ends_with('.'), "{code}: {text}");
                assert!(text.matches('`').count() % 2 == 0, "{code}: {text}");
            }
            assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
        }
    }
}
