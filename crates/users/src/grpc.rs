//! The gRPC service for other services: decode, call `app`, encode.

use std::net::IpAddr;
use std::sync::Arc;

use chassis::transport::status_of;
use kernel::{Kind, Refusal, UserId};
use proto::users::v1 as messages;
use proto::users::v1::users_server::Users;
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::domain::User;

/// The methods of this service, by the names that the table of callers uses.
pub const METHODS: &[&str] = &[
    "portal.users.v1.Users/GetUser",
    "portal.users.v1.Users/GetUsers",
    "portal.users.v1.Users/GetConsent",
    "portal.users.v1.Users/RecordLabelsView",
];

/// The most accounts in one request.
const MAX_IDS: usize = 100;

/// The gRPC service `portal.users.v1.Users`.
pub struct UsersGrpc(pub Arc<App>);

fn parse_id(text: &str) -> Result<UserId, Status> {
    text.parse().map_err(|_| invalid("invalid_id", "An account id must be a UUID."))
}

fn invalid(code: &'static str, detail: &'static str) -> Status {
    status_of(&Refusal::new(Kind::Invalid, code, detail))
}

fn encode_role(role: kernel::Role) -> messages::Role {
    match role {
        kernel::Role::Reader => messages::Role::Reader,
        kernel::Role::Author => messages::Role::Author,
        kernel::Role::Editor => messages::Role::Editor,
        kernel::Role::Admin => messages::Role::Admin,
    }
}

fn encode_user(user: User) -> messages::User {
    messages::User {
        id: user.id.to_string(),
        name: user.name.as_str().to_owned(),
        role: encode_role(user.role).into(),
    }
}

#[tonic::async_trait]
impl Users for UsersGrpc {
    async fn get_user(
        &self,
        request: Request<messages::GetUserRequest>,
    ) -> Result<Response<messages::GetUserResponse>, Status> {
        let id = parse_id(&request.get_ref().id)?;
        let user = self.0.get(id).await.map_err(|error| status_of(&error))?;
        Ok(Response::new(messages::GetUserResponse { user: Some(encode_user(user)) }))
    }

    async fn get_users(
        &self,
        request: Request<messages::GetUsersRequest>,
    ) -> Result<Response<messages::GetUsersResponse>, Status> {
        let ids = &request.get_ref().ids;
        if ids.len() > MAX_IDS {
            return Err(invalid("too_many_ids", "A request may name at most 100 accounts."));
        }
        let ids: Vec<UserId> = ids.iter().map(|id| parse_id(id)).collect::<Result<_, _>>()?;
        let users = self.0.get_many(&ids).await.map_err(|error| status_of(&error))?;
        Ok(Response::new(messages::GetUsersResponse { users: users.into_iter().map(encode_user).collect() }))
    }

    async fn get_consent(
        &self,
        request: Request<messages::GetConsentRequest>,
    ) -> Result<Response<messages::GetConsentResponse>, Status> {
        let id = parse_id(&request.get_ref().id)?;
        let consent = self.0.consent(id).await.map_err(|error| status_of(&error))?;
        Ok(Response::new(messages::GetConsentResponse {
            personalisation: consent.choice.personalisation,
            history: consent.choice.history,
            version: consent.version,
        }))
    }

    async fn record_labels_view(
        &self,
        request: Request<messages::RecordLabelsViewRequest>,
    ) -> Result<Response<messages::RecordLabelsViewResponse>, Status> {
        let messages::RecordLabelsViewRequest { reader_id, admin_id, address } = request.into_inner();
        let (reader, admin) = (parse_id(&reader_id)?, parse_id(&admin_id)?);
        let address: IpAddr =
            address.parse().map_err(|_| invalid("invalid_address", "The address must be an IP address."))?;
        self.0.record_labels_view(reader, admin, address).await.map_err(|error| status_of(&error))?;
        Ok(Response::new(messages::RecordLabelsViewResponse {}))
    }
}
