use std::collections::HashMap;

use kernel::UserId;

use super::{App, UserError};
use crate::domain::User;
use crate::ports::UserStoreError;

impl App {
    /// Returns the account of this id, from the cache, the intake or the store, in this order. An account
    /// moves from the intake to the store, so the other order could miss it in both.
    ///
    /// # Errors
    /// `not_found`, also for an erased account.
    pub async fn get(&self, id: UserId) -> Result<User, UserError> {
        self.find(id).await?.ok_or(UserError::Store(UserStoreError::NotFound))
    }

    /// Returns the accounts of these ids, in this order. Ids without an account are left out.
    pub async fn get_many(&self, ids: &[UserId]) -> Result<Vec<User>, UserError> {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        for id in ids {
            match self.find_waiting(*id).await? {
                Some(user) => drop(found.insert(*id, user)),
                None => missing.push(*id),
            }
        }
        if !missing.is_empty() {
            for user in self.store.by_ids(&missing).await? {
                self.cache.put(&user).await;
                found.insert(user.id, user);
            }
        }
        Ok(ids.iter().filter_map(|id| found.get(id).cloned()).collect())
    }

    pub(super) async fn find(&self, id: UserId) -> Result<Option<User>, UserError> {
        if let Some(user) = self.find_waiting(id).await? {
            return Ok(Some(user));
        }
        let stored = self.store.by_id(id).await?;
        if let Some(user) = &stored {
            self.cache.put(user).await;
        }
        Ok(stored)
    }

    async fn find_waiting(&self, id: UserId) -> Result<Option<User>, UserError> {
        if let Some(user) = self.cache.get(id).await {
            return Ok(Some(user));
        }
        // A waiting account is not cached: it is about to move to the store.
        Ok(self.intake.by_id(id).await?.map(|account| account.user))
    }
}
