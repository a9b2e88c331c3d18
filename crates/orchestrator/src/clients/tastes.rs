use std::time::Duration;

use async_trait::async_trait;
use chassis::transport::refusal_of;
use chassis::{Breaker, BreakerSettings, Broken, Context, Transport};
use kernel::{Label, Refusal, UserId, is_visible};
use proto::recommendations::v1 as wire;
use proto::recommendations::v1::recommendations_client::RecommendationsClient;

use super::retry::{Retries, RetryRule};
use crate::domain::Taste;
use crate::ports::{Tastes, TastesError};

/// A call ends so much before its caller's deadline (a tenth of short ones), so that somebody is still there to count it.
const MARGIN: Duration = Duration::from_millis(50);

/// Who is asked, as in logs and metrics.
const DEPENDENCY: &str = "recommendations";

/// Recommendations over gRPC: the same generated client in process and over the network.
pub struct GrpcTastes {
    client: RecommendationsClient<Transport>,
    breaker: Breaker,
    retries: Retries,
}

impl GrpcTastes {
    /// A client on this transport. How long a question may take is said by the work in hand.
    pub fn new(transport: Transport, rule: RetryRule) -> Self {
        let breaker = Breaker::new(DEPENDENCY, BreakerSettings::default());
        Self { client: RecommendationsClient::new(transport), breaker, retries: Retries::new(rule) }
    }

    async fn get_taste(&self, request: wire::GetTasteRequest) -> Result<wire::GetTasteResponse, Refusal> {
        let context = Context::current();
        let left = context.deadline.left();
        let context = context.within(left - MARGIN.min(left / 10));
        let mut client = self.client.clone();
        let answer = context.scope(client.get_taste(request)).await;
        Ok(answer.map_err(|status| refusal_of(&status))?.into_inner())
    }

    async fn ask(&self, request: &wire::GetTasteRequest) -> Result<wire::GetTasteResponse, TastesError> {
        self.retries.earn();
        let deadline = Context::current().deadline;
        let mut tried = 1;
        loop {
            let refusal = match self.breaker.call(self.get_taste(request.clone())).await {
                Ok(answer) => return Ok(answer),
                Err(Broken::Resting(left)) => return Err(TastesError::Resting(left)),
                Err(Broken::Failed(refusal)) => refusal,
            };
            let Some(pause) = self.retries.pause_after(DEPENDENCY, tried, &refusal, deadline) else {
                return Err(TastesError::Failed(refusal));
            };
            tracing::debug!(tried, "a question about a reader's taste failed and is asked again");
            chassis::pause(pause).await;
            tried += 1;
        }
    }
}

#[async_trait]
impl Tastes for GrpcTastes {
    async fn of(&self, reader: UserId, limit: u32) -> Result<Vec<Taste>, TastesError> {
        let request = wire::GetTasteRequest { user_id: reader.to_string(), limit };
        let answer = self.ask(&request).await?;
        // Labels of an older program may have nothing that can be seen; nobody follows them.
        let is_hidden = |label: &str| !label.is_empty() && !label.chars().any(is_visible);
        let tastes = answer.tastes.into_iter().filter(|taste| !is_hidden(&taste.label));
        tastes.map(taste).collect::<Result<_, _>>().map_err(TastesError::Unreadable)
    }
}

/// What is wrong names the field, never what stands in it: a label can be an opinion.
fn taste(from: wire::Taste) -> Result<Taste, String> {
    let wire::Taste { label, weight, reads, last_read_at_ms: _ } = from;
    let label = Label::parse(&label).map_err(|fault| format!("a label {fault}"))?.into();
    if !weight.is_finite() || weight < 0.0 {
        return Err("a weight is no weight".to_owned());
    }
    Ok(Taste { label, weight, reads })
}
