//! The original's health check.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::Users;

/// Whether cache, intake and store all answer, and intake and store take writes.
#[utoipa::path(get, path = "/healthcheck", tag = "health", responses(
    (status = 200, description = "`OK`", body = String, content_type = "text/plain"),
    (status = 503, description = "`CRITICAL`", body = String, content_type = "text/plain"),
))]
pub async fn healthcheck(State(users): State<Users>) -> Response {
    let (status, text) = if users.app.health().await.is_well() {
        (StatusCode::OK, "OK")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "CRITICAL")
    };
    // The bare type: this 503 is the answer of the original, not a problem to be rendered.
    (status, [(CONTENT_TYPE, "text/plain"), (CACHE_CONTROL, "no-store")], text).into_response()
}
