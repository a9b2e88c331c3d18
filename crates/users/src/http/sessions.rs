//! Logins and sessions.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::http::{Caller, IdempotencyKey, Json, Path, Problem, mark_replayed};
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use kernel::{SessionId, UserId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::private;
use super::caller::CurrentUser;
use super::views::{ListedSessionView, LoginBody, SessionView, UserView};
use super::{UserPath, Users};
use crate::app::{Grant, Login, SessionError};

/// Logs in. An unknown e-mail and a wrong password get the same answer in the same time.
///
/// The answer sets the cookie `refresh_token`, which is sent to `/sessions` only and which no script can
/// read. A cookie of the same account in the request shows that its owner logs in: then attempts of other
/// clients do not count. An `Idempotency-Key` has no effect: the answer contains tokens, which are not
/// stored. A client that lost the answer logs in again. `Authorization` is ignored.
#[utoipa::path(post, path = "/sessions", tag = "sessions", request_body = LoginBody, responses(
    (status = 201, description = "An access token, and its account.", body = SessionView,
        headers(("Set-Cookie" = String, description = "`refresh_token`, for `POST /sessions/refresh`."))),
    (status = 401, description = "`wrong_credentials`"),
    (status = 422, description = "`invalid`, with `invalid_email` or `too_long` at `/email`: the text is not an e-mail address. No attempt is counted."),
    (status = 429, description = "`too_many_attempts` from this address, for this e-mail or for all; `Retry-After` says how long to wait."),
    (status = 503, description = "`busy`: too many passwords are being hashed; repeat the request after `Retry-After`."),
))]
pub async fn log_in(
    State(users): State<Users>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<LoginBody>,
) -> Result<Response, Problem> {
    // A cookie that another site sent is ignored; it does not refuse the login.
    let held = users.cookie.read(&headers).unwrap_or_default();
    let login = Login { email: body.email()?, password: body.password, from: caller.address, held };
    Ok(grant_response(&users, StatusCode::CREATED, users.app.log_in(login).await?))
}

/// Exchanges the cookie `refresh_token` for the next access token and the next cookie. The token contains the
/// current roles and consent.
///
/// Each cookie is valid once. A cookie that was used before ends the session, because a copy of it must
/// exist. The cookie before the newest is the exception: for 10 seconds it gets the same answer as the newest
/// one got, because two tabs may refresh at the same time. A client that may lose an answer names the request
/// with `Idempotency-Key`, and repeats it with the same cookie and key within a minute. Cookies of other
/// paths with the same name do no harm. `Authorization` is ignored.
#[utoipa::path(post, path = "/sessions/refresh", tag = "sessions",
    params(
        ("refresh_token" = String, Cookie, description = "The value that the last answer set."),
        ("Idempotency-Key" = Option<String>, Header, description = "A random name, new for every refresh."),
    ),
    responses(
    (status = 200, description = "An access token, and its account.", body = SessionView,
        headers(("Set-Cookie" = String, description = "The next `refresh_token`."))),
    (status = 401, description = "`invalid_refresh_token`: there is no such session, or it has ended."),
    (status = 403, description = "`foreign_origin`: a page of another site sent the request."),
))]
pub async fn refresh(
    State(users): State<Users>,
    Caller { address, .. }: Caller,
    IdempotencyKey(key): IdempotencyKey,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tokens = users.cookie.read(&headers)?;
    match users.app.refresh(&tokens, key.as_deref(), address).await {
        Ok(grant) => Ok(grant_response(&users, StatusCode::OK, grant)),
        Err(error) => Err(refuse_cookie(&users, error)),
    }
}

