use kernel::{Expected, FieldFault, Identity, UserId, Version};
use secrecy::SecretString;

use super::{App, LEASE, UserError};
use crate::domain::{Account, Change, Credentials, Email, Password, User, Wish};
use crate::ports::{IntakeError, UserStoreError};

/// Somebody wants another password.
pub struct NewPassword {
    /// Who, and in which session.
    pub by: Identity,
    /// The password that holds now, as it was typed.
    pub current: SecretString,
    /// The other one.
    pub password: Password,
}

/// Somebody wants an account to be different.
pub struct Update {
    /// Who says so.
    pub by: Identity,
    /// Which account.
    pub id: UserId,
    /// The version that they have seen.
    pub expected: Expected,
    /// What they want.
    pub wish: Wish,
    /// The password that holds now. The owner needs it to change what it takes to log in, so that a found access token is
    /// not enough to take an account over; an admin, who can't know it, does not.
    pub current_password: Option<SecretString>,
}

impl App {
    /// Changes the password of whoever asks. Their other sessions end.
    ///
    /// # Errors
    /// `wrong_password`, `too_many_attempts`, `busy`.
    pub async fn change_password(&self, wish: NewPassword) -> Result<(), UserError> {
        let update = Update {
            id: wish.by.user,
            by: wish.by,
            expected: Expected::Any,
            wish: Wish { password: Some(wish.password), ..Wish::default() },
            current_password: Some(wish.current),
        };
        match self.update(update).await {
            Ok(_) => Ok(()),
            // Any version would do, so it is the password that has changed since it was proven.
            Err(UserError::Store(UserStoreError::Stale { .. })) => Err(UserError::WrongPassword),
            Err(error) => Err(error),
        }
    }

    /// Changes an account: the store first, then the cache. An empty wish changes nothing and makes no version. With a new password all sessions end but the one of an owner who changes
    /// it.
    ///
    /// # Errors
    /// `not_found`, `stale_version`, `email_taken`, `wrong_password`, `invalid` where the current password is needed and
    /// missing, `too_many_attempts`, `busy`.
    pub async fn update(&self, update: Update) -> Result<User, UserError> {
        // What still waits would be stored after this change and undo it.
        self.settle(update.id).await?;
        let account = self.store.account(update.id).await?.ok_or(UserStoreError::NotFound)?;
        let current = account.user.version;
        if !update.expected.admits(current) {
            return Err(UserStoreError::Stale { current }.into());
        }
        if update.wish.is_empty() {
            return Ok(account.user);
        }
        let Wish { name, email, password } = &update.wish;
        let mut change = Change { name: name.clone(), email: email.clone(), ..Change::default() };
        if update.by.user == update.id {
            change.keeps = Some(update.by.session);
            if update.wish.is_sensitive(&account.user) {
                change.proven = Some(self.proven(&account, update.current_password.as_ref()).await?);
            }
        }
        if let Some(password) = password {
            change.credentials = Some(self.passwords.hash(password).await?);
        }
        let new_email = email.as_ref().filter(|email| **email != account.user.email);
        let mut outcome = self.store_change(&update, &change, new_email).await;
        if change.proven.is_some() && is_stale_at(&outcome, current) {
            // Nobody has changed the account: a login has hashed the same password anew.
            let account = self.store.account(update.id).await?.ok_or(UserStoreError::NotFound)?;
            if account.user.version == current {
                change.proven = Some(account.credentials);
                outcome = self.store_change(&update, &change, new_email).await;
            }
        }
        self.told(update.id, outcome).await
    }

    async fn store_change(
        &self,
        update: &Update,
        change: &Change,
        new_email: Option<&Email>,
    ) -> Result<User, UserError> {
        match new_email {
            Some(email) => self.store_with_email(update, change, email).await,
            None => Ok(self.store.update(update.id, &update.expected, change).await?),
        }
    }

    /// Changes an account while nobody can register with its new e-mail.
    ///
    /// The store can't see the lease, so the change is given half of its time: whoever reserves the e-mail next finds this
    /// change either done or given up.
    async fn store_with_email(
        &self,
        update: &Update,
        change: &Change,
        email: &Email,
    ) -> Result<User, UserError> {
        // The reservation belongs to this change, not to the account: two changes of one account are rivals.
        let reservation = self.reserve(email, self.new_user_id()).await?;
        let storing = self.store.update(update.id, &update.expected, change);
        let outcome = tokio::time::timeout(LEASE / 2, storing).await;
        self.release(&reservation).await;
        Ok(outcome.map_err(|_| IntakeError::LeaseLost)??)
    }

    /// The credentials of an account, after comparing the password that was typed with them.
    pub(super) async fn proven(
        &self,
        account: &Account,
        typed: Option<&SecretString>,
    ) -> Result<Credentials, UserError> {
        let Some(typed) = typed else {
            let fault =
                FieldFault::new("/current_password", "required", "a new e-mail or password asks for it");
            return Err(UserError::field(fault));
        };
        self.admit_proof(account.user.id).await?;
        if self.passwords.matches(typed, &account.credentials).await? {
            Ok(account.credentials.clone())
        } else {
            Err(UserError::WrongPassword)
        }
    }
}

/// Whether a change was refused as stale although the account has the version that it had.
fn is_stale_at(outcome: &Result<User, UserError>, seen: Version) -> bool {
    matches!(outcome, Err(UserError::Store(UserStoreError::Stale { current })) if *current == seen)
}
