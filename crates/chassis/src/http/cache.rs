//! Caching of responses: `Cache-Control`, entity tags and 304.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, ETAG, HeaderValue, VARY};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::conditional::etag_matches;
use super::input::Json;

/// The caches that may store a response (RFC 9111).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// Any cache: the response is the same for all clients. It is fresh for 5 s, and may be used for an hour
    /// while the portal is unavailable.
    Public,
    /// The browser of one user, which revalidates it before each use.
    Private,
    /// No cache: the response is incomplete, or answers a write.
    Never,
}

impl Cache {
    /// Returns the caching of a public resource. The copy of a signed-in caller stays private, so that shared
    /// caches never have to distinguish responses to requests with and without a token.
    pub fn of_public(signed_in: bool) -> Self {
        if signed_in { Cache::Private } else { Cache::Public }
    }

    /// Returns the value of `Cache-Control`.
    pub fn control(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Cache::Public => "public, max-age=5, stale-while-revalidate=30, stale-if-error=3600",
            Cache::Private => "private, no-cache",
            Cache::Never => "no-store",
        })
    }

    /// Sets `Cache-Control` and `Vary` on `response`. The response depends on `Authorization`: the same
    /// address shows more to its owner, and a copy for one caller must not be given to another.
    pub fn on(self, response: impl IntoResponse) -> Response {
        let mut response = response.into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, self.control());
        headers.insert(VARY, HeaderValue::from_static("Authorization"));
        response
    }
}

/// Returns `body` as a response that only the caller's browser may store.
pub fn private(status: StatusCode, body: impl Serialize) -> Response {
    Cache::Private.on((status, Json(body)))
}

/// Returns `body` as a response with an entity tag.
pub fn tagged(status: StatusCode, etag: &str, cache: Cache, body: impl Serialize) -> Response {
    tag(cache.on((status, Json(body))), etag)
}

/// Returns the response to a GET: `body` with its entity tag, or 304 if the client has it already (RFC 9110
/// §13.1.2).
pub fn fresh(headers: &HeaderMap, etag: &str, cache: Cache, body: impl Serialize) -> Response {
    if etag_matches(headers, etag) {
        return tag(cache.on(StatusCode::NOT_MODIFIED), etag);
    }
    tagged(StatusCode::OK, etag, cache, body)
}

/// Returns the response to a GET of a resource without a version: its entity tag is a digest of its bytes.
pub fn fresh_by_content(headers: &HeaderMap, cache: Cache, body: impl Serialize) -> Response {
    match serde_json::to_value(&body) {
        Ok(value) => fresh(headers, &digest(value.to_string().as_bytes()), cache, body),
        // A body that cannot be serialized becomes a 500.
        Err(_) => Json(body).into_response(),
    }
}

/// Sets the entity tag of a response.
pub fn tag(mut response: Response, etag: &str) -> Response {
    response.headers_mut().extend(HeaderValue::from_str(etag).map(|etag| (ETAG, etag)));
    response
}

/// Returns the entity tag of a resource without a version: a digest of its bytes. Half of SHA-256 is enough
/// to distinguish pages.
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
    fn a_response_that_the_client_already_has_is_304_with_the_same_headers_and_no_body() {
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
    fn a_response_for_one_user_is_never_public() {
        for cache in [Cache::Private, Cache::Never, Cache::of_public(true)] {
            let control = cache.control().to_str().expect("text").to_owned();
            assert!(!control.contains("public"), "{control}");
        }
        assert_eq!(private(StatusCode::OK, "text").headers()[CACHE_CONTROL], "private, no-cache");
        assert_eq!(Cache::of_public(false), Cache::Public);
    }
}
