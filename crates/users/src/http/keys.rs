//! The public keys.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::http::Json;
use http::header::CACHE_CONTROL;

use super::Users;

/// The public halves of the keys that sign access tokens (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "sessions", responses(
    (status = 200, description = "A JSON Web Key Set with Ed25519 keys (RFC 8037).", body = Object),
))]
pub async fn public_keys(State(users): State<Users>) -> Response {
    ([(CACHE_CONTROL, "public, max-age=60")], Json(users.app.tokens.public())).into_response()
}
