use axum::extract::State;
use chassis::http::{Path, Problem, ProblemBody};
use kernel::{FieldFault, Kind, Label, Refusal, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Personal;
use crate::app::App;

/// The path of a label.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct LabelPath {
    /// The label, 1 to 50 characters, in any spelling: case, normalisation and outer spaces make no other label.
    #[param(example = "budget", min_length = 1, max_length = 50)]
    label: String,
}

/// A reader, and nothing about them but who they are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReaderView {
    /// The reader's account.
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
}

/// Who likes a label, heaviest first.
///
/// Ids only: labels can be opinions, so readers' names and addresses never leave. At most the 1,000 heaviest are told.
#[utoipa::path(
    get,
    path = "/label/{label}",
    tag = "recommendations",
    params(LabelPath),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The readers, heaviest first; none for an unknown label.", body = [ReaderView]),
        (status = 401, description = "`unauthenticated`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "`role_required`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`invalid`, with `empty`, `too_long` or `control_character` at `/label`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`store_unavailable`, `keys_unavailable`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn readers_of_label(
    State(app): State<App>,
    Path(LabelPath { label }): Path<LabelPath>,
) -> Result<Personal<Vec<ReaderView>>, Problem> {
    let label = Label::parse(&label).map_err(|fault| {
        Refusal::new(Kind::Invalid, "invalid", format!("The label {fault}."))
            .with_fields(vec![FieldFault::new("/label", fault.code(), fault.to_string())])
    })?;
    let readers = app.readers_of_label(&label).await?;
    Ok(Personal(readers.into_iter().map(|id| ReaderView { id }).collect()))
}
