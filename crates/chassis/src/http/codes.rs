//! Every code that an answer of the portal can carry: one table, `codes.toml`, which the document shows, every test of an answer
//! checks, and the pages of problems are made from.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use http::StatusCode;
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// What a code says to a person.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meaning {
    /// The HTTP statuses that it comes with.
    #[serde(deserialize_with = "statuses")]
    pub status: Vec<StatusCode>,
    /// Who says it.
    #[serde(default)]
    pub by: By,
    /// What has happened.
    pub means: String,
    /// When it happens.
    pub when: String,
    /// What a client should do.
    pub client: String,
}

/// Who answers with a code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The services, in both shapes.
    #[default]
    Services,
    /// The gateway of the fleet alone.
    Gateway,
    /// The services, and the gateway where it refuses before it asks them.
    Both,
}

/// The codes of refusals, alphabetically, with their meanings.
pub fn codes() -> &'static BTreeMap<String, Meaning> {
    static CODES: LazyLock<BTreeMap<String, Meaning>> =
        LazyLock::new(|| toml::from_str(include_str!("codes.toml")).expect("a test reads the same text"));
    &CODES
}

/// The schema of a code: a text, and which texts there are.
pub(super) fn schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("What happened, for a program: stable."))
        .enum_values(Some(codes().keys().map(String::as_str)))
        .build()
}

/// In debug builds, which is where tests run: a code that the document does not show is a defect.
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
    fn the_codes_stand_in_order_and_none_twice() {
        let heads = include_str!("codes.toml").lines().filter_map(|line| line.strip_prefix('['));
        let heads: Vec<_> = heads.map(|head| head.trim_end_matches(']')).collect();
        assert!(heads.windows(2).all(|pair| pair[0] < pair[1]), "{heads:?}");
        assert!(heads.iter().eq(codes().keys()), "every head is a code");
    }

    #[test]
    fn every_code_has_a_status_of_a_refusal_and_says_what_it_means_when_and_what_to_do() {
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
