//! Logins.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::http::{Json, Problem, ProblemBody};
use http::StatusCode;
use http::header::CACHE_CONTROL;

use super::Users;
use super::views::{LoginBody, SessionView, UserView};
use crate::app::Login;

/// Logs in. An unknown e-mail and a wrong password get the same answer in the same time.
#[utoipa::path(post, path = "/sessions", tag = "sessions", request_body = LoginBody, responses(
    (status = 201, description = "An access token and whose it is.", body = SessionView),
    (status = 401, description = "`wrong_credentials`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 503, description = "`busy`: too many register or log in.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub async fn log_in(State(users): State<Users>, Json(body): Json<LoginBody>) -> Result<Response, Problem> {
    let login = Login { email: body.email, password: body.password.expose().into() };
    let session = users.app.log_in(login).await?;
    let view = SessionView {
        access_token: session.access_token,
        token_type: "Bearer",
        expires_in: session.life.as_secs(),
        user: UserView::from(session.user),
    };
    // RFC 6749 §5.1: whoever keeps the answer keeps the token.
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(view)).into_response())
}
