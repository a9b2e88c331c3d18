//! The HTTP routes, one file for each resource.

mod answer;
mod audit;
mod caller;
mod consent;
mod cookie;
mod erasures;
mod exports;
#[cfg(test)]
mod fuzz;
mod health;
mod keys;
mod passwords;
mod roles;
mod sessions;
mod users;
mod views;

use std::sync::Arc;

use axum::Router;
use chassis::Verifier;
use chassis::http::{Api, Matrix, MatrixError};
use kernel::UserId;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa::openapi::OpenApi;
use utoipa_axum::routes;

use crate::app::App;
use cookie::SessionCookie;

/// The state of every handler.
#[derive(Clone)]
struct Users {
    app: Arc<App>,
    /// The path under which the gateway serves these routes.
    base: Arc<str>,
    cookie: Arc<SessionCookie>,
}

/// The path of an account.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct UserPath {
    /// The id of the account.
    #[param(value_type = uuid::Uuid)]
    id: UserId,
}

/// Returns the routes and their document. `base` is the path under which the gateway serves them,
/// `older_base` the older path (or empty), and `issuer` the portal's public URL.
///
/// # Errors
/// If `access.toml` and the routes do not agree; every test that builds the service finds it.
pub fn router(
    app: Arc<App>,
    verifier: Arc<Verifier>,
    base: &str,
    older_base: &str,
    issuer: &str,
) -> Result<(Router, OpenApi), MatrixError> {
    let matrix = Matrix::parse(include_str!("../../access.toml"))?;
    let bases = [base, older_base];
    let bases = if older_base.is_empty() { &bases[..1] } else { &bases };
    let cookie = Arc::new(SessionCookie::new(issuer, bases, app.sessions.idle));
    Ok(Api::new(crate::NAME, &matrix, verifier)
        .routes(routes!(users::register))
        .routes(routes!(users::list_users))
        .routes(routes!(users::get_user, users::put_user, users::patch_user, users::delete_user))
        .routes(routes!(users::get_me))
        .routes(routes!(roles::put_roles))
        .routes(routes!(consent::get_consent, consent::put_consent))
        .routes(routes!(audit::list_account_audit))
        .routes(routes!(audit::list_audit))
        .routes(routes!(erasures::get_erasure))
        .routes(routes!(exports::export_data))
        .routes(routes!(passwords::put_password))
        .routes(routes!(sessions::log_in))
        .routes(routes!(sessions::refresh))
        .routes(routes!(sessions::log_out))
        .routes(routes!(sessions::list_sessions, sessions::end_sessions))
        .routes(routes!(sessions::end_session))
        .routes(routes!(health::healthcheck))
        .routes(routes!(keys::public_keys))
        .build(Users { app, base: base.into(), cookie }))
}
