use kernel::Role;

use super::{App, UserError};
use crate::domain::{Account, Email, Name, Password, User};
use crate::ports::{Inserted, IntakeError};

/// An operator wants one more admin.
pub struct CreateAdmin {
    /// The display name.
    pub name: Name,
    /// The address to log in with.
    pub email: Email,
    /// The password.
    pub password: Password,
}

impl App {
    /// The account of this address, if there is one. For operators, who hold the stores; no route asks this, for its answer would
    /// tell who has an account.
    pub async fn find_by_email(&self, email: &Email) -> Result<Option<User>, UserError> {
        Ok(self.account_of(email).await?.map(|account| account.user))
    }

    /// Makes an account that is an admin from its first version on: a crash leaves all of it or nothing, never an account of
    /// another role. There is no route to this: whoever calls it holds the stores.
    ///
    /// # Errors
    /// `email_taken`: whoever has the account already does not become an admin by it.
    pub async fn create_admin(&self, wish: CreateAdmin) -> Result<User, UserError> {
        if self.account_of(&wish.email).await?.is_some() {
            return Err(IntakeError::EmailTaken.into());
        }
        let credentials = self.passwords.hash(&wish.password).await?;
        let id = self.new_user_id();
        let account = Account::new(id, wish.name, wish.email, Role::Admin, credentials, self.clock.now());
        let reservation = self.reserve(&account.user.email, id).await?;
        let stored = self.store.insert(&account).await;
        self.release(&reservation).await;
        match stored? {
            Inserted::Stored => Ok(account.user),
            _ => Err(IntakeError::EmailTaken.into()),
        }
    }
}
