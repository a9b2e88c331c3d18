//! The cache of lookups in the memory of this process.

use std::time::Duration;

use async_trait::async_trait;
use chassis::StoreFailure;
use kernel::{Timestamp, UserId};
use moka::sync::Cache;

use super::counts::Counts;
use crate::domain::User;
use crate::ports::{Count, UserCache};

/// A bounded map with expiry. Capacity and life are the configuration's.
pub struct MemoryUserCache {
    entries: Cache<UserId, Entry>,
    counts: Counts,
}

#[derive(Clone)]
enum Entry {
    Present(User),
    /// Forgotten. It ages out like everything here; by then nobody holds a copy from before.
    Forgotten,
}

impl MemoryUserCache {
    /// A cache of at most `capacity` accounts, each for as long as `life`.
    pub fn new(capacity: u64, life: Duration) -> Self {
        let entries = Cache::builder().max_capacity(capacity).time_to_live(life).build();
        Self { entries, counts: Counts::new() }
    }
}

#[async_trait]
impl UserCache for MemoryUserCache {
    async fn get(&self, id: UserId) -> Option<User> {
        match self.entries.get(&id) {
            Some(Entry::Present(user)) => Some(user),
            Some(Entry::Forgotten) | None => None,
        }
    }

    async fn put(&self, user: &User) {
        self.entries.entry(user.id).and_upsert_with(|there| match there.map(moka::Entry::into_value) {
            Some(Entry::Forgotten) => Entry::Forgotten,
            Some(Entry::Present(newer)) if newer.version >= user.version => Entry::Present(newer),
            _ => Entry::Present(user.clone()),
        });
    }

    async fn forget(&self, id: UserId) {
        self.entries.insert(id, Entry::Forgotten);
    }

    async fn count(&self, bucket: &str, window: Duration, now: Timestamp) -> Count {
        self.counts.count(bucket, window, now)
    }

    async fn counted(&self, bucket: &str, window: Duration, now: Timestamp) -> u64 {
        self.counts.counted(bucket, window, now)
    }

    async fn ping(&self) -> Result<(), StoreFailure> {
        Ok(())
    }
}
