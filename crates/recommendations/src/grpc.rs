//! The gRPC service for other services: decode, call `app`, encode.

use chassis::transport::status_of;
use kernel::{FieldFault, Kind, Refusal, Timestamp, UserId};
use proto::recommendations::v1 as messages;
use proto::recommendations::v1::recommendations_server::Recommendations;
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::domain::Taste;

/// The methods of this service, by the names in `grpc.callers`.
pub const METHODS: &[&str] = &["portal.recommendations.v1.Recommendations/GetTaste"];

/// The largest number of labels in one answer.
const MAX_TASTES: u32 = 100;

/// The gRPC service `portal.recommendations.v1.Recommendations`.
pub struct RecommendationsGrpc(pub App);

#[tonic::async_trait]
impl Recommendations for RecommendationsGrpc {
    async fn get_taste(
        &self,
        request: Request<messages::GetTasteRequest>,
    ) -> Result<Response<messages::GetTasteResponse>, Status> {
        let messages::GetTasteRequest { user_id, limit } = request.into_inner();
        let reader: UserId =
            user_id.parse().map_err(|_| invalid("/user_id", "malformed", "`user_id` must be a UUID."))?;
        if !(1..=MAX_TASTES).contains(&limit) {
            let detail = format!("`limit` must be between 1 and {MAX_TASTES}, got {limit}.");
            return Err(invalid("/limit", "out_of_range", &detail));
        }
        let (tastes, now) =
            self.0.labels_of_reader(reader, limit).await.map_err(|error| status_of(&error))?;
        let tastes = tastes.iter().map(|taste| taste_message(taste, now)).collect();
        Ok(Response::new(messages::GetTasteResponse { tastes }))
    }
}

fn invalid(pointer: &str, code: &'static str, detail: &str) -> Status {
    let fields = vec![FieldFault::new(pointer, code, detail)];
    status_of(&Refusal::new(Kind::Invalid, "invalid", detail).with_fields(fields))
}

fn taste_message(taste: &Taste, now: Timestamp) -> messages::Taste {
    messages::Taste {
        label: taste.label().to_string(),
        weight: taste.weight_at(now),
        reads: taste.reads(),
        last_read_at_ms: taste.last_read_at().millis(),
    }
}
