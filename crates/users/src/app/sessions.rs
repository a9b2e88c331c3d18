use std::time::Duration;

use kernel::{Class, Fault, Identity, Kind, SessionId, Timestamp, UserId};

use super::{App, UserError};
use crate::domain::{ACCESS_TOKEN_LIFE, Digest, Refresh, RefreshToken, Salt, Session, User, Verdict};
use crate::ports::{Bearer, Ending, Refreshed, SessionName, UserStoreError};

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
    /// The request holds no refresh token.
    #[error("The session is over; log in again.")]
    NoToken,
    /// The session of the token is unknown or over, or has ended because the token was used before. The answer does not say which.
    #[error("The session is over; log in again.")]
    Over,
    /// The token was replaced a moment ago, and its answer cannot be made again. The session goes on.
    #[error("The session was refreshed a moment ago; use the newest cookie.")]
    Replaced,
    /// It could not be tried.
    #[error(transparent)]
    User(#[from] UserError),
}

impl Fault for SessionError {
    fn classify(&self) -> Class<'_> {
        match self {
            SessionError::NoToken | SessionError::Over | SessionError::Replaced => {
                Class::own(Kind::Unauthenticated, "invalid_refresh_token")
            }
            SessionError::User(error) => Class::Inner(error),
        }
    }
}

impl App {
    /// Gives the next tokens for a refresh token, which is used up by this. `tokens` are all that a client sent: cookies of
    /// other paths may have our cookie's name. `key` names the request: the same one again, by the same token and key, gets the
    /// same refresh token.
    ///
    /// # Errors
    /// `invalid_refresh_token`. If the token was used before, its session has ended.
    pub async fn refresh(&self, tokens: &[RefreshToken], key: Option<&str>) -> Result<Grant, SessionError> {
        let mut refused = SessionError::NoToken;
        for token in self.best_first(tokens).await? {
            match self.refresh_by(token, key).await {
                Err(SessionError::Over) => refused = SessionError::Over,
                outcome => return outcome,
            }
        }
        Err(refused)
    }

    /// The tokens in the order in which they are tried. An old one ends its session when it is presented, so one that is good
    /// goes first; and an old one of a session is left out if a better one of the same session is there.
    async fn best_first<'a>(&self, tokens: &'a [RefreshToken]) -> Result<Vec<&'a RefreshToken>, UserError> {
        let mut ranked: Vec<(u8, &RefreshToken)> = Vec::new();
        if tokens.len() < 2 {
            return Ok(tokens.iter().collect());
        }
        for token in tokens {
            let name = SessionName::Series(token.print().series);
            let session = self.store.session(name, self.clock.now()).await?;
            let rank = match session.map(|session| session.judge(&self.asked(token, Salt::mint(), None).0)) {
                Some(Verdict::Good(_)) => 0,
                Some(Verdict::Again(..) | Verdict::Replaced) => 1,
                Some(Verdict::Reused) => 2,
                Some(Verdict::Over) | None => 3,
            };
            ranked.push((rank, token));
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        let mut chosen: Vec<&RefreshToken> = Vec::new();
        for (_, token) in ranked {
            let series = token.print().series;
            if chosen.iter().all(|other| other.print().series != series) {
                chosen.push(token);
            }
        }
        Ok(chosen)
    }

    /// What is asked of the store for `token`, and the token that would be the next.
    fn asked(&self, token: &RefreshToken, salt: Salt, key: Option<&str>) -> (Refresh, RefreshToken) {
        let next = token.next(&salt);
        let refresh = Refresh {
            presented: token.print(),
            next: next.print().value,
            salt,
            key: key.map(|key| Digest::of(key.as_bytes())),
            at: self.clock.now(),
            rules: self.sessions,
        };
        (refresh, next)
    }

    async fn refresh_by(&self, token: &RefreshToken, key: Option<&str>) -> Result<Grant, SessionError> {
        let (refresh, next) = self.asked(token, Salt::mint(), key);
        match self.store.refresh_session(&refresh).await.map_err(UserError::from)? {
            Refreshed::Renewed(session, bearer) => Ok(self.grant(session, bearer, next, refresh.at)?),
            Refreshed::Again(session, bearer, salt, at) => {
                Ok(Grant { replayed: true, ..self.grant(session, bearer, token.next(&salt), at)? })
            }
            Refreshed::Replaced(session) => {
                tracing::debug!(%session, "a refresh token was replaced a moment ago by another release");
                Err(SessionError::Replaced)
            }
            Refreshed::Reused(session, user) => {
                tracing::warn!(%user, %session, "a refresh token was used twice; its session was ended");
                Err(SessionError::Over)
            }
            Refreshed::Over => Err(SessionError::Over),
        }
    }

    /// The tokens that were given at this time. The same ones again are the same.
    pub(super) fn grant(
        &self,
        session: SessionId,
        bearer: Bearer,
        refresh_token: RefreshToken,
        at: Timestamp,
    ) -> Result<Grant, UserError> {
        let Bearer { user, consent } = bearer;
        let access_token = self
            .tokens
            .sign(&user, &consent, session, at)
            .map_err(|failure| UserError::Store(failure.into()))?;
        let life = ACCESS_TOKEN_LIFE.saturating_sub(self.clock.now().since(at));
        Ok(Grant { access_token, life, refresh_token, user, replayed: false })
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

    /// Logs out: ends the session of an access token, and those that refresh tokens belong to, whether they were used before or
    /// not: a client that holds one may log out. That there is none any more is no failure.
    pub async fn log_out(&self, caller: Option<&Identity>, tokens: &[RefreshToken]) -> Result<(), UserError> {
        let named = caller.map(|caller| Ending::One(caller.user, caller.session));
        let held = tokens.iter().map(|token| Ending::Series(token.print().series));
        for which in named.into_iter().chain(held) {
            self.store.end_sessions(which).await?;
        }
        Ok(())
    }
}
