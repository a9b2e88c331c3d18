use axum::extract::State;
use chassis::http::{Authenticated, Caller, Path, Problem};
use kernel::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Personal;
use crate::app::{App, MAX_ENTRIES};
use crate::domain::Taste;

/// The path parameters of a reader's labels.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ReaderPath {
    /// The id of the reader's account.
    #[param(value_type = uuid::Uuid)]
    user_id: UserId,
}

/// A label that a reader likes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LabelView {
    /// The label, as it was spelled in the article that the reader read last. Spellings that differ only in
    /// case, Unicode normalisation or outer spaces are one label.
    #[schema(example = "budget")]
    id: String,
    /// The reader's interest in the label now, rounded to four decimals. Each reading counts 1 and halves
    /// every 14 days.
    #[schema(example = 2.31, minimum = 0)]
    weight: f64,
    /// The number of readings that counted.
    #[schema(example = 3, minimum = 1)]
    reads: u32,
    /// The moment when the reader last read an article with this label.
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

/// Rounds to four decimals: enough to see a single reading for half a year, and too few to show
/// floating-point noise.
fn rounded(weight: f64) -> f64 {
    (weight * 10_000.0).round() / 10_000.0
}

/// Lists the labels that a reader likes, heaviest first.
///
/// A reading counts only if the reader consented to personalisation and to a history, and each article counts
/// once in 30 minutes. The list is empty if the reader is unknown or erased, or did not consent. It contains
/// at most the 1,000 heaviest labels.
///
/// If an admin looks at the labels of another reader, the audit of the reader's account records it first. If
/// it can't, nothing is shown.
#[utoipa::path(
    get,
    path = "/user/{user_id}",
    tag = "recommendations",
    params(ReaderPath),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The labels, heaviest first. The list is empty for an unknown reader.", body = [LabelView]),
        (status = 401, description = "`unauthenticated`, `invalid_token`"),
        (status = 403, description = "`role_required`: only admins may read the labels of another reader"),
        (status = 404, description = "`not_found`: the path does not contain the id of an account"),
        (status = 503, description = "`store_unavailable`, `keys_unavailable`; `users_unavailable`: a look at another reader's labels could not be recorded"),
    )
)]
pub(super) async fn labels_of_reader(
    State(app): State<App>,
    Authenticated(identity): Authenticated,
    Caller { address, .. }: Caller,
    Path(ReaderPath { user_id }): Path<ReaderPath>,
) -> Result<Personal<Vec<LabelView>>, Problem> {
    let (tastes, now) = if identity.user == user_id {
        app.labels_of_reader(user_id, MAX_ENTRIES).await?
    } else {
        app.labels_for_admin(user_id, identity.user, address).await?
    };
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
