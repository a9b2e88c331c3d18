//! The roles of accounts.

use axum::extract::State;
use axum::response::Response;
use chassis::http::{Json, Path, Problem};
use http::StatusCode;
use kernel::Sections;

use super::answer::{Cache, tagged};
use super::caller::LiveSession;
use super::views::{RolesBody, UserView};
use super::{UserPath, Users};

/// Gives an account a role. In this service it takes effect immediately, in others at the next login or
/// refresh.
#[utoipa::path(put, path = "/{id}/roles", tag = "users", params(UserPath), request_body = RolesBody, security(("bearer" = [])), responses(
    (status = 200, description = "The changed account.", body = UserView),
    (status = 401, description = "`unauthenticated`; `invalid_token`, also if the session of the token has ended."),
    (status = 404, description = "`not_found`"),
    (status = 409, description = "`last_admin`"),
    (status = 422, description = "`invalid`: `errors` names the fields."),
))]
pub async fn put_roles(
    State(users): State<Users>,
    Path(UserPath { id }): Path<UserPath>,
    LiveSession { origin, .. }: LiveSession,
    Json(body): Json<RolesBody>,
) -> Result<Response, Problem> {
    let sections = body.sections.map_or(Sections::All, Sections::Only);
    let user = users.app.set_role(id, body.role, sections, &origin).await?;
    Ok(tagged(StatusCode::OK, &user.version.etag(), Cache::Private, UserView::from(user)))
}
