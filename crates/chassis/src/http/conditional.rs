//! Conditional requests: `If-Match` and `If-None-Match`.

use axum::extract::FromRequestParts;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use kernel::{Expected, FieldFault, Kind, Refusal, Version};

use super::problem::{Problem, of_status};

/// The versions that the writer expects: the header `If-Match` (RFC 9110 §13.1.1), or `None` without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition(pub Option<Expected>);

impl Precondition {
    /// Returns the expectation of the header, or of `version` in the body without the header.
    ///
    /// # Errors
    /// 428 if both are missing; 422 if they differ.
    pub fn or_version(self, version: Option<u32>) -> Result<Expected, Problem> {
        let Some(number) = version else {
            return self.0.ok_or_else(|| of_status(StatusCode::PRECONDITION_REQUIRED));
        };
        let version = Version::new(number);
        if self.0.is_some_and(|header| !header.admits(version)) {
            let fault = FieldFault::new("/version", "differs", "must be a version that If-Match names");
            let detail = "If-Match and `version` in the body name different versions; send only one of them.";
            return Err(Refusal::new(Kind::Invalid, "invalid", detail).with_fields(vec![fault]).into());
        }
        Ok(Expected::exactly(version))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Precondition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match if_match(&parts.headers) {
            Some(Ok(expected)) => Ok(Self(Some(expected))),
            Some(Err(Unreadable)) => Err(unreadable()),
            None => Ok(Self(None)),
        }
    }
}

/// `If-Match` contains text that is not an entity tag, or a tag that resembles that of a version but is not
/// valid.
#[derive(Debug, PartialEq, Eq)]
struct Unreadable;

fn unreadable() -> Problem {
    let detail = "If-Match is not valid: send the ETag of a response unchanged, such as \"v7\", or *.";
    Problem::of_http(StatusCode::BAD_REQUEST, "bad_request", detail)
}

/// Returns the expectation of `If-Match`. A tag that no version has, such as that of an intermediate cache,
/// matches nothing.
fn if_match(headers: &HeaderMap) -> Option<Result<Expected, Unreadable>> {
    let list = joined(headers, &IF_MATCH)?;
    if list.trim_ascii() == b"*" {
        return Some(Ok(Expected::Any));
    }
    let tags: Result<Vec<&[u8]>, Unreadable> = tags(&list).collect();
    let versions = tags.and_then(|tags| {
        // RFC 9110 does not allow an empty list.
        if tags.is_empty() { Err(Unreadable) } else { tags.into_iter().filter_map(version_of).collect() }
    });
    Some(versions.map(Expected::OneOf))
}

/// Returns the version that this tag names; `None` if it is not the tag of a version.
fn version_of(tag: &[u8]) -> Option<Result<Version, Unreadable>> {
    let text = std::str::from_utf8(tag).ok()?;
    let digits = text.strip_prefix('v')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(format!("\"{text}\"").parse().map_err(|_| Unreadable))
}

/// Returns true if `If-Match` is valid but names only tags that no version has. The resource may not have
/// changed then: the client sent the tag of another resource, and the refusal must say so.
pub(super) fn names_no_version(headers: &HeaderMap) -> bool {
    matches!(if_match(headers), Some(Ok(Expected::OneOf(versions))) if versions.is_empty())
}

/// The sentence for a client whose `If-Match` names no version.
pub(super) const NO_VERSION: &str =
    "The tags in If-Match are not ETags of this address. Send the tag from the header ETag of this response.";

/// Returns true if `If-None-Match` names `etag` (RFC 9110 §13.1.2, weak comparison): the response is then
/// 304.
pub fn etag_matches(headers: &HeaderMap, etag: &str) -> bool {
    let Some(list) = joined(headers, &IF_NONE_MATCH) else { return false };
    if list.trim_ascii() == b"*" {
        return true;
    }
    let own: Vec<_> = tags(etag.as_bytes()).collect();
    tags(&list).any(|tag| tag.is_ok() && own.contains(&tag))
}

/// Joins all lines of a header into one list. It is a list of bytes because a tag may hold any byte; an
/// unusual tag must not invalidate its neighbours.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    (!lines.is_empty()).then(|| lines.join(&b","[..]))
}

/// Returns the tags of a list, each without quotes, without `W/`, and without the suffix of a compressing
/// proxy.
fn tags(list: &[u8]) -> impl Iterator<Item = Result<&[u8], Unreadable>> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = after_commas(rest);
        (!rest.is_empty()).then(|| {
            let (tag, after) = first_tag(rest);
            rest = after;
            tag.map(without_coding)
        })
    })
}

fn after_commas(list: &[u8]) -> &[u8] {
    let start = list.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'));
    start.map_or(&[], |start| &list[start..])
}

/// Splits a list that begins with an element into this element and the rest.
fn first_tag(list: &[u8]) -> (Result<&[u8], Unreadable>, &[u8]) {
    let quoted = list.strip_prefix(b"W/").unwrap_or(list).strip_prefix(b"\"");
    if let Some(quoted) = quoted
        && let Some(length) = quoted.iter().position(|byte| *byte == b'"')
    {
        let (tag, after) = (&quoted[..length], &quoted[length + 1..]);
        let end = after_blanks(after);
        if end.is_empty() || end[0] == b',' {
            // RFC 9110 §8.8.3: a tag has no spaces and no control characters.
            let readable = tag.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
            return (if readable { Ok(tag) } else { Err(Unreadable) }, after);
        }
    }
    let end = list.iter().position(|byte| *byte == b',').unwrap_or(list.len());
    (Err(Unreadable), &list[end..])
}

fn after_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
    start.map_or(&[], |start| &text[start..])
}

