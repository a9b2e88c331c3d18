//! The cache of lookups in the memory of this process.

use std::time::Duration;

use async_trait::async_trait;
use chassis::StoreFailure;
use kernel::UserId;
use moka::sync::Cache;

use crate::domain::User;
use crate::ports::UserCache;

/// A bounded map with expiry. Capacity and life are the configuration's.
pub struct MemoryUserCache {
    entries: Cache<UserId, Entry>,
}

#[derive(Clone)]
enum Entry {
    Present(User),
    /// Erased. It ages out like everything here; by then nobody holds a copy from before.
    Erased,
}

impl MemoryUserCache {
    /// A cache of at most `capacity` accounts, each for as long as `life`.
    pub fn new(capacity: u64, life: Duration) -> Self {
        Self { entries: Cache::builder().max_capacity(capacity).time_to_live(life).build() }
    }
}

#[async_trait]
impl UserCache for MemoryUserCache {
    async fn get(&self, id: UserId) -> Option<User> {
        match self.entries.get(&id) {
            Some(Entry::Present(user)) => Some(user),
            Some(Entry::Erased) | None => None,
        }
    }

    async fn put(&self, user: &User) {
        self.entries.entry(user.id).and_upsert_with(|there| match there.map(moka::Entry::into_value) {
            Some(Entry::Erased) => Entry::Erased,
            Some(Entry::Present(newer)) if newer.version >= user.version => Entry::Present(newer),
            _ => Entry::Present(user.clone()),
        });
    }

    async fn erase(&self, id: UserId) {
        self.entries.insert(id, Entry::Erased);
    }

    async fn ping(&self) -> Result<(), StoreFailure> {
        Ok(())
    }
}
