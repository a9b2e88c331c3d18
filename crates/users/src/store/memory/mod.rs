//! The cache of lookups in the memory of this process.

mod counts;

use std::time::Duration;

use async_trait::async_trait;
use chassis::StoreFailure;
use kernel::{Timestamp, UserId};
use moka::sync::Cache;

pub use counts::Counts;
#[cfg(feature = "servers")]
pub use counts::{count_in, times_in};

use crate::domain::User;
use crate::ports::{Count, UserCache};

/// A bounded map whose entries expire. The configuration sets capacity and life.
pub struct MemoryUserCache {
    entries: Cache<UserId, Entry>,
    counts: Counts,
}

#[derive(Clone)]
enum Entry {
    Present(User),
    /// A removed account. This entry expires like all others; by then no task holds an older copy of the
    /// account.
    Forgotten,
}

impl MemoryUserCache {
    /// Creates a cache of at most `capacity` accounts, each of which expires after `life`.
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

    async fn current_count(&self, bucket: &str, window: Duration, now: Timestamp) -> u64 {
        self.counts.current_count(bucket, window, now)
    }

    async fn ping(&self) -> Result<(), StoreFailure> {
        Ok(())
    }
}
