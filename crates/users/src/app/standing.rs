use kernel::{Class, Fault, Identity, Kind};

use super::{App, UserError};
use crate::domain::{Session, User};
use crate::ports::SessionName;

/// Why a token that is not over is not believed here.
#[derive(Debug, thiserror::Error)]
pub enum NotStanding {
    /// The account is gone, or may less than the token says.
    #[error("The account has changed; log in again.")]
    Changed,
    /// Its session has ended: somebody logged out, or changed the password.
    #[error("The session of this token has ended; log in again.")]
    Ended,
    /// It could not be looked up.
    #[error(transparent)]
    User(#[from] UserError),
}

impl Fault for NotStanding {
    fn classify(&self) -> Class<'_> {
        match self {
            NotStanding::Changed | NotStanding::Ended => Class::own(Kind::Unauthenticated, "invalid_token"),
            NotStanding::User(error) => Class::Inner(error),
        }
    }
}

impl App {
    /// Checks that what a verified token says still holds, and answers with the account. Elsewhere a change takes as long as the token lives; in this
    /// service, which knows, an erased account and a lost role count at once.
    ///
    /// # Errors
    /// `invalid_token` where the account is gone or its role is less than the token's.
    pub async fn standing(&self, identity: &Identity) -> Result<User, NotStanding> {
        match self.find(identity.user).await? {
            Some(user) if user.role >= identity.role => Ok(user),
            _ => Err(NotStanding::Changed),
        }
    }
    /// The session of a verified token, for what cannot be undone: an access token outlives its session by up to 15 minutes.
    ///
    /// # Errors
    /// `invalid_token` if the session has ended.
    pub async fn living(&self, identity: &Identity) -> Result<Session, NotStanding> {
        let name = SessionName::Id(identity.user, identity.session);
        let session = self.store.session(name, self.clock.now()).await.map_err(UserError::from)?;
        session.ok_or(NotStanding::Ended)
    }
}
