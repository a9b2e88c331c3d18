use super::{App, UserError};
use crate::domain::{Account, Email, User};

impl App {
    /// Returns the account of this e-mail, if there is one. It is for operators, who have access to the
    /// stores. No route calls it, because its answer would reveal which people have an account.
    pub async fn find_by_email(&self, email: &Email) -> Result<Option<User>, UserError> {
        Ok(self.find_account(email).await?.map(|account| account.user))
    }

    /// Returns the account of this e-mail with its credentials. The intake is asked first: in the other
    /// order, an account could move from the intake to the store between the two lookups and be found in
    /// neither.
    pub(super) async fn find_account(&self, email: &Email) -> Result<Option<Account>, UserError> {
        match self.intake.by_email(email).await? {
            Some(account) => Ok(Some(account)),
            None => Ok(self.store.account_by_email(email).await?),
        }
    }
}