/// Removes the suffix that a compressing proxy adds to a tag: Apache writes `"v4-gzip"`, Jetty `"v4--gzip"`,
/// others `"v4;br"`. Clients and caches send such a tag back and mean the version.
fn without_coding(tag: &[u8]) -> &[u8] {
    const CODINGS: [&[u8]; 4] = [b"gzip", b"br", b"zstd", b"deflate"];
    const SEPARATORS: [&[u8]; 3] = [b"--", b"-", b";"];
    let coded = CODINGS.iter().find_map(|coding| tag.strip_suffix(*coding));
    coded
        .and_then(|rest| SEPARATORS.iter().find_map(|separator| rest.strip_suffix(*separator)))
        .unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, lines: &[&[u8]]) -> HeaderMap {
        let value = |line: &&[u8]| HeaderValue::from_bytes(line).expect("a value");
        lines.iter().map(|line| (name.clone(), value(line))).collect()
    }

    fn expected(line: &str) -> Option<Expected> {
        if_match(&headers(IF_MATCH, &[line.as_bytes()])).expect("a header").ok()
    }

    fn exactly(version: u32) -> Option<Expected> {
        Some(Expected::exactly(Version::new(version)))
    }

    #[test]
    fn a_list_of_tags_admits_each_of_them_and_a_foreign_tag_none() {
        let both = expected("\"v3\", W/\"v4\"").expect("a list");
        assert!(both.admits(Version::new(3)) && both.admits(Version::new(4)));
        assert_eq!(expected("\"abc\", \"v4\" ,, \"a,b\""), exactly(4));
        assert_eq!(expected(" * "), Some(Expected::Any));
        let two_lines = headers(IF_MATCH, &[b"\"v3\"", b"\"v4\""]);
        assert!(if_match(&two_lines).expect("a header").expect("a list").admits(Version::new(4)));
    }

    #[test]
    fn the_tag_of_a_compressing_proxy_names_the_version() {
        for tag in
            ["\"v4-gzip\"", "\"v4;br\"", "\"v4--gzip\"", "W/\"v4-zstd\"", "\"v4;gzip\"", "\"v4-deflate\""]
        {
            assert_eq!(expected(tag), exactly(4), "{tag}");
            let request = headers(IF_NONE_MATCH, &[tag.as_bytes()]);
            assert!(etag_matches(&request, "\"v4\""), "{tag}");
            assert!(!etag_matches(&request, "\"v5\""), "{tag}");
        }
        let digest = headers(IF_NONE_MATCH, &[b"\"0123abcd-gzip\""]);
        assert!(etag_matches(&digest, "\"0123abcd\""));
        let public = headers(IF_NONE_MATCH, &[b"\"v3-public--gzip\""]);
        assert!(etag_matches(&public, "\"v3-public\"") && !etag_matches(&public, "\"v3\""));
    }

    #[test]
    fn a_tag_that_is_not_ascii_does_not_spoil_its_neighbours() {
        let mixed: &[u8] = b"\"caf\xe9\", \"v4\"";
        let read = if_match(&headers(IF_MATCH, &[mixed])).expect("a header");
        assert_eq!(read.ok(), exactly(4));
        assert!(etag_matches(&headers(IF_NONE_MATCH, &[mixed]), "\"v4\""));
        assert!(etag_matches(&headers(IF_NONE_MATCH, &[b"\xff\xff", b"\"v4\""]), "\"v4\""));
    }

    #[test]
    fn an_invalid_header_is_refused_and_a_foreign_tag_is_recognized() {
        for bad in
            ["v4", "\"v06\"", "\"v0\"", "\"v99999999999\"", "\"v\"", "\"v4", "", ",", "\"a\"b", "\"v4\", *"]
        {
            assert_eq!(expected(bad), None, "{bad:?}");
        }
        assert!(names_no_version(&headers(IF_MATCH, &[b"\"abc\", \"v3-public\""])));
        for line in ["\"v4\"", "\"abc\", \"v4\"", "*", "\"v06\""] {
            assert!(!names_no_version(&headers(IF_MATCH, &[line.as_bytes()])), "{line}");
        }
        assert!(!names_no_version(&HeaderMap::new()));
    }

    #[test]
    fn a_version_in_the_body_is_used_if_the_header_is_missing() {
        let from_body = Precondition(None).or_version(Some(2)).expect("an expectation");
        assert!(from_body.admits(Version::new(2)));
        let missing = Precondition(None).or_version(None).expect_err("a refusal");
        assert_eq!(missing.status(), StatusCode::PRECONDITION_REQUIRED);
    }

    #[test]
    fn header_and_body_that_name_different_versions_are_refused() {
        let header = |line| Precondition(expected(line));
        let both = |line, version| header(line).or_version(Some(version)).map_err(|problem| problem.status());
        assert_eq!(both("\"v4\"", 4).ok(), exactly(4));
        assert_eq!(both("*", 4).ok(), exactly(4));
        assert_eq!(both("\"v3\", \"v4\"", 4).ok(), exactly(4));
        assert_eq!(both("\"v4\"", 5), Err(StatusCode::UNPROCESSABLE_ENTITY));
        let fault = header("\"v4\"").or_version(Some(5)).expect_err("a refusal").into_parts().refusal.fields;
        assert_eq!((fault[0].pointer.as_str(), fault[0].code.as_str()), ("/version", "differs"));
    }

    #[test]
    fn a_response_that_the_client_already_has_is_recognized_by_weak_comparison() {
        let request = headers(IF_NONE_MATCH, &[b"\"v1\", W/\"v7\""]);
        assert!(etag_matches(&request, "\"v7\""));
        assert!(!etag_matches(&request, "\"v8\""));
        assert!(etag_matches(&headers(IF_NONE_MATCH, &[b"*"]), "\"v8\""));
    }
}
