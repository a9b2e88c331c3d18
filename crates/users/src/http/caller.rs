//! Extractors for routes on which a valid token is not enough: the account or the session is looked up too.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use chassis::http::{Authenticated, Caller, Problem};
use http::request::Parts;
use kernel::{Identity, Role, UserId};

use super::Users;
use crate::domain::{Origin, Session, User};

/// A signed-in caller and their account as the store has it now. If the account was erased or has lost the
/// role of the token, the request is refused with 401.
pub struct CurrentUser {
    /// The claims of the token.
    pub identity: Identity,
    /// The account.
    pub user: User,
    /// The origin of what the request changes, for the audit.
    pub origin: Origin,
}

impl CurrentUser {
    /// Says whether the caller may see the whole account `id`, and not only its public profile.
    pub fn sees_all_of(&self, id: UserId) -> bool {
        self.identity.user == id || self.identity.role >= Role::Admin
    }
}

impl FromRequestParts<Users> for CurrentUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, users: &Users) -> Result<Self, Problem> {
        let Authenticated(identity) = Authenticated::from_request_parts(parts, users).await?;
        let Ok(Caller { address, .. }) = Caller::from_request_parts(parts, users).await;
        let user = users.app.check_account(&identity).await?;
        let origin = users.app.origin(Some(identity.user), address);
        Ok(Self { identity, user, origin })
    }
}

/// `None` for an anonymous request. A request with a token is refused under the same conditions as on other
/// routes.
impl OptionalFromRequestParts<Users> for CurrentUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, users: &Users) -> Result<Option<Self>, Problem> {
        let Ok(caller) = Caller::from_request_parts(parts, users).await;
        if caller.identity.is_none() {
            return Ok(None);
        }
        <Self as FromRequestParts<Users>>::from_request_parts(parts, users).await.map(Some)
    }
}

/// A signed-in caller whose session has not ended, for changes that cannot be undone. An access token is
/// valid for 15 minutes even if its session ends, so these routes look the session up.
pub struct LiveSession {
    /// The claims of the token.
    pub identity: Identity,
    /// The session that the token belongs to.
    pub session: Session,
    /// The origin of what the request changes, for the audit.
    pub origin: Origin,
}

impl FromRequestParts<Users> for LiveSession {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, users: &Users) -> Result<Self, Problem> {
        let CurrentUser { identity, origin, .. } =
            <CurrentUser as FromRequestParts<Users>>::from_request_parts(parts, users).await?;
        let session = users.app.check_session(&identity).await?;
        Ok(Self { identity, session, origin })
    }
}
