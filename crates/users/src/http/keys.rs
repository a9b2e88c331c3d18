//! The public keys of access tokens.

use axum::extract::State;
use axum::response::Response;
use chassis::http::{Cache, fresh_by_content};
use http::HeaderMap;

use super::Users;

/// Returns the public keys that verify access tokens (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "sessions", responses(
    (status = 200, description = "A JSON Web Key Set with Ed25519 keys (RFC 8037).", body = Object),
    (status = 304, description = "The client already has these keys."),
))]
pub async fn public_keys(State(users): State<Users>, headers: HeaderMap) -> Response {
    fresh_by_content(&headers, Cache::Public, users.app.tokens.public())
}
