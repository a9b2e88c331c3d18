use std::net::IpAddr;
use std::time::Duration;

use kernel::{Class, Fault, Identity, Kind, SessionId, Timestamp, UserId};

use super::{App, UserError};
use crate::domain::{
    ACCESS_TOKEN_LIFE, Digest, Network, Origin, RefreshRequest, RefreshToken, Salt, Session, User, Verdict,
};
use crate::ports::{RefreshOutcome, SessionName, SessionsToEnd, TokenSubject, UserStoreError};

/// The result of a login or a refresh.
pub struct Grant {
    /// The signed access token.
    pub access_token: String,
    /// The time for which it is still valid.
    pub life: Duration,
    /// The token for the next refresh.
    pub refresh_token: RefreshToken,
    /// The account.
    pub user: User,
    /// True if the same request was answered before.
    pub replayed: bool,
}

/// Why a session was not refreshed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The request contains no refresh token.
    #[error("The session has ended: log in again.")]
    NoToken,
    /// The session of the token is unknown or expired, or has ended because the token was used before. The
    /// answer does not say which.
    #[error("The session has ended: log in again.")]
    Over,
    /// The token was replaced a moment ago, and its answer can't be made again. The session goes on.
    #[error("The session was refreshed a moment ago: use the newest cookie.")]
    Replaced,
    /// The refresh failed.
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
    /// Exchanges a refresh token for the next tokens; it is used up. `tokens` are all tokens that the client
    /// sent: cookies of other paths may have the name of our cookie. `key` names the request: if it is
    /// repeated with the same token and key, it gets the same refresh token.
    ///
    /// # Errors
    /// `invalid_refresh_token`. If the token was used before, its session has ended.
    pub async fn refresh(
        &self,
        tokens: &[RefreshToken],
        key: Option<&str>,
        from: IpAddr,
    ) -> Result<Grant, SessionError> {
        let mut error = SessionError::NoToken;
        for token in self.best_first(tokens).await? {
            match self.refresh_by(token, key, from).await {
                Err(SessionError::Over) => error = SessionError::Over,
                outcome => return outcome,
            }
        }
        Err(error)
    }

    /// Returns the tokens in the order in which they are tried. An old token ends its session when it is
    /// presented, so a good one comes first, and an old token is left out if there is a better one of the
    /// same session.
    async fn best_first<'a>(&self, tokens: &'a [RefreshToken]) -> Result<Vec<&'a RefreshToken>, UserError> {
        let mut ranked: Vec<(u8, &RefreshToken)> = Vec::new();
        if tokens.len() < 2 {
            return Ok(tokens.iter().collect());
        }
        for token in tokens {
            let name = SessionName::Series(token.digest().series);
            let session = self.store.session(name, self.clock.now()).await?;
            let rank = match session
                .map(|session| session.judge(&self.refresh_request(token, Salt::mint(), None).0))
            {
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
            let series = token.digest().series;
            if chosen.iter().all(|other| other.digest().series != series) {
                chosen.push(token);
            }
        }
        Ok(chosen)
    }

    /// Returns the request to the store for `token`, and the token that would be the next.
    fn refresh_request(
        &self,
        token: &RefreshToken,
        salt: Salt,
        key: Option<&str>,
    ) -> (RefreshRequest, RefreshToken) {
        let next = token.next(&salt);
        let refresh = RefreshRequest {
            presented: token.digest(),
            next: next.digest().value,
            salt,
            key: key.map(|key| Digest::of(key.as_bytes())),
            at: self.clock.now(),
            network: None,
            rules: self.sessions,
        };
        (refresh, next)
    }

    async fn refresh_by(
        &self,
        token: &RefreshToken,
        key: Option<&str>,
        from: IpAddr,
    ) -> Result<Grant, SessionError> {
        let (mut refresh, next) = self.refresh_request(token, Salt::mint(), key);
        refresh.network = Network::of(from);
        match self.store.refresh_session(&refresh).await.map_err(UserError::from)? {
            RefreshOutcome::Renewed(session, subject) => Ok(self.grant(session, subject, next, refresh.at)?),
            RefreshOutcome::Again(session, subject, salt, at) => {
                Ok(Grant { replayed: true, ..self.grant(session, subject, token.next(&salt), at)? })
            }
            RefreshOutcome::Replaced(session) => {
                tracing::debug!(%session, "an older release replaced this refresh token a moment ago");
                Err(SessionError::Replaced)
            }
            RefreshOutcome::Reused(session, user) => {
                tracing::warn!(%user, %session, "a refresh token was used twice; its session has ended");
                Err(SessionError::Over)
            }
            RefreshOutcome::Over => Err(SessionError::Over),
        }
    }

    /// Makes the tokens that are issued at this time. Equal arguments make equal tokens.
    pub(super) fn grant(
        &self,
        session: SessionId,
        subject: TokenSubject,
        refresh_token: RefreshToken,
        at: Timestamp,
    ) -> Result<Grant, UserError> {
        let TokenSubject { user, consent } = subject;
        let access_token = self
            .tokens
            .sign(&user, &consent, session, at)
            .map_err(|failure| UserError::Store(failure.into()))?;
        let life = ACCESS_TOKEN_LIFE.saturating_sub(self.clock.now().since(at));
        Ok(Grant { access_token, life, refresh_token, user, replayed: false })
    }

    /// Returns the sessions of an account, the last used one first.
    pub async fn sessions(&self, user: UserId) -> Result<Vec<Session>, UserError> {
        Ok(self.store.sessions(user, self.clock.now()).await?)
    }

    /// Ends a session of an account. Its access token stays valid until it expires.
    ///
    /// # Errors
    /// `not_found`, also for the session of another account.
    pub async fn end_session(
        &self,
        user: UserId,
        session: SessionId,
        origin: &Origin,
    ) -> Result<(), UserError> {
        match self.store.end_sessions(SessionsToEnd::One(user, session), origin).await? {
            0 => Err(UserStoreError::NotFound.into()),
            _ => Ok(()),
        }
    }

    /// Ends all sessions of an account.
    pub async fn end_all_sessions(&self, user: UserId, origin: &Origin) -> Result<(), UserError> {
        self.store.end_sessions(SessionsToEnd::All(user), origin).await?;
        Ok(())
    }

    /// Logs out: ends the session of an access token, and the sessions of refresh tokens, used or not: a
    /// client that holds such a token may log out. It succeeds even if the sessions have ended before.
    pub async fn log_out(
        &self,
        caller: Option<&Identity>,
        tokens: &[RefreshToken],
        from: IpAddr,
    ) -> Result<(), UserError> {
        let mut origin = self.origin(caller.map(|caller| caller.user), from);
        if let Some(caller) = caller {
            self.store.end_sessions(SessionsToEnd::One(caller.user, caller.session), &origin).await?;
        }
        for token in tokens {
            let series = token.digest().series;
            // A client that holds a token of the session acts as its owner.
            let session = self.store.session(SessionName::Series(series), origin.at).await?;
            origin.actor = session.map(|session| session.user);
            self.store.end_sessions(SessionsToEnd::Series(series), &origin).await?;
        }
        Ok(())
    }
}
