use kernel::Role;

use super::{App, UserError};
use crate::domain::{Account, Email, Name, Password};
use crate::ports::InsertOutcome;

/// The command to create the first admin, from the configuration.
pub struct FirstAdmin {
    /// The address to log in with.
    pub email: Email,
    /// The password.
    pub password: Password,
}

impl App {
    /// Creates the first admin if there is no admin. Returns whether it was created.
    ///
    /// An existing account with this e-mail does not become an admin, because a stranger may have registered
    /// it.
    ///
    /// # Errors
    /// `email_taken` if there is no admin and the e-mail belongs to another account.
    pub async fn ensure_first_admin(&self, command: FirstAdmin) -> Result<bool, UserError> {
        // This check saves a hash at every start. The check inside the insert is the one that counts.
        if self.store.has_admin().await? {
            return Ok(false);
        }
        let credentials = self.passwords.hash(&command.password).await?;
        let name = Name::parse("Admin").map_err(|invalid| UserError::field(invalid.at("/name")))?;
        let id = self.new_user_id();
        let account = Account::new(id, name, command.email, Role::Admin, credentials, self.clock.now());
        let reservation = self.reserve(&account.user.email, id).await?;
        let outcome = self.store.insert_first_admin(&account).await;
        self.release(&reservation).await;
        Ok(outcome? == InsertOutcome::Stored)
    }
}
