use std::time::Duration;

use kernel::{Code, Fault, Kind, SessionId};
use secrecy::SecretString;

use super::{App, UserError};
use crate::domain::{ACCESS_TOKEN_LIFE, Account, Email, User};

/// Somebody says who they are.
pub struct Login {
    /// The address, as it was typed.
    pub email: String,
    /// The password, as it was typed.
    pub password: SecretString,
}

/// A login.
pub struct Session {
    /// The signed access token.
    pub access_token: String,
    /// How long it holds.
    pub life: Duration,
    /// Who logged in.
    pub user: User,
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
    /// Logs somebody in. An unknown e-mail costs the same work as a wrong password and gets the same answer.
    ///
    /// # Errors
    /// `wrong_credentials`; `busy` where too many log in at this moment.
    pub async fn log_in(&self, login: Login) -> Result<Session, LoginError> {
        let account = match Email::parse(&login.email) {
            Ok(email) => self.account_of(&email).await?,
            Err(_) => None,
        };
        let credentials = account.as_ref().map(|account| &account.credentials);
        let right = self.passwords.matches(&login.password, credentials).await.map_err(UserError::from)?;
        let Some(Account { user, .. }) = account.filter(|_| right) else {
            return Err(LoginError::WrongCredentials);
        };
        // Somebody who is still in the intake has not consented to anything yet.
        let consent = self.store.consent(user.id).await.map_err(UserError::from)?.unwrap_or_default();
        let session = SessionId::new(self.ids.next());
        let access_token = self.tokens.sign(&user, &consent, session, self.clock.now()).map_err(stored)?;
        Ok(Session { access_token, life: ACCESS_TOKEN_LIFE, user })
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

fn stored(failure: chassis::StoreFailure) -> UserError {
    UserError::Store(failure.into())
}
