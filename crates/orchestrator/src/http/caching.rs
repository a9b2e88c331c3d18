//! What caches may keep of an answer whose bytes are there already.

use axum::response::{IntoResponse, Response};
pub(super) use chassis::http::{Cache, digest};
use http::StatusCode;
use kernel::Refusal;
use serde::Serialize;

/// The answer with its tag, or 304 where the client has it already.
pub(super) fn answer(known: bool, etag: &str, body: Vec<u8>) -> Response {
    let response = if known { StatusCode::NOT_MODIFIED.into_response() } else { json(StatusCode::OK, body) };
    chassis::http::tag(response, etag)
}

/// A JSON answer whose bytes are there already.
pub(super) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(http::header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Puts the entity tag on an answer.
pub(super) fn tag(response: &mut Response, etag: &str) {
    *response = chassis::http::tag(std::mem::take(response), etag);
}

/// The bytes of an answer.
pub(super) fn encode(view: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(view)
        .map_err(|_| Refusal::new(kernel::Kind::Internal, "internal", "an answer could not be encoded"))
}
