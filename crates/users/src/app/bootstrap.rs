use kernel::Role;

use super::{App, UserError};
use crate::domain::{Account, Email, Name, Password};
use crate::ports::Inserted;

/// The first admin, from the configuration.
pub struct FirstAdmin {
    /// The address to log in with.
    pub email: Email,
    /// The password.
    pub password: Password,
}

impl App {
    /// Makes the first admin, where there is none. The answer is whether it was made now.
    ///
    /// An account that somebody registered with this e-mail does not become an admin: whoever registered it would be.
    ///
    /// # Errors
    /// `email_taken` where there is no admin, and the e-mail belongs to somebody.
    pub async fn ensure_first_admin(&self, wish: FirstAdmin) -> Result<bool, UserError> {
        // Without this look, every start would cost a hash; what counts is the look inside the insert.
        if self.store.has_admin().await? {
            return Ok(false);
        }
        let credentials = self.passwords.hash(&wish.password).await?;
        let name = Name::parse("Admin").map_err(|invalid| UserError::field(invalid.at("/name")))?;
        let id = self.new_user_id();
        let account = Account::new(id, name, wish.email, Role::Admin, credentials, self.clock.now());
        let reservation = self.reserve(&account.user.email, id).await?;
        let made = self.store.insert_first_admin(&account).await;
        self.release(&reservation).await;
        Ok(made? == Inserted::Stored)
    }
}
