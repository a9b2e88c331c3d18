//! What caches may keep of an answer, and the answer to a client that has it already.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, ETAG, HeaderValue, VARY};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::conditional::etag_matches;
use super::input::Json;

/// How far an answer may travel (RFC 9111).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// Everybody gets the same: any cache may keep it for a moment, and up to an hour while we are unavailable.
    Public,
    /// For one person. Their browser may keep it, and asks each time whether it still holds.
    Private,
    /// Not even that: it is incomplete, or the answer to a write.
    Never,
}

impl Cache {
    /// For what everybody may see: a signed-in caller's copy stays with them all the same, so that no shared cache ever has to
    /// tell answers with a token from those without.
    pub fn of_public(signed_in: bool) -> Self {
        if signed_in { Cache::Private } else { Cache::Public }
    }

    /// The value of `Cache-Control`.
    pub fn control(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Cache::Public => "public, max-age=5, stale-while-revalidate=30, stale-if-error=3600",
            Cache::Private => "private, no-cache",
            Cache::Never => "no-store",
        })
    }

    /// Says so on `response`, and that who asks makes a difference: the same address shows more to its owner, and what is kept for
    /// one must not be given to the other.
    pub fn on(self, response: impl IntoResponse) -> Response {
        let mut response = response.into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, self.control());
        headers.insert(VARY, HeaderValue::from_static("Authorization"));
        response
    }
}

/// `body` for whoever asked and nobody else.
pub fn private(status: StatusCode, body: impl Serialize) -> Response {
    Cache::Private.on((status, Json(body)))
}

/// `body` with its entity tag.
pub fn tagged(status: StatusCode, etag: &str, cache: Cache, body: impl Serialize) -> Response {
    tag(cache.on((status, Json(body))), etag)
}

/// The answer to a GET: `body` with its entity tag, or 304 where the client has it (RFC 9110 §13.1.2).
pub fn fresh(headers: &HeaderMap, etag: &str, cache: Cache, body: impl Serialize) -> Response {
    if etag_matches(headers, etag) {
        return tag(cache.on(StatusCode::NOT_MODIFIED), etag);
    }
    tagged(StatusCode::OK, etag, cache, body)
}

/// The same for something without a version: its tag is a digest of its bytes.
pub fn fresh_by_content(headers: &HeaderMap, cache: Cache, body: impl Serialize) -> Response {
    match serde_json::to_value(&body) {
        Ok(value) => fresh(headers, &digest(value.to_string().as_bytes()), cache, body),
        // It can't be written: as an answer it says so.
        Err(_) => Json(body).into_response(),
    }
}

/// Puts the entity tag on an answer.
pub fn tag(mut response: Response, etag: &str) -> Response {
    response.headers_mut().extend(HeaderValue::from_str(etag).map(|etag| (ETAG, etag)));
    response
}

/// The entity tag of something without a version: a digest of its bytes. Half of SHA-256 is plenty to tell pages apart.
pub fn digest(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    format!("\"{}\"", hex::encode(&digest[..16]))
}

#[cfg(test)]
mod tests {
    use http::header::IF_NONE_MATCH;

    use super::*;

    fn with(etag: &str) -> HeaderMap {
        HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_str(etag).expect("a value"))])
    }

    #[test]
    fn an_answer_that_the_client_has_is_304_with_the_same_headers_and_no_body() {
        let first = fresh_by_content(&HeaderMap::new(), Cache::Public, "text");
        assert_eq!(first.status(), StatusCode::OK);
        let etag = first.headers()[ETAG].to_str().expect("text").to_owned();
        let second = fresh_by_content(&with(&etag), Cache::Public, "text");
        assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
        for name in [ETAG, CACHE_CONTROL, VARY] {
            assert_eq!(first.headers()[&name], second.headers()[&name], "{name}");
        }
        assert!(second.headers().get("content-type").is_none());
        assert_eq!(fresh_by_content(&with(&etag), Cache::Public, "other").status(), StatusCode::OK);
    }

    #[test]
    fn what_is_for_one_person_never_says_public() {
        for cache in [Cache::Private, Cache::Never, Cache::of_public(true)] {
            let control = cache.control().to_str().expect("text").to_owned();
            assert!(!control.contains("public"), "{control}");
        }
        assert_eq!(private(StatusCode::OK, "text").headers()[CACHE_CONTROL], "private, no-cache");
        assert_eq!(Cache::of_public(false), Cache::Public);
    }
}
