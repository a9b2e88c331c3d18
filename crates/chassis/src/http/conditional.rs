use axum::extract::FromRequestParts;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use kernel::{Expected, Version};

use super::problem::{Problem, of_status};

/// What the writer says it has seen: `If-Match` (RFC 9110 §13.1.1), if it says so at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition(pub Option<Expected>);

impl Precondition {
    /// The expectation of the header, or else of `version` in the body; 428 where neither was given.
    pub fn or_version(self, version: Option<u32>) -> Result<Expected, Problem> {
        let named = version.map(|number| Expected::exactly(Version::new(number)));
        self.0.or(named).ok_or_else(|| of_status(StatusCode::PRECONDITION_REQUIRED))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Precondition {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let lines: Vec<&str> =
            parts.headers.get_all(IF_MATCH).iter().filter_map(|value| value.to_str().ok()).collect();
        Ok(Self((!lines.is_empty()).then(|| expected(&lines.join(",")))))
    }
}

fn expected(text: &str) -> Expected {
    if text.trim() == "*" {
        return Expected::Any;
    }
    // A tag that no version ever had matches nothing, and is no error.
    Expected::OneOf(text.split(',').filter_map(|tag| tag.parse().ok()).collect())
}

/// True where `If-None-Match` names `etag` (RFC 9110 §13.1.2, weak comparison): then the answer is 304.
pub fn etag_matches(headers: &HeaderMap, etag: &str) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|line| line.trim() == "*" || line.split(',').any(|tag| strong(tag) == strong(etag)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_list_of_tags_admits_each_of_them_and_a_foreign_tag_none() {
        assert!(expected("\"v3\", W/\"v4\"").admits(Version::new(4)));
        assert!(!expected("\"abc\"").admits(Version::new(4)));
        assert!(expected(" * ").admits(Version::new(4)));
    }

    #[test]
    fn a_version_in_the_body_serves_where_the_header_is_missing() {
        let from_body = Precondition(None).or_version(Some(2)).expect("an expectation");
        assert!(from_body.admits(Version::new(2)));
        let missing = Precondition(None).or_version(None).expect_err("a refusal");
        assert_eq!(missing.status(), StatusCode::PRECONDITION_REQUIRED);
    }

    #[test]
    fn an_answer_that_the_client_has_is_found_by_weak_comparison() {
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static("\"v1\", W/\"v7\""));
        assert!(etag_matches(&headers, "\"v7\""));
        assert!(!etag_matches(&headers, "\"v8\""));
    }
}
