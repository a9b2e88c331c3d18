use std::net::IpAddr;

use chassis::causes;
use kernel::{Class, Fault, Kind, SessionId};
use secrecy::SecretString;

use super::passwords::PasswordError;
use super::throttle::Attempt;
use super::{App, Grant, UserError};
use crate::domain::{Account, Email, RefreshToken, Session};
use crate::metrics::LOGIN;
use crate::ports::{SessionName, UserStoreError};

/// Somebody says who they are.
pub struct Login {
    /// The address.
    pub email: Email,
    /// The password, as it was typed.
    pub password: SecretString,
    /// Where they are.
    pub from: IpAddr,
    /// The refresh tokens that came along: one of this account shows that it is its owner's browser.
    pub held: Vec<RefreshToken>,
}

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// There is no such account, or the password is another one. Which of them is nobody's business.
    #[error("The e-mail or the password is not right.")]
    WrongCredentials,
    /// It could not be tried.
    #[error(transparent)]
    User(#[from] UserError),
}

impl Fault for LoginError {
    fn classify(&self) -> Class<'_> {
        match self {
            LoginError::WrongCredentials => Class::own(Kind::Unauthenticated, "wrong_credentials"),
            LoginError::User(error) => Class::Inner(error),
        }
    }
}

/// An outcome, as in metrics.
fn named<T>(outcome: &Result<T, LoginError>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(LoginError::WrongCredentials) => "wrong",
        Err(LoginError::User(UserError::TooManyAttempts { .. })) => "throttled",
        Err(LoginError::User(UserError::Password(PasswordError::Busy))) => "busy",
        Err(LoginError::User(_)) => "failed",
    }
}

impl App {
    /// Logs somebody in and opens a session. An unknown e-mail costs the same work as a wrong password and gets the same answer.
    ///
    /// # Errors
    /// `wrong_credentials`; `too_many_attempts`; `busy` where too many log in at this moment.
    pub async fn log_in(&self, login: Login) -> Result<Grant, LoginError> {
        let outcome = self.try_to_log_in(login).await;
        LOGIN.count([named(&outcome).into()]);
        outcome
    }

    async fn try_to_log_in(&self, login: Login) -> Result<Grant, LoginError> {
        let attempt = Attempt::new(&login.email, login.from);
        let mut session = None;
        if let Err(refused) = self.admit_login(&attempt).await {
            session = Some(self.session_of(&login.email, &login.held).await?.ok_or(refused)?);
        }
        let outcome = match self.prove(&login.email, &login.password).await {
            // While the password was compared it was changed, or hashed anew by another login: what is kept now decides.
            Err(error) if is_stale(&error) => match self.prove(&login.email, &login.password).await {
                Err(error) if is_stale(&error) => Err(LoginError::WrongCredentials),
                outcome => outcome,
            },
            outcome => outcome,
        };
        if let Err(LoginError::WrongCredentials) = &outcome {
            self.count_failed(&attempt).await;
            if let Some(session) = session {
                self.count_failed_in(session).await;
            }
        }
        outcome
    }

    /// The session of the account that one of these tokens belongs to, if it has not failed too often.
    async fn session_of(&self, email: &Email, held: &[RefreshToken]) -> Result<Option<SessionId>, UserError> {
        for token in held {
            let (print, now) = (token.print(), self.clock.now());
            let Some(session) = self.store.session(SessionName::Series(print.series), now).await? else {
                continue;
            };
            let is_owner = session.is_held_by(&print, now, &self.sessions)
                && self.store.account_of(email).await?.is_some_and(|account| account.user.id == session.user);
            if is_owner && self.admit_session(session.id).await {
                return Ok(Some(session.id));
            }
        }
        Ok(None)
    }

    async fn prove(&self, email: &Email, password: &SecretString) -> Result<Grant, LoginError> {
        let Some(account) = self.account_of(email).await? else {
            let place = self.tokens.place_of(email.key());
            self.passwords.matches_nobody(password, place).await.map_err(UserError::from)?;
            return Err(LoginError::WrongCredentials);
        };
        let right = self.passwords.matches(password, &account.credentials).await.map_err(UserError::from)?;
        if !right {
            return Err(LoginError::WrongCredentials);
        }
        let grant = self.open_session(&account).await?;
        self.keep_at_its_cost(&account, password).await;
        Ok(grant)
    }

    async fn open_session(&self, Account { user, credentials }: &Account) -> Result<Grant, LoginError> {
        // A session belongs to an account in the store; who still waits in the intake is brought there first.
        self.settle(user.id).await?;
        let (token, now) = (RefreshToken::mint(), self.clock.now());
        let session = Session::new(SessionId::new(self.ids.next()), user.id, &token, now, &self.sessions);
        match self.store.open_session(&session, credentials, self.sessions.most).await {
            Ok(bearer) => Ok(self.grant(session.id, bearer, token, now)?),
            // Erased while the password was compared: then it is not right any more.
            Err(UserStoreError::NotFound) => Err(LoginError::WrongCredentials),
            Err(error) => Err(UserError::from(error).into()),
        }
    }

    /// Hashes a proven password anew where the cost of hashing was changed since. If that fails, the next login does it.
    async fn keep_at_its_cost(&self, Account { user, credentials }: &Account, password: &SecretString) {
        let kept = async {
            let Some(anew) = self.passwords.hash_anew(password, credentials).await? else { return Ok(()) };
            self.store.rehash(user.id, credentials, &anew).await?;
            Ok::<_, UserError>(())
        };
        if let Err(error) = kept.await {
            tracing::debug!(cause = causes(&error), "a password was left as it was hashed before");
        }
    }

    /// Learns which costs of hashing accounts have, so that an unknown e-mail takes as long as a known one.
    pub async fn learn_costs(&self) -> Result<(), UserError> {
        Ok(self.passwords.learn(&self.store.hash_costs().await?)?)
    }

    /// Whoever has this e-mail. The intake is asked first: in the other order an account could move from the one to the
    /// other between the two questions and be in neither.
    pub(super) async fn account_of(&self, email: &Email) -> Result<Option<Account>, UserError> {
        match self.intake.by_email(email).await? {
            Some(account) => Ok(Some(account)),
            None => Ok(self.store.account_of(email).await?),
        }
    }
}

fn is_stale(error: &LoginError) -> bool {
    matches!(error, LoginError::User(UserError::Store(UserStoreError::Stale { .. })))
}
