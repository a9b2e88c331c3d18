use kernel::Role;

use super::{App, UserError};
use crate::domain::{Account, Email, Name, Password, User};
use crate::ports::{InsertOutcome, IntakeError};

/// The command of an operator to create an admin.
pub struct CreateAdmin {
    /// The display name.
    pub name: Name,
    /// The address to log in with.
    pub email: Email,
    /// The password.
    pub password: Password,
}

impl App {
    /// Creates an account that is an admin from its first version on: a crash leaves all of it or nothing,
    /// never an account with another role. No route calls it: the caller has access to the stores.
    ///
    /// # Errors
    /// `email_taken`: an existing account does not become an admin.
    pub async fn create_admin(&self, command: CreateAdmin) -> Result<User, UserError> {
        if self.find_account(&command.email).await?.is_some() {
            return Err(IntakeError::EmailTaken.into());
        }
        let credentials = self.passwords.hash(&command.password).await?;
        let id = self.new_user_id();
        let account =
            Account::new(id, command.name, command.email, Role::Admin, credentials, self.clock.now());
        let reservation = self.reserve(&account.user.email, id).await?;
        let stored = self.store.insert(&account).await;
        self.release(&reservation).await;
        match stored? {
            InsertOutcome::Stored => Ok(account.user),
            _ => Err(IntakeError::EmailTaken.into()),
        }
    }
}