/// Logs out: ends the session of the access token and the session of the cookie. An access token stays valid
/// until it expires, except for operations that can't be undone. An access token that is not valid is
/// ignored.
#[utoipa::path(delete, path = "/sessions/current", tag = "sessions", responses(
    (status = 204, description = "The sessions have ended, and the cookie is cleared."),
    (status = 401, description = "`invalid_refresh_token`: neither an access token nor a cookie names a session."),
    (status = 403, description = "`foreign_origin`: a page of another site sent the request."),
))]
pub async fn log_out(
    State(users): State<Users>,
    Caller { identity, address, .. }: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Another site can make a browser send the cookie, but never an access token.
    let tokens = match (&identity, users.cookie.read(&headers)) {
        (Some(_), tokens) => tokens.unwrap_or_default(),
        (None, tokens) => tokens?,
    };
    if identity.is_none() && tokens.is_empty() {
        return Err(refuse_cookie(&users, SessionError::NoToken));
    }
    users.app.log_out(identity.as_ref(), &tokens, address).await?;
    Ok(cleared_response(&users))
}

/// Returns the sessions of the account, the last used one first.
#[utoipa::path(get, path = "/{id}/sessions", tag = "sessions", params(UserPath), security(("bearer" = [])), responses(
    (status = 200, description = "The sessions that have not ended.", body = Vec<ListedSessionView>),
))]
pub async fn list_sessions(
    State(users): State<Users>,
    Path(UserPath { id }): Path<UserPath>,
    caller: CurrentUser,
) -> Result<Response, Problem> {
    let sessions = users.app.sessions(id).await?;
    let views: Vec<_> =
        sessions.iter().map(|session| ListedSessionView::new(session, caller.identity.session)).collect();
    Ok(private(StatusCode::OK, views))
}

/// Ends all sessions of the account, this one included.
#[utoipa::path(delete, path = "/{id}/sessions", tag = "sessions", params(UserPath), security(("bearer" = [])), responses(
    (status = 204, description = "The sessions have ended, and the cookie is cleared."),
))]
pub async fn end_sessions(
    State(users): State<Users>,
    Path(UserPath { id }): Path<UserPath>,
    CurrentUser { origin, .. }: CurrentUser,
) -> Result<Response, Problem> {
    users.app.end_all_sessions(id, &origin).await?;
    Ok(cleared_response(&users))
}

/// The path of a session.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct SessionPath {
    /// The id of the account.
    #[param(value_type = uuid::Uuid)]
    id: UserId,
    /// The id of the session.
    #[param(value_type = uuid::Uuid)]
    session_id: SessionId,
}

/// Ends a session of the account. Its access token stays valid until it expires.
#[utoipa::path(delete, path = "/{id}/sessions/{session_id}", tag = "sessions", params(SessionPath), security(("bearer" = [])), responses(
    (status = 204, description = "The session has ended."),
    (status = 404, description = "`not_found`"),
))]
pub async fn end_session(
    State(users): State<Users>,
    Path(SessionPath { id, session_id }): Path<SessionPath>,
    caller: CurrentUser,
) -> Result<Response, Problem> {
    users.app.end_session(id, session_id, &caller.origin).await?;
    Ok(if session_id == caller.identity.session {
        cleared_response(&users)
    } else {
        StatusCode::NO_CONTENT.into_response()
    })
}

fn grant_response(users: &Users, status: StatusCode, grant: Grant) -> Response {
    let cookie = users.cookie.set(&grant.refresh_token);
    let view = SessionView {
        access_token: grant.access_token,
        token_type: "Bearer",
        expires_in: grant.life.as_secs(),
        user: UserView::from(grant.user),
    };
    // RFC 6749 §5.1: a cache that stores the answer would store the token.
    let response = (status, [(CACHE_CONTROL, "no-store")], Json(view)).into_response();
    let mut response = with_cookies(response, cookie);
    if grant.replayed {
        mark_replayed(&mut response);
    }
    response
}

fn cleared_response(users: &Users) -> Response {
    with_cookies(StatusCode::NO_CONTENT.into_response(), users.cookie.clear())
}

fn with_cookies(mut response: Response, cookies: Vec<HeaderValue>) -> Response {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Refuses a cookie. It is cleared if its session has ended. Otherwise it stays: it may belong to another
/// path, or be valid again in a moment.
fn refuse_cookie(users: &Users, error: SessionError) -> Problem {
    let cookies = if matches!(error, SessionError::Over) { users.cookie.clear() } else { Vec::new() };
    let problem = Problem::from(error);
    cookies.into_iter().fold(problem, |problem, cookie| problem.append_header(SET_COOKIE, cookie))
}
