//! What other services ask: decode, call `app`, encode.

use std::sync::Arc;

use chassis::transport::status_of;
use kernel::{Kind, Refusal, UserId};
use proto::users::v1;
use proto::users::v1::users_server::Users;
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::domain::User;

/// What is answered here, as callers are granted it.
pub const METHODS: &[&str] =
    &["portal.users.v1.Users/GetUser", "portal.users.v1.Users/GetUsers", "portal.users.v1.Users/GetConsent"];

/// The most accounts of one question.
const MAX_IDS: usize = 100;

/// The gRPC service `portal.users.v1.Users`.
pub struct UsersGrpc(pub Arc<App>);

fn id_of(text: &str) -> Result<UserId, Status> {
    text.parse().map_err(|_| invalid("invalid_id", "an id is a UUID"))
}

fn invalid(code: &'static str, detail: &'static str) -> Status {
    status_of(&Refusal::new(Kind::Invalid, code, detail))
}

fn role_of(role: kernel::Role) -> v1::Role {
    match role {
        kernel::Role::Reader => v1::Role::Reader,
        kernel::Role::Author => v1::Role::Author,
        kernel::Role::Editor => v1::Role::Editor,
        kernel::Role::Admin => v1::Role::Admin,
    }
}

fn message_of(user: User) -> v1::User {
    v1::User { id: user.id.to_string(), name: user.name.as_str().to_owned(), role: role_of(user.role).into() }
}

#[tonic::async_trait]
impl Users for UsersGrpc {
    async fn get_user(
        &self,
        request: Request<v1::GetUserRequest>,
    ) -> Result<Response<v1::GetUserResponse>, Status> {
        let id = id_of(&request.get_ref().id)?;
        let user = self.0.get(id).await.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::GetUserResponse { user: Some(message_of(user)) }))
    }

    async fn get_users(
        &self,
        request: Request<v1::GetUsersRequest>,
    ) -> Result<Response<v1::GetUsersResponse>, Status> {
        let ids = &request.get_ref().ids;
        if ids.len() > MAX_IDS {
            return Err(invalid("too_many_ids", "at most 100 accounts are asked for at once"));
        }
        let ids: Vec<UserId> = ids.iter().map(|id| id_of(id)).collect::<Result<_, _>>()?;
        let users = self.0.get_many(&ids).await.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::GetUsersResponse { users: users.into_iter().map(message_of).collect() }))
    }

    async fn get_consent(
        &self,
        request: Request<v1::GetConsentRequest>,
    ) -> Result<Response<v1::GetConsentResponse>, Status> {
        let id = id_of(&request.get_ref().id)?;
        let consent = self.0.consent(id).await.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::GetConsentResponse {
            personalisation: consent.choice.personalisation,
            history: consent.choice.history,
            version: consent.version,
        }))
    }
}
