//! Who asks, where it matters that the token still holds.

use axum::extract::FromRequestParts;
use chassis::http::{Caller, Member, Problem};
use http::request::Parts;
use kernel::{Identity, Role, UserId};

use super::Users;
use crate::domain::{Session, User};

/// Somebody whose token says what still holds, and their account as it is; an erased account and a lost role are 401.
pub struct Standing(pub Identity, pub User);

impl Standing {
    /// Whether all of an account is shown to them.
    pub fn sees_all_of(&self, id: UserId) -> bool {
        self.0.user == id || self.0.role >= Role::Admin
    }
}

impl FromRequestParts<Users> for Standing {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, users: &Users) -> Result<Self, Problem> {
        let Member(identity) = Member::from_request_parts(parts, users).await?;
        let account = users.app.standing(&identity).await?;
        Ok(Self(identity, account))
    }
}

/// A caller with a standing account whose session lives: for what cannot be undone. An access token is good for 15 minutes
/// whatever became of its session, so here the store is asked.
pub struct Living(pub Identity, pub Session);

impl FromRequestParts<Users> for Living {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, users: &Users) -> Result<Self, Problem> {
        let Standing(identity, _) = Standing::from_request_parts(parts, users).await?;
        let session = users.app.living(&identity).await?;
        Ok(Self(identity, session))
    }
}

/// Anybody; who brings a token must bring one that holds.
pub struct Visitor(pub Option<Standing>);

impl FromRequestParts<Users> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, users: &Users) -> Result<Self, Problem> {
        match Caller::from_request_parts(parts, users).await {
            Ok(Caller(None)) => Ok(Self(None)),
            Ok(Caller(Some(_))) => Ok(Self(Some(Standing::from_request_parts(parts, users).await?))),
        }
    }
}
