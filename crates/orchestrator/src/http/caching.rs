//! What caches may keep of an answer: those of others, and our own.

use axum::response::{IntoResponse, Response};
use chassis::http::etag_matches;
use http::header::{AGE, CACHE_CONTROL, ETAG, LINK, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use kernel::Refusal;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::app::{Rendered, Served, Source};

/// Where an answer comes from (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// How many articles a whole list has.
const TOTAL: HeaderName = HeaderName::from_static("x-total-count");

/// How far an answer may travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cache {
    /// Everybody gets the same: any cache may keep it for a moment, and longer while we are away.
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

    fn control(self) -> &'static str {
        match self {
            Cache::Public => "public, max-age=5, stale-while-revalidate=30, stale-if-error=86400",
            Cache::Private => "private, no-cache",
            Cache::Never => "no-store",
        }
    }

    /// Says so on `response`.
    pub fn on(self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(self.control()));
        headers.insert(VARY, HeaderValue::from_static("Authorization"));
        response
    }
}

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
        tag(&mut response, &answer.etag);
    }
    let headers = response.headers_mut();
    if let Some(link) = answer.link.as_ref().and_then(|link| HeaderValue::from_str(link).ok()) {
        headers.insert(LINK, link);
    }
    if let Some(total) = answer.total {
        headers.insert(TOTAL, total.into());
    }
    cache.on(response)
}

/// The same out of our own cache, saying so: a client can tell what is old from what is new.
pub(super) fn served(served: &Served, cache: Cache, headers: &HeaderMap) -> Response {
    let mut response = rendered(&served.answer, cache, headers);
    let (status, age) = match served.source {
        Source::Made => ("orchestrator; fwd=miss", None),
        Source::Kept(age) => ("orchestrator; hit", Some(age)),
        Source::Stale(age) => ("orchestrator; hit; detail=stale", Some(age)),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_STATUS, HeaderValue::from_static(status));
    if let Some(age) = age {
        headers.insert(AGE, age.as_secs().into());
    }
    response
}

/// A JSON answer whose bytes are there already.
pub(super) fn json(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    (status, [(http::header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

/// Puts the entity tag on an answer.
pub(super) fn tag(response: &mut Response, etag: &str) {
    if let Ok(value) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(ETAG, value);
    }
}

/// The answer with its tag, or 304 where the client has it already.
pub(super) fn answer(known: bool, etag: &str, body: Vec<u8>) -> Response {
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { json(StatusCode::OK, body) };
    tag(&mut response, etag);
    response
}

/// The bytes of an answer.
pub(super) fn encode(view: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(view)
        .map_err(|_| Refusal::new(kernel::Kind::Internal, "internal", "an answer could not be encoded"))
}

/// The entity tag of something without a version: a digest of its bytes. Half of SHA-256 is plenty to tell pages apart.
pub(super) fn digest(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    format!("\"{}\"", hex::encode(&digest[..16]))
}
