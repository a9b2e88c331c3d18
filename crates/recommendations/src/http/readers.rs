use axum::extract::State;
use chassis::http::{Path, Problem};
use kernel::{FieldFault, Kind, Label, Refusal, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Personal;
use crate::app::App;

/// The path parameters of a label's readers.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct LabelPath {
    /// The label, 1 to 50 characters, in any spelling. Spellings that differ only in case, Unicode
    /// normalisation or outer spaces are one label.
    #[param(example = "budget", min_length = 1, max_length = 50)]
    label: String,
}

/// A reader, by id only.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReaderView {
    /// The id of the reader's account.
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
}

/// Lists the readers who like a label, heaviest first.
///
/// The list contains ids only: labels can be opinions, so the names and addresses of readers are never sent.
/// It contains at most the 1,000 heaviest readers.
#[utoipa::path(
    get,
    path = "/label/{label}",
    tag = "recommendations",
    params(LabelPath),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The readers, heaviest first. The list is empty for an unknown label.", body = [ReaderView]),
        (status = 401, description = "`unauthenticated`, `invalid_token`"),
        (status = 403, description = "`role_required`"),
        (status = 422, description = "`invalid`, with `empty`, `too_long` or `control_character` at `/label`"),
        (status = 503, description = "`store_unavailable`, `keys_unavailable`"),
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
