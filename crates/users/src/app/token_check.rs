use kernel::{Class, Fault, Identity, Kind};

use super::{App, UserError};
use crate::domain::{Session, User};
use crate::ports::SessionName;

/// Why a valid access token is refused in this service.
#[derive(Debug, thiserror::Error)]
pub enum TokenCheckError {
    /// The account is gone, or has a lower role than the token.
    #[error("The account has changed: log in again.")]
    Changed,
    /// The session of the token has ended, by a log-out or a new password.
    #[error("The session of this token has ended: log in again.")]
    Ended,
    /// The account or the session could not be looked up.
    #[error(transparent)]
    User(#[from] UserError),
}

impl Fault for TokenCheckError {
    fn classify(&self) -> Class<'_> {
        match self {
            TokenCheckError::Changed | TokenCheckError::Ended => {
                Class::own(Kind::Unauthenticated, "invalid_token")
            }
            TokenCheckError::User(error) => Class::Inner(error),
        }
    }
}

impl App {
    /// Checks that the account of a verified token still has its role, and returns the account. In other
    /// services a change takes effect when the token expires. In this service an erased account and a lost
    /// role take effect immediately.
    ///
    /// # Errors
    /// `invalid_token` if the account is gone or its role is lower than the token's.
    pub async fn check_account(&self, identity: &Identity) -> Result<User, TokenCheckError> {
        match self.find(identity.user).await? {
            Some(user) if user.role >= identity.role => Ok(user),
            _ => Err(TokenCheckError::Changed),
        }
    }

    /// Returns the session of a verified token, for operations that can't be undone: an access token outlives
    /// its session by up to 15 minutes.
    ///
    /// # Errors
    /// `invalid_token` if the session has ended.
    pub async fn check_session(&self, identity: &Identity) -> Result<Session, TokenCheckError> {
        let name = SessionName::Id(identity.user, identity.session);
        let session = self.store.session(name, self.clock.now()).await.map_err(UserError::from)?;
        session.ok_or(TokenCheckError::Ended)
    }
}
