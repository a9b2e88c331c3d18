use kernel::{Expected, FieldFault, Identity, UserId, Version};
use secrecy::SecretString;

use super::{App, LEASE, UserError};
use crate::domain::{Account, AccountChange, AccountPatch, Credentials, Email, Origin, Password, User};
use crate::ports::{IntakeError, UserStoreError};

/// The command to change the password of one's own account.
pub struct ChangePassword {
    /// The caller, with the session.
    pub by: Identity,
    /// The origin of the request, for the audit.
    pub origin: Origin,
    /// The current password, as it was typed.
    pub current: SecretString,
    /// The new password.
    pub password: Password,
}

/// The command to change an account.
pub struct UpdateUser {
    /// The caller.
    pub by: Identity,
    /// The account.
    pub id: UserId,
    /// The version that the caller has seen.
    pub expected: Expected,
    /// The origin of the request, for the audit.
    pub origin: Origin,
    /// The requested changes.
    pub patch: AccountPatch,
    /// The current password. The owner needs it for a new e-mail or password, so that a stolen access token
    /// is not enough to take over an account. An admin, who can't know it, does not need it.
    pub current_password: Option<SecretString>,
}

impl App {
    /// Changes the password of the caller, and ends the caller's other sessions.
    ///
    /// # Errors
    /// `wrong_password`, `too_many_attempts`, `busy`.
    pub async fn change_password(&self, command: ChangePassword) -> Result<(), UserError> {
        let update = UpdateUser {
            id: command.by.user,
            by: command.by,
            origin: command.origin,
            expected: Expected::Any,
            patch: AccountPatch { password: Some(command.password), ..AccountPatch::default() },
            current_password: Some(command.current),
        };
        match self.update(update).await {
            Ok(_) => Ok(()),
            // Any version is accepted, so the password must have changed since it was proven.
            Err(UserError::Store(UserStoreError::Stale { .. })) => Err(UserError::WrongPassword),
            Err(error) => Err(error),
        }
    }

    /// Changes an account: the store first, then the cache. An empty patch changes nothing and makes no
    /// version. A new password ends all sessions, except the caller's if the caller is the owner.
    ///
    /// # Errors
    /// `not_found`, `stale_version`, `email_taken`, `wrong_password`, `invalid` if the current password is
    /// needed and missing, `too_many_attempts`, `busy`.
    pub async fn update(&self, update: UpdateUser) -> Result<User, UserError> {
        // A waiting registration would be stored after this change and undo it.
        self.settle(update.id).await?;
        let account = self.store.account(update.id).await?.ok_or(UserStoreError::NotFound)?;
        let current = account.user.version;
        if !update.expected.admits(current) {
            return Err(UserStoreError::Stale { current }.into());
        }
        if update.patch.is_empty() {
            return Ok(account.user);
        }
        let AccountPatch { name, email, password } = &update.patch;
        let mut change =
            AccountChange { name: name.clone(), email: email.clone(), ..AccountChange::default() };
        if update.by.user == update.id {
            change.keeps = Some(update.by.session);
            if update.patch.is_sensitive(&account.user) {
                change.proven = Some(self.prove_password(&account, update.current_password.as_ref()).await?);
            }
        }
        if let Some(password) = password {
            change.credentials = Some(self.passwords.hash(password).await?);
        }
        let new_email = email.as_ref().filter(|email| **email != account.user.email);
        let mut outcome = self.store_change(&update, &change, new_email).await;
        if change.proven.is_some() && is_stale_at(&outcome, current) {
            // The version is the same: a login has hashed the same password again.
            let account = self.store.account(update.id).await?.ok_or(UserStoreError::NotFound)?;
            if account.user.version == current {
                change.proven = Some(account.credentials);
                outcome = self.store_change(&update, &change, new_email).await;
            }
        }
        self.update_cache(update.id, outcome).await
    }

    async fn store_change(
        &self,
        update: &UpdateUser,
        change: &AccountChange,
        new_email: Option<&Email>,
    ) -> Result<User, UserError> {
        match new_email {
            Some(email) => self.store_with_email(update, change, email).await,
            None => Ok(self.store.update(update.id, &update.expected, change, &update.origin).await?),
        }
    }

    /// Changes an account while its new e-mail is reserved.
    ///
    /// The store can't see the lease, so the change gets half of its time: when the e-mail can be reserved
    /// again, this change is either stored or given up.
    async fn store_with_email(
        &self,
        update: &UpdateUser,
        change: &AccountChange,
        email: &Email,
    ) -> Result<User, UserError> {
        // The reservation belongs to this change, not to the account: two changes of one account are rivals.
        let reservation = self.reserve(email, self.new_user_id()).await?;
        let storing = self.store.update(update.id, &update.expected, change, &update.origin);
        let outcome = tokio::time::timeout(LEASE / 2, storing).await;
        self.release(&reservation).await;
        Ok(outcome.map_err(|_| IntakeError::LeaseLost)??)
    }

    /// Returns the credentials of an account, if the typed password matches them.
    pub(super) async fn prove_password(
        &self,
        account: &Account,
        typed: Option<&SecretString>,
    ) -> Result<Credentials, UserError> {
        let Some(typed) = typed else {
            let fault =
                FieldFault::new("/current_password", "required", "is required for a new e-mail or password");
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

/// Says whether a change was refused as stale although the account still has the version `seen`.
fn is_stale_at(outcome: &Result<User, UserError>, seen: Version) -> bool {
    matches!(outcome, Err(UserError::Store(UserStoreError::Stale { current })) if *current == seen)
}
