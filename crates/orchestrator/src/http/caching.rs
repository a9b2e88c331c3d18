//! The cache headers of answers, for our own cache and for others.

use std::time::{Duration, SystemTime};

use axum::response::{IntoResponse, Response};
pub(super) use chassis::http::{Cache, digest, tag};
use chassis::http::{FromCache, X_TOTAL_COUNT, etag_matches};
use http::header::{AGE, CONTENT_TYPE, LAST_MODIFIED, LINK};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use kernel::{Refusal, Timestamp};
use serde::Serialize;

use crate::app::{CacheAnswer, RenderedAnswer, Source};

/// The header that says where an answer comes from (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Builds the response of a rendered answer, or 304 if the client already has it. An incomplete answer gets
/// no entity tag and may not be cached, so that no cache keeps a page with a missing section.
pub(super) fn respond(answer: &RenderedAnswer, cache: Cache, headers: &HeaderMap) -> Response {
    // An erasure blanks the byline without a new version. A client that kept the article with the name must
    // not keep it any longer.
    let is_blanked = answer.article.as_ref().is_some_and(|article| article.author.is_empty());
    let known = cache != Cache::Never && !is_blanked && etag_matches(headers, &answer.etag);
    let mut response = match known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => json_response(StatusCode::OK, answer.body.clone()),
    };
    if let Some(feed) = answer.feed {
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(feed.media_type));
        headers.extend(feed.modified.and_then(http_date).map(|at| (LAST_MODIFIED, at)));
    }
    if cache != Cache::Never {
        response = tag(response, &answer.etag);
    }
    let headers = response.headers_mut();
    if let Some(link) = answer.link.as_ref().and_then(|link| HeaderValue::from_str(link).ok()) {
        headers.insert(LINK, link);
    }
    if let Some(total) = answer.total {
        headers.insert(X_TOTAL_COUNT, total.into());
    }
    cache.on(response)
}

/// Builds the response of an answer from our own cache. `Cache-Status` and `Age` say how old it is.
pub(super) fn respond_from_cache(cached: &CacheAnswer, cache: Cache, headers: &HeaderMap) -> Response {
    let mut response = respond(&cached.answer, cache, headers);
    let (status, age) = match cached.source {
        Source::Miss => ("orchestrator; fwd=miss", None),
        Source::Hit(age) | Source::Renewal(age) => ("orchestrator; hit", Some(age)),
        Source::Stale(age) => ("orchestrator; hit; detail=stale", Some(age)),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_STATUS, HeaderValue::from_static(status));
    if let Some(age) = age {
        headers.insert(AGE, age.as_secs().into());
    }
    // For the other sources a section was called, which costs as much as any request.
    if matches!(cached.source, Source::Hit(_)) {
        response.extensions_mut().insert(FromCache);
    }
    response
}

fn http_date(at: Timestamp) -> Option<HeaderValue> {
    let since = Duration::from_millis(at.millis().try_into().ok()?);
    let at = SystemTime::UNIX_EPOCH.checked_add(since)?;
    HeaderValue::from_str(&httpdate::fmt_http_date(at)).ok()
}

/// Builds a JSON response from encoded bytes.
pub(super) fn json_response(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    (status, [(http::header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

/// Builds a JSON response with its entity tag, or 304 if the client already has it.
pub(super) fn tagged_response(known: bool, etag: &str, body: Vec<u8>) -> Response {
    let response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { json_response(StatusCode::OK, body) };
    tag(response, etag)
}

/// Encodes an answer as JSON.
pub(super) fn encode_json(view: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = serde_json::to_vec(view)
        .map_err(|_| Refusal::new(kernel::Kind::Internal, "internal", "The answer could not be encoded."))?;
    // A long answer would otherwise take up to twice its size while it is stored, or while a slow client
    // receives it.
    if bytes.capacity() - bytes.len() > 64 * 1024 {
        bytes.shrink_to_fit();
    }
    Ok(bytes)
}
