use std::net::IpAddr;
use std::time::Duration;

use kernel::{Code, Fault, Kind, SessionId};
use secrecy::SecretString;

use super::{App, Grant, UserError};
use crate::domain::{Account, Email, RefreshToken, Session};
use crate::ports::UserStoreError;

/// Somebody says who they are.
pub struct Login {
    /// The address, as it was typed.
    pub email: String,
    /// The password, as it was typed.
    pub password: SecretString,
    /// Where they are.
    pub from: IpAddr,
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
    fn kind(&self) -> Kind {
        match self {
            LoginError::WrongCredentials => Kind::Unauthenticated,
            LoginError::User(error) => error.kind(),
        }
    }

    fn code(&self) -> Code {
        match self {
            LoginError::WrongCredentials => Code::new("wrong_credentials"),
            LoginError::User(error) => error.code(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            LoginError::WrongCredentials => None,
            LoginError::User(error) => error.retry_after(),
        }
    }
}

impl App {
    /// Logs somebody in and opens a session. An unknown e-mail costs the same work as a wrong password and gets the same answer.
    ///
    /// # Errors
    /// `wrong_credentials`; `too_many_attempts`; `busy` where too many log in at this moment.
    pub async fn log_in(&self, login: Login) -> Result<Grant, LoginError> {
        self.admit_login(&login.email, login.from).await?;
        let account = match Email::parse(&login.email) {
            Ok(email) => self.account_of(&email).await?,
            Err(_) => None,
        };
        let credentials = account.as_ref().map(|account| &account.credentials);
        let right = self.passwords.matches(&login.password, credentials).await.map_err(UserError::from)?;
        let Some(account) = account.filter(|_| right) else {
            return Err(LoginError::WrongCredentials);
        };
        self.open_session(account).await
    }

    async fn open_session(&self, account: Account) -> Result<Grant, LoginError> {
        let Account { user, credentials } = account;
        // A session belongs to an account in the store; who still waits in the intake is brought there first.
        self.settle(user.id).await?;
        let (token, now) = (RefreshToken::mint(), self.clock.now());
        let session = Session::new(SessionId::new(self.ids.next()), user.id, &token, now, &self.sessions);
        match self.store.open_session(&session, &credentials, self.sessions.most).await {
            Ok(bearer) => Ok(self.grant(session.id, bearer, token)?),
            // Erased or given another password while this one was compared: then it is not right any more.
            Err(UserStoreError::NotFound | UserStoreError::Stale { .. }) => Err(LoginError::WrongCredentials),
            Err(error) => Err(UserError::from(error).into()),
        }
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
