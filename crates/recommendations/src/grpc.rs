//! What other services ask: decode, call `app`, encode.

use chassis::transport::status_of;
use kernel::{FieldFault, Kind, Refusal, Timestamp, UserId};
use proto::recommendations::v1;
use proto::recommendations::v1::recommendations_server::Recommendations;
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::domain::Taste;

/// What is answered here, as callers are granted it.
pub const METHODS: &[&str] = &["portal.recommendations.v1.Recommendations/GetTaste"];

/// The most labels of one answer.
const MOST_TASTES: u32 = 100;

/// The gRPC service `portal.recommendations.v1.Recommendations`.
pub struct RecommendationsGrpc(pub App);

#[tonic::async_trait]
impl Recommendations for RecommendationsGrpc {
    async fn get_taste(
        &self,
        request: Request<v1::GetTasteRequest>,
    ) -> Result<Response<v1::GetTasteResponse>, Status> {
        let v1::GetTasteRequest { user_id, limit } = request.into_inner();
        let reader: UserId =
            user_id.parse().map_err(|_| invalid("/user_id", "malformed", "an id is a UUID"))?;
        if !(1..=MOST_TASTES).contains(&limit) {
            return Err(invalid("/limit", "out_of_range", "between 1 and 100 labels are asked for at once"));
        }
        let (tastes, now) =
            self.0.labels_of_reader(reader, limit).await.map_err(|error| status_of(&error))?;
        let tastes = tastes.iter().map(|taste| message_of(taste, now)).collect();
        Ok(Response::new(v1::GetTasteResponse { tastes }))
    }
}

fn invalid(pointer: &str, code: &'static str, detail: &str) -> Status {
    let fields = vec![FieldFault::new(pointer, code, detail)];
    status_of(&Refusal::new(Kind::Invalid, "invalid", detail).with_fields(fields))
}

fn message_of(taste: &Taste, now: Timestamp) -> v1::Taste {
    v1::Taste {
        label: taste.label().to_string(),
        weight: taste.weight_at(now),
        reads: taste.reads(),
        last_read_at_ms: taste.last_read_at().millis(),
    }
}
