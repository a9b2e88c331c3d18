use axum::extract::State;
use chassis::http::{Authenticated, Path, Problem, ProblemBody};
use kernel::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Personal;
use crate::app::{App, MOST};
use crate::domain::Taste;

/// The path of a reader.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ReaderPath {
    /// The reader's account.
    #[param(value_type = uuid::Uuid)]
    user_id: UserId,
}

/// A label that a reader likes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LabelView {
    /// The label, as it was spelled in what the reader read last. Case, normalisation and outer spaces make no other label.
    #[schema(example = "budget")]
    id: String,
    /// How much the reader likes it now: each reading counts 1 and half as much every 14 days. Rounded to four decimals.
    #[schema(example = 2.31, minimum = 0)]
    weight: f64,
    /// How many readings counted.
    #[schema(example = 3, minimum = 1)]
    reads: u32,
    /// When the reader last read something with this label.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T08:00:00.000Z")]
    last_read_at: Timestamp,
}

impl LabelView {
    fn of(taste: &Taste, now: Timestamp) -> Self {
        Self {
            id: taste.label().to_string(),
            weight: rounded(taste.weight_at(now)),
            reads: taste.reads(),
            last_read_at: taste.last_read_at(),
        }
    }
}

/// Four decimals tell a single reading from nothing for half a year, and hide the noise of adding floating-point numbers.
fn rounded(weight: f64) -> f64 {
    (weight * 10_000.0).round() / 10_000.0
}

/// What a reader likes, heaviest first.
///
/// Only what was read with consent to personalisation and to a history counts, each article once in 30 minutes. A reader
/// who is unknown, erased or did not consent has no labels. At most the 1,000 heaviest are told.
#[utoipa::path(
    get,
    path = "/user/{user_id}",
    tag = "recommendations",
    params(ReaderPath),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The labels, heaviest first; none for an unknown reader.", body = [LabelView]),
        (status = 401, description = "`unauthenticated`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "`role_required`: somebody else's labels are for admins", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`: no id of an account", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`store_unavailable`, `keys_unavailable`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn labels_of_reader(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Path(ReaderPath { user_id }): Path<ReaderPath>,
) -> Result<Personal<Vec<LabelView>>, Problem> {
    if caller.user != user_id {
        tracing::info!(target: "audit", actor = %caller.user, reader = %user_id, "an admin looked at a reader's labels");
    }
    let (tastes, now) = app.labels_of_reader(user_id, MOST).await?;
    Ok(Personal(tastes.iter().map(|taste| LabelView::of(taste, now)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_have_at_most_four_decimals() {
        assert_eq!(serde_json::to_string(&rounded(2.312_349)).expect("a number"), "2.3123");
        assert_eq!(serde_json::to_string(&rounded(0.1 + 0.2)).expect("a number"), "0.3");
        assert_eq!(serde_json::to_string(&rounded(1.0)).expect("a number"), "1.0");
    }
}
