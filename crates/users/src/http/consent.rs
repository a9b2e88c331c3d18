//! Consents.

use axum::extract::State;
use axum::response::Response;
use chassis::http::{Json, Path, Problem};
use http::StatusCode;

use super::answer::private;
use super::caller::{CurrentUser, LiveSession};
use super::views::ConsentBody;
use super::{UserPath, Users};
use crate::domain::{Consent, ConsentChoice};

impl From<Consent> for ConsentBody {
    fn from(consent: Consent) -> Self {
        let ConsentChoice { personalisation, history } = consent.choice;
        Self { personalisation, history }
    }
}

/// Returns the consent of the person.
#[utoipa::path(get, path = "/{id}/consent", tag = "users", params(UserPath), security(("bearer" = [])), responses(
    (status = 200, description = "The current consent.", body = ConsentBody),
    (status = 404, description = "`not_found`"),
))]
pub async fn get_consent(
    State(users): State<Users>,
    Path(UserPath { id }): Path<UserPath>,
    _: CurrentUser,
) -> Result<Response, Problem> {
    let consent = users.app.consent(id).await?;
    Ok(private(StatusCode::OK, ConsentBody::from(consent)))
}

/// Replaces the consent of the person. Access tokens contain it from the next login or refresh.
#[utoipa::path(put, path = "/{id}/consent", tag = "users", params(UserPath), request_body = ConsentBody, security(("bearer" = [])), responses(
    (status = 200, description = "The current consent.", body = ConsentBody),
    (status = 401, description = "`unauthenticated`; `invalid_token`, also if the session of the token has ended."),
    (status = 404, description = "`not_found`"),
))]
pub async fn put_consent(
    State(users): State<Users>,
    Path(UserPath { id }): Path<UserPath>,
    LiveSession { origin, .. }: LiveSession,
    Json(body): Json<ConsentBody>,
) -> Result<Response, Problem> {
    let choice = ConsentChoice { personalisation: body.personalisation, history: body.history };
    let consent = users.app.set_consent(id, choice, &origin).await?;
    Ok(private(StatusCode::OK, ConsentBody::from(consent)))
}
