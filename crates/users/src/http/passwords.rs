//! Passwords.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::http::{Json, Path, Problem, ProblemBody};
use http::StatusCode;

use super::caller::LiveSession;
use super::views::PasswordBody;
use super::{UserPath, Users};
use crate::app::NewPassword;

/// Changes the password of one's own account. All other sessions of it end.
#[utoipa::path(put, path = "/{id}/password", tag = "users", params(UserPath), request_body = PasswordBody, security(("bearer" = [])), responses(
    (status = 204, description = "The new one holds."),
    (status = 401, description = "`unauthenticated`; `invalid_token`, also if the session of the token has ended.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 403, description = "`role_required`, `wrong_password`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 422, description = "`invalid`: see `errors`.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "`too_many_attempts`; `Retry-After` says when again.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 503, description = "`busy`: too many register or log in.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub async fn put_password(
    State(users): State<Users>,
    Path(_): Path<UserPath>,
    LiveSession { identity: by, .. }: LiveSession,
    Json(body): Json<PasswordBody>,
) -> Result<Response, Problem> {
    let (current, password) = body.values()?;
    users.app.change_password(NewPassword { by, current, password }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
