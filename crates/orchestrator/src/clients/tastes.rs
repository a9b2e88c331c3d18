use std::time::Duration;

use async_trait::async_trait;
use chassis::transport::refusal_of;
use chassis::{Breaker, BreakerSettings, Broken, Context, Retry, RetryRule, Transport};
use kernel::{Label, Refusal, UserId, is_visible};
use proto::recommendations::v1 as messages;
use proto::recommendations::v1::recommendations_client::RecommendationsClient;

use super::retry::may_pass;
use crate::domain::Taste;
use crate::ports::{Tastes, TastesError};

/// The time by which a call ends before its caller's deadline (at most a tenth of the time that is left), so
/// that the caller can still count the failure and answer.
const MARGIN: Duration = Duration::from_millis(50);

/// The name of the server in logs and metrics.
const DEPENDENCY: &str = "recommendations";

/// The service recommendations over gRPC. The generated client is the same in process and over the network.
pub struct GrpcTastes {
    client: RecommendationsClient<Transport>,
    breaker: Breaker,
    retry: Retry,
}

impl GrpcTastes {
    /// Creates a client on this transport. The deadline of the current work limits each call.
    pub fn new(transport: Transport, rule: RetryRule) -> Self {
        let breaker = Breaker::new(DEPENDENCY, BreakerSettings::default());
        Self { client: RecommendationsClient::new(transport), breaker, retry: Retry::within_budget(rule) }
    }

    async fn get_taste(
        &self,
        request: messages::GetTasteRequest,
    ) -> Result<messages::GetTasteResponse, Refusal> {
        let context = Context::current();
        let left = context.deadline.left();
        let context = context.within(left - MARGIN.min(left / 10));
        let mut client = self.client.clone();
        let response = context.scope(client.get_taste(request)).await;
        Ok(response.map_err(|status| refusal_of(&status))?.into_inner())
    }

    /// Sends a call with retries.
    async fn call(
        &self,
        request: &messages::GetTasteRequest,
    ) -> Result<messages::GetTasteResponse, TastesError> {
        let may_pass = |error: &TastesError| match error {
            TastesError::Failed(refusal) => may_pass(refusal),
            TastesError::CircuitOpen(_) | TastesError::Unreadable(_) => false,
        };
        let attempt = |_| async {
            self.breaker.call(self.get_taste(request.clone())).await.map_err(|error| match error {
                Broken::Resting(left) => TastesError::CircuitOpen(left),
                Broken::Failed(refusal) => TastesError::Failed(refusal),
            })
        };
        self.retry.run(DEPENDENCY, may_pass, attempt).await
    }
}

#[async_trait]
impl Tastes for GrpcTastes {
    async fn of(&self, reader: UserId, limit: u32) -> Result<Vec<Taste>, TastesError> {
        let request = messages::GetTasteRequest { user_id: reader.to_string(), limit };
        let response = self.call(&request).await?;
        // Labels of an older program may have no visible character; they are left out.
        let is_hidden = |label: &str| !label.is_empty() && !label.chars().any(is_visible);
        let tastes = response.tastes.into_iter().filter(|taste| !is_hidden(&taste.label));
        tastes.map(parse_taste).collect::<Result<_, _>>().map_err(TastesError::Unreadable)
    }
}

/// Converts a taste. The error names the field and never its content, because a label can be an opinion.
fn parse_taste(from: messages::Taste) -> Result<Taste, String> {
    let messages::Taste { label, weight, reads, last_read_at_ms: _ } = from;
    let label = Label::parse(&label).map_err(|fault| format!("a label {fault}"))?.into();
    if !weight.is_finite() || weight < 0.0 {
        return Err("a weight is not a finite number of at least 0".to_owned());
    }
    Ok(Taste { label, weight, reads })
}
