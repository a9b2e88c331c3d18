//! The health check of the original portal.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::Users;

/// Checks that cache, intake and store answer, and that intake and store accept writes.
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
    // The type is `text/plain`: this 503 is an answer of the original and not a problem, so the edge does not
    // render it.
    (status, [(CONTENT_TYPE, "text/plain"), (CACHE_CONTROL, "no-store")], text).into_response()
}
