//! How answers say what they are a version of and who may keep them.

use axum::response::{IntoResponse, Response};
use chassis::http::{Json, etag_matches};
use http::header::{CACHE_CONTROL, ETAG, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

/// Who may keep an answer.
#[derive(Clone, Copy)]
pub enum Cache {
    /// Everybody, for seconds; longer where the portal is away.
    Public,
    /// Whoever asked.
    Private,
}

impl Cache {
    fn control(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Cache::Public => "public, max-age=5, stale-while-revalidate=30, stale-if-error=86400",
            Cache::Private => "private, no-cache",
        })
    }
}

/// `body` with its entity tag.
pub fn tagged(status: StatusCode, etag: &str, cache: Cache, body: impl Serialize) -> Response {
    with_tag((status, Json(body)).into_response(), etag, cache)
}

/// `body` with its entity tag, or 304 where the client has it.
pub fn fresh(headers: &HeaderMap, etag: &str, cache: Cache, body: impl Serialize) -> Response {
    if etag_matches(headers, etag) {
        return with_tag(StatusCode::NOT_MODIFIED.into_response(), etag, cache);
    }
    tagged(StatusCode::OK, etag, cache, body)
}

/// `body` for whoever asked and nobody else.
pub fn private(status: StatusCode, body: impl Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, Cache::Private.control());
    response
}

fn with_tag(mut response: Response, etag: &str, cache: Cache) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, cache.control());
    // The same address shows more to its owner: what is kept for one must not be given to the other.
    headers.insert(VARY, HeaderValue::from_static("authorization"));
    headers.extend(HeaderValue::from_str(etag).map(|etag| (ETAG, etag)));
    response
}
