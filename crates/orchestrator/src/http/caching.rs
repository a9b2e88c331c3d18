//! What caches may keep of an answer: those of others, and our own.

use axum::response::{IntoResponse, Response};
pub(super) use chassis::http::{Cache, digest, tag};
use chassis::http::{FromCache, X_TOTAL_COUNT, etag_matches};
use http::header::{AGE, LINK};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use kernel::Refusal;
use serde::Serialize;

use crate::app::{Rendered, Served, Source};

/// Where an answer comes from (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// An answer that was rendered before it was sent, to a caller who is signed in or not. An incomplete one is neither kept nor tagged:
/// nobody shall hold on to a page with a section missing.
pub(super) fn rendered(answer: &Rendered, cache: Cache, headers: &HeaderMap) -> Response {
    // An erasure blanks the byline and makes no new version: whoever kept an article with the name must not be told to keep it.
    let nameless = answer.article.as_ref().is_some_and(|article| article.author.is_empty());
    let known = cache != Cache::Never && !nameless && etag_matches(headers, &answer.etag);
    let mut response = match known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => json(StatusCode::OK, answer.body.clone()),
    };
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

/// The same out of our own cache, saying so: a client can tell what is old from what is new.
pub(super) fn served(served: &Served, cache: Cache, headers: &HeaderMap) -> Response {
    let mut response = rendered(&served.answer, cache, headers);
    let (status, age) = match served.source {
        Source::Made => ("orchestrator; fwd=miss", None),
        Source::Kept(age) | Source::Renewed(age) => ("orchestrator; hit", Some(age)),
        Source::Stale(age) => ("orchestrator; hit; detail=stale", Some(age)),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_STATUS, HeaderValue::from_static(status));
    if let Some(age) = age {
        headers.insert(AGE, age.as_secs().into());
    }
    // For the others a section was asked, and that costs as much as ever.
    if matches!(served.source, Source::Kept(_)) {
        response.extensions_mut().insert(FromCache);
    }
    response
}

/// A JSON answer whose bytes are there already.
pub(super) fn json(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    (status, [(http::header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

/// The answer with its tag, or 304 where the client has it already.
pub(super) fn answer(known: bool, etag: &str, body: Vec<u8>) -> Response {
    let response = if known { StatusCode::NOT_MODIFIED.into_response() } else { json(StatusCode::OK, body) };
    tag(response, etag)
}

/// The bytes of an answer.
pub(super) fn encode(view: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = serde_json::to_vec(view)
        .map_err(|_| Refusal::new(kernel::Kind::Internal, "internal", "an answer could not be encoded"))?;
    // A long one would take up to twice its size for as long as it is kept, or a slow reader takes.
    if bytes.capacity() - bytes.len() > 64 * 1024 {
        bytes.shrink_to_fit();
    }
    Ok(bytes)
}
