use std::time::Duration;

use async_trait::async_trait;
use chassis::StoreFailure;
use kernel::{Timestamp, UserId};

use crate::domain::User;

/// A cache of lookups by id. It may lose everything at any time: an absent or failing cache is a miss, never
/// an error, and its entries expire.
///
/// * An unknown id is a miss.
/// * A cached account is found unchanged.
/// * Of two versions the newer stays, in whichever order they are put.
/// * A forgotten account is not found, and a late put does not bring it back.
///
/// It also counts attempts, for all replicas together; without it each replica counts for itself.
#[async_trait]
pub trait UserCache: Send + Sync + 'static {
    /// Returns the account if it is cached.
    async fn get(&self, id: UserId) -> Option<User>;

    /// Caches an account, unless a newer version is cached or the account was forgotten.
    async fn put(&self, user: &User);

    /// Forgets an account, and refuses every version of it that is put later. It is called after an erasure,
    /// and after a change whose outcome is unknown. The next lookup asks the store.
    async fn forget(&self, id: UserId);

    /// Counts one more in a bucket. The window of a bucket begins with its first count.
    ///
    /// * Counts in one bucket are exact, even when many are made at the same time.
    /// * Buckets are counted separately.
    /// * A bucket whose window has ended begins again at 1.
    async fn count(&self, bucket: &str, window: Duration, now: Timestamp) -> Count;

    /// Returns the count of a bucket in its current window.
    ///
    /// * Reading a bucket counts nothing, and a bucket whose window has ended has the count 0.
    async fn current_count(&self, bucket: &str, window: Duration, now: Timestamp) -> u64;

    /// Checks that the cache answers.
    async fn ping(&self) -> Result<(), StoreFailure>;
}

/// A count in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The number of counts in this window, this one included.
    pub times: u64,
    /// The rest of the window: more than zero, and at most the whole window.
    pub left: Duration,
}
