//! Erasures.

use axum::extract::State;
use axum::response::Response;
use chassis::http::{Authenticated, Path, Problem};
use http::StatusCode;

use super::answer::private;
use super::views::ErasureView;
use super::{UserPath, Users};

/// Returns an erasure with the receipts of the services.
///
/// The erased person's own access token is valid here until it expires, 15 minutes after it was issued. An
/// erasure is complete within 60 seconds, if every service is running. A service that sent no receipt is
/// notified again after five minutes.
#[utoipa::path(get, path = "/erasures/{id}", tag = "users", params(UserPath), security(("bearer" = [])), responses(
    (status = 200, description = "The erasure.", body = ErasureView),
    (status = 401, description = "`unauthenticated`, `invalid_token`"),
    (status = 403, description = "`role_required`"),
    (status = 404, description = "`not_found`: this account was not erased."),
))]
pub async fn get_erasure(
    State(users): State<Users>,
    Path(UserPath { id }): Path<UserPath>,
    Authenticated(identity): Authenticated,
) -> Result<Response, Problem> {
    // The account of an erased person is gone; that of an admin must still have the role.
    if identity.user != id {
        users.app.check_account(&identity).await?;
    }
    let erasure = users.app.erasure(id).await?;
    Ok(private(StatusCode::OK, ErasureView::from(erasure)))
}
