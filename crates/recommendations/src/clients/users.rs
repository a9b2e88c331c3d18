use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use chassis::transport::refusal_of;
use chassis::{Breaker, BreakerSettings, Broken, Context, Transport};
use kernel::{Kind, Refusal, Timestamp, UserId};
use proto::users::v1 as messages;
use proto::users::v1::users_client::UsersClient;

use crate::domain::{Consent, ConsentRecord};
use crate::ports::{DirectoryError, UserDirectory};

/// The service users over gRPC. The generated client is the same in process and over the network.
pub struct GrpcUserDirectory {
    client: UsersClient<Transport>,
    budget: Duration,
    breaker: Breaker,
}

impl GrpcUserDirectory {
    /// Creates a client on this transport. Each call has at most `budget`.
    pub fn new(transport: Transport, budget: Duration) -> Self {
        let breaker = Breaker::new("users", BreakerSettings::default());
        Self { client: UsersClient::new(transport), budget, breaker }
    }

    async fn get_consent(&self, user: UserId) -> Result<messages::GetConsentResponse, Refusal> {
        let request = messages::GetConsentRequest { id: user.to_string() };
        let response =
            self.client.clone().get_consent(request).await.map_err(|status| refusal_of(&status))?;
        Ok(response.into_inner())
    }
}

#[async_trait]
impl UserDirectory for GrpcUserDirectory {
    async fn consent_of(&self, user: UserId) -> Result<Option<ConsentRecord>, DirectoryError> {
        let call = Context::current().within(self.budget).scope(self.get_consent(user));
        match self.breaker.call(call).await {
            Ok(response) => Ok(Some(consent_record(&response))),
            Err(Broken::Failed(refusal)) if matches!(refusal.kind, Kind::NotFound | Kind::Gone) => Ok(None),
            Err(Broken::Failed(refusal)) => Err(DirectoryError::Failed(refusal)),
            Err(Broken::Resting(left)) => Err(DirectoryError::CircuitOpen(left)),
        }
    }

    async fn record_labels_view(
        &self,
        reader: UserId,
        admin: UserId,
        from: IpAddr,
    ) -> Result<(), DirectoryError> {
        let request = messages::RecordLabelsViewRequest {
            reader_id: reader.to_string(),
            admin_id: admin.to_string(),
            address: from.to_string(),
        };
        let call = async {
            let recorded = self.client.clone().record_labels_view(request).await;
            recorded.map(drop).map_err(|status| refusal_of(&status))
        };
        let call = Context::current().within(self.budget).scope(call);
        self.breaker.call(call).await.map_err(|broken| match broken {
            Broken::Failed(refusal) => DirectoryError::Failed(refusal),
            Broken::Resting(left) => DirectoryError::CircuitOpen(left),
        })
    }
}

/// Converts the answer, which does not state the moment of the choice. The event about the same version
/// states it and will complete the record.
fn consent_record(response: &messages::GetConsentResponse) -> ConsentRecord {
    let consent = Consent { personalisation: response.personalisation, history: response.history };
    ConsentRecord { consent, version: response.version, since: Timestamp::from_millis(0) }
}
