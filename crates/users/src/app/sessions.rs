use std::time::Duration;

use kernel::{Code, Fault, Identity, Kind, SessionId, UserId};

use super::{App, UserError};
use crate::domain::{ACCESS_TOKEN_LIFE, Digest, Refresh, RefreshToken, Retry, Salt, Session, User};
use crate::ports::{Bearer, Ending, Refreshed, UserStoreError};

/// What a login or a refresh gives.
pub struct Grant {
    /// The signed access token.
    pub access_token: String,
    /// How long it holds.
    pub life: Duration,
    /// The token that asks for the next one.
    pub refresh_token: RefreshToken,
    /// Whose they are.
    pub user: User,
    /// True where the same was answered before.
    pub replayed: bool,
}

/// Why a session was not refreshed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is no such session, or none any more; or the token was used before. Which of them is nobody's business.
    #[error("The session is over; log in again.")]
    Over,
    /// It could not be tried.
    #[error(transparent)]
    User(#[from] UserError),
}

impl Fault for SessionError {
    fn kind(&self) -> Kind {
        match self {
            SessionError::Over => Kind::Unauthenticated,
            SessionError::User(error) => error.kind(),
        }
    }

    fn code(&self) -> Code {
        match self {
            SessionError::Over => Code::new("invalid_refresh_token"),
            SessionError::User(error) => error.code(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            SessionError::Over => None,
            SessionError::User(error) => error.retry_after(),
        }
    }
}

impl App {
    /// Gives the next tokens for a refresh token, which is used up by this. `key` names the request: the same one again, by the same
    /// token and key, gets the same refresh token.
    ///
    /// # Errors
    /// `invalid_refresh_token`. Where the token was used before, its session has ended.
    pub async fn refresh(&self, token: &RefreshToken, key: Option<&str>) -> Result<Grant, SessionError> {
        let salt = Salt::mint();
        let next = token.next(&salt);
        let refresh = Refresh {
            presented: token.print(),
            next: next.print().value,
            retry: key.map(|key| Retry { key: Digest::of(key.as_bytes()), salt }),
            at: self.clock.now(),
            rules: self.sessions,
        };
        match self.store.refresh_session(&refresh).await.map_err(UserError::from)? {
            Refreshed::Renewed(session, bearer) => Ok(self.grant(session, bearer, next)?),
            Refreshed::Again(session, bearer, salt) => {
                Ok(Grant { replayed: true, ..self.grant(session, bearer, token.next(&salt))? })
            }
            Refreshed::Reused(session, user) => {
                tracing::warn!(%user, %session, "a refresh token was used twice; its session was ended");
                Err(SessionError::Over)
            }
            Refreshed::Over => Err(SessionError::Over),
        }
    }

    pub(super) fn grant(
        &self,
        session: SessionId,
        bearer: Bearer,
        refresh_token: RefreshToken,
    ) -> Result<Grant, UserError> {
        let Bearer { user, consent } = bearer;
        let access_token = self
            .tokens
            .sign(&user, &consent, session, self.clock.now())
            .map_err(|failure| UserError::Store(failure.into()))?;
        Ok(Grant { access_token, life: ACCESS_TOKEN_LIFE, refresh_token, user, replayed: false })
    }

    /// The sessions of an account, the last used one first.
    pub async fn sessions(&self, user: UserId) -> Result<Vec<Session>, UserError> {
        Ok(self.store.sessions(user, self.clock.now()).await?)
    }

    /// Ends a session of an account. Its access token holds for as long as it says.
    ///
    /// # Errors
    /// `not_found`, for those of others too.
    pub async fn end_session(&self, user: UserId, session: SessionId) -> Result<(), UserError> {
        match self.store.end_sessions(Ending::One(user, session)).await? {
            0 => Err(UserStoreError::NotFound.into()),
            _ => Ok(()),
        }
    }

    /// Ends all sessions of an account.
    pub async fn end_all_sessions(&self, user: UserId) -> Result<(), UserError> {
        self.store.end_sessions(Ending::All(user)).await?;
        Ok(())
    }

    /// Logs out: ends the session of an access token, and the one that a refresh token belongs to, whether that was used before or not:
    /// who holds one may log out. That there is none any more is no failure.
    pub async fn log_out(
        &self,
        caller: Option<&Identity>,
        token: Option<&RefreshToken>,
    ) -> Result<(), UserError> {
        let named = caller.map(|caller| Ending::One(caller.user, caller.session));
        let held = token.map(|token| Ending::Series(token.print().series));
        for which in named.into_iter().chain(held) {
            self.store.end_sessions(which).await?;
        }
        Ok(())
    }
}
