use std::time::Duration;

use async_trait::async_trait;
use chassis::transport::refusal_of;
use chassis::{Breaker, BreakerSettings, Broken, Context, Transport};
use kernel::{Kind, Refusal, Timestamp, UserId};
use proto::users::v1::users_client::UsersClient;
use proto::users::v1::{GetConsentRequest, GetConsentResponse};

use crate::domain::{Consent, ConsentRecord};
use crate::ports::{DirectoryError, UserDirectory};

/// Users over gRPC: the same generated client in process and over the network.
pub struct GrpcUserDirectory {
    client: UsersClient<Transport>,
    budget: Duration,
    breaker: Breaker,
}

impl GrpcUserDirectory {
    /// A client on this transport that gives each call `budget` at the most.
    pub fn new(transport: Transport, budget: Duration) -> Self {
        let breaker = Breaker::new("users", BreakerSettings::default());
        Self { client: UsersClient::new(transport), budget, breaker }
    }

    async fn get_consent(&self, user: UserId) -> Result<GetConsentResponse, Refusal> {
        let request = GetConsentRequest { id: user.to_string() };
        let answer = self.client.clone().get_consent(request).await.map_err(|status| refusal_of(&status))?;
        Ok(answer.into_inner())
    }
}

#[async_trait]
impl UserDirectory for GrpcUserDirectory {
    async fn consent_of(&self, user: UserId) -> Result<Option<ConsentRecord>, DirectoryError> {
        let call = Context::current().within(self.budget).scope(self.get_consent(user));
        match self.breaker.call(call).await {
            Ok(said) => Ok(Some(record(&said))),
            Err(Broken::Failed(refusal)) if matches!(refusal.kind, Kind::NotFound | Kind::Gone) => Ok(None),
            Err(Broken::Failed(refusal)) => Err(DirectoryError::Failed(refusal)),
            Err(Broken::Resting(left)) => Err(DirectoryError::Resting(left)),
        }
    }
}

/// The answer does not say since when; the event about the same version does and will refine the record.
fn record(said: &GetConsentResponse) -> ConsentRecord {
    let consent = Consent { personalisation: said.personalisation, history: said.history };
    ConsentRecord { consent, version: said.version, since: Timestamp::from_millis(0) }
}
