//! What caches may keep of an answer.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, ETAG, VARY};
use http::{HeaderValue, StatusCode};
use kernel::Refusal;
use serde::Serialize;
use sha2::{Digest, Sha256};

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

/// The answer with its tag, or 304 where the client has it already.
pub(super) fn answer(known: bool, etag: &str, body: Vec<u8>) -> Response {
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { json(StatusCode::OK, body) };
    tag(&mut response, etag);
    response
}

/// A JSON answer whose bytes are there already.
pub(super) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(http::header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Puts the entity tag on an answer.
pub(super) fn tag(response: &mut Response, etag: &str) {
    if let Ok(value) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(ETAG, value);
    }
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
