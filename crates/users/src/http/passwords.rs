//! Passwords.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::http::{Json, Path, Problem};
use http::StatusCode;

use super::caller::LiveSession;
use super::views::PasswordBody;
use super::{UserPath, Users};
use crate::app::ChangePassword;

/// Changes the password of one's own account, and ends its other sessions.
#[utoipa::path(put, path = "/{id}/password", tag = "users", params(UserPath), request_body = PasswordBody, security(("bearer" = [])), responses(
    (status = 204, description = "The new password is valid from now on."),
    (status = 401, description = "`unauthenticated`; `invalid_token`, also if the session of the token has ended."),
    (status = 403, description = "`role_required`, `wrong_password`"),
    (status = 422, description = "`invalid`: `errors` names the fields."),
    (status = 429, description = "`too_many_attempts`; `Retry-After` says how long to wait."),
    (status = 503, description = "`busy`: too many passwords are being hashed; repeat the request after `Retry-After`."),
))]
pub async fn put_password(
    State(users): State<Users>,
    Path(_): Path<UserPath>,
    LiveSession { identity: by, origin, .. }: LiveSession,
    Json(body): Json<PasswordBody>,
) -> Result<Response, Problem> {
    let (current, password) = body.values()?;
    users.app.change_password(ChangePassword { by, origin, current, password }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
