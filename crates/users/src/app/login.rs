use std::net::IpAddr;

use chassis::causes;
use kernel::{Class, Fault, Kind, SessionId};
use secrecy::SecretString;

use super::passwords::PasswordError;
use super::throttle::Attempt;
use super::{App, Grant, UserError};
use crate::domain::{Account, Email, Network, Origin, RefreshToken, Session};
use crate::metrics::LOGIN;
use crate::ports::{SessionName, UserStoreError};

/// The command to log in.
pub struct Login {
    /// The address.
    pub email: Email,
    /// The password, as it was typed.
    pub password: SecretString,
    /// The caller's address.
    pub from: IpAddr,
    /// The refresh tokens in the request. A token of this account shows that the browser is its owner's.
    pub held: Vec<RefreshToken>,
}

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// There is no such account, or the password is wrong. Which of the two is deliberately not said.
    #[error("The e-mail or the password is wrong.")]
    WrongCredentials,
    /// The login was refused or failed before the password was compared.
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

/// Returns the name of an outcome in metrics.
fn metric_label<T>(outcome: &Result<T, LoginError>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(LoginError::WrongCredentials) => "wrong",
        Err(LoginError::User(UserError::TooManyAttempts { .. })) => "throttled",
        Err(LoginError::User(UserError::Password(PasswordError::Busy))) => "busy",
        Err(LoginError::User(_)) => "failed",
    }
}

impl App {
    /// Logs in and opens a session. An unknown e-mail costs the same work as a wrong password and gets the
    /// same answer.
    ///
    /// # Errors
    /// `wrong_credentials`; `too_many_attempts`; `busy` if too many passwords are being hashed.
    pub async fn log_in(&self, login: Login) -> Result<Grant, LoginError> {
        let outcome = self.try_to_log_in(login).await;
        LOGIN.count([metric_label(&outcome).into()]);
        outcome
    }

    async fn try_to_log_in(&self, login: Login) -> Result<Grant, LoginError> {
        let attempt = Attempt::new(&login.email, login.from);
        let mut session = None;
        if let Err(refusal) = self.admit_login(&attempt).await {
            session = Some(self.session_of(&login.email, &login.held).await?.ok_or(refusal)?);
        }
        let outcome = match self.try_password(&login).await {
            // While the password was compared, it was changed, or another login hashed it again: the current
            // hash decides.
            Err(error) if is_stale(&error) => match self.try_password(&login).await {
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

    /// Returns the session of the account that one of these tokens belongs to, if it has not failed too
    /// often.
    async fn session_of(&self, email: &Email, held: &[RefreshToken]) -> Result<Option<SessionId>, UserError> {
        for token in held {
            let (print, now) = (token.digest(), self.clock.now());
            let Some(session) = self.store.session(SessionName::Series(print.series), now).await? else {
                continue;
            };
            let is_owner = session.is_held_by(&print, now, &self.sessions)
                && self
                    .store
                    .account_by_email(email)
                    .await?
                    .is_some_and(|account| account.user.id == session.user);
            if is_owner && self.admit_session(session.id).await {
                return Ok(Some(session.id));
            }
        }
        Ok(None)
    }

    async fn try_password(&self, login: &Login) -> Result<Grant, LoginError> {
        let Login { email, password, from, .. } = login;
        let Some(account) = self.find_account(email).await? else {
            let number = self.tokens.number_of(email.key());
            self.passwords.compare_with_unknown(password, number).await.map_err(UserError::from)?;
            return Err(LoginError::WrongCredentials);
        };
        let is_right =
            self.passwords.matches(password, &account.credentials).await.map_err(UserError::from)?;
        if !is_right {
            return Err(LoginError::WrongCredentials);
        }
        let grant = self.open_session(&account, *from).await?;
        self.rehash_if_outdated(&account, password).await;
        Ok(grant)
    }

    async fn open_session(
        &self,
        Account { user, credentials }: &Account,
        from: IpAddr,
    ) -> Result<Grant, LoginError> {
        // A session belongs to an account in the store, so a waiting registration is moved there first.
        self.settle(user.id).await?;
        let (token, now) = (RefreshToken::mint(), self.clock.now());
        let session = Session::new(SessionId::new(self.ids.next()), user.id, &token, now, &self.sessions);
        let origin = Origin { actor: Some(user.id), network: Network::of(from), at: now };
        match self.store.open_session(&session, credentials, self.sessions.most, &origin).await {
            Ok(subject) => Ok(self.grant(session.id, subject, token, now)?),
            // The account was erased while the password was compared.
            Err(UserStoreError::NotFound) => Err(LoginError::WrongCredentials),
            Err(error) => Err(UserError::from(error).into()),
        }
    }

    /// Hashes a proven password again if the cost of hashing has changed since. If that fails, the next login
    /// does it.
    async fn rehash_if_outdated(&self, Account { user, credentials }: &Account, password: &SecretString) {
        let work = async {
            let Some(new) = self.passwords.rehash(password, credentials).await? else { return Ok(()) };
            self.store.rehash(user.id, credentials, &new).await?;
            Ok::<_, UserError>(())
        };
        if let Err(error) = work.await {
            tracing::debug!(cause = causes(&error), "a password keeps its older hash until the next login");
        }
    }

    /// Reads the costs of the stored hashes, so that a login with an unknown e-mail takes as long as one with
    /// a known e-mail.
    pub async fn learn_costs(&self) -> Result<(), UserError> {
        Ok(self.passwords.set_costs(&self.store.hash_costs().await?)?)
    }
}

fn is_stale(error: &LoginError) -> bool {
    matches!(error, LoginError::User(UserError::Store(UserStoreError::Stale { .. })))
}
