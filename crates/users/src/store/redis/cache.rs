//! The cache of lookups in a Redis server, shared by the replicas of this service. The server may lose
//! everything at any time.
//!
//! No request waits for it: a late answer is a miss, and after a few of them the server is skipped for a
//! while. If a change of an account did not reach the server, this replica does not read that account from
//! it; another replica may see the older account until it expires. While the server is unavailable, each
//! replica counts for itself.

use std::time::Duration;

use async_trait::async_trait;
use chassis::{Breaker, BreakerSettings, StoreFailure};
use kernel::{Timestamp, UserId};
use moka::sync::Cache;
use redis::{Script, cmd};

use super::Redis;
use crate::domain::User;
use crate::ports::{Count, UserCache};
use crate::store::memory::{Counts, count_in, times_in};
use crate::store::record;

/// The most accounts that are remembered because their last change did not reach the server.
const MAX_OUTDATED: u64 = 100_000;

/// The cache in one Redis server.
pub struct RedisUserCache {
    redis: Redis,
    put: Script,
    forget: Script,
    count: Script,
    breaker: Breaker,
    /// The accounts whose last change may be missing on the server.
    outdated: Cache<UserId, ()>,
    /// The counts of this replica while the server does not answer.
    counts: Counts,
    life: Duration,
    patience: Duration,
}

impl RedisUserCache {
    /// Creates a cache on the server that `url` names; it connects when it is first used. Each account
    /// expires after `life`, and no call takes longer than `patience`.
    ///
    /// # Errors
    /// If the URL can't be read.
    pub fn new(url: &str, life: Duration, patience: Duration) -> Result<Self, StoreFailure> {
        Ok(Self {
            // Half of the time for an answer: a silent connection is noticed and replaced before the caller
            // gives up.
            redis: Redis::new(url, patience / 2)?,
            put: Script::new(include_str!("../../../../../db/users/cache/redis/put.lua")),
            forget: Script::new(include_str!("../../../../../db/users/cache/redis/forget.lua")),
            count: Script::new(include_str!("../../../../../db/users/cache/redis/count.lua")),
            breaker: Breaker::new("users.cache", BreakerSettings::default()),
            outdated: Cache::builder().max_capacity(MAX_OUTDATED).time_to_live(life).build(),
            counts: Counts::new(),
            life,
            patience,
        })
    }

    fn key(&self, id: UserId) -> String {
        self.redis.key(format_args!("cache:{}", id.uuid()))
    }

    fn life(&self) -> u64 {
        u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns the result of `work`, unless the server fails or is late.
    async fn try_in_time<T>(&self, work: impl Future<Output = Result<T, StoreFailure>>) -> Option<T> {
        let work = async {
            let late = |_| StoreFailure::Unavailable("no answer in time".into());
            tokio::time::timeout(self.patience, work).await.map_err(late)?
        };
        match self.breaker.call(work).await {
            Ok(answer) => Some(answer),
            Err(broken) => {
                tracing::debug!(cause = chassis::causes(&broken), "the cache was skipped");
                None
            }
        }
    }

    async fn write(&self, id: UserId, script: &redis::ScriptInvocation<'_>) {
        if self.try_in_time(self.redis.run::<()>(script)).await.is_none() {
            self.outdated.insert(id, ());
        }
    }
}

#[async_trait]
impl UserCache for RedisUserCache {
    async fn get(&self, id: UserId) -> Option<User> {
        if self.outdated.contains_key(&id) {
            return None;
        }
        let mut get = cmd("HGET");
        get.arg(self.key(id)).arg("user");
        let record: Option<String> = self.try_in_time(self.redis.ask(&get)).await?;
        // A record of a newer or older version of this program may be unreadable here: then it is a miss.
        record::decode_user(&record?).ok()
    }

    async fn put(&self, user: &User) {
        let Ok(record) = record::encode_user(user) else { return };
        let mut script = self.put.key(self.key(user.id));
        self.write(user.id, script.arg(user.version.number()).arg(record).arg(self.life())).await;
    }

    async fn forget(&self, id: UserId) {
        let mut script = self.forget.key(self.key(id));
        self.write(id, script.arg(self.life())).await;
    }

    async fn count(&self, bucket: &str, window: Duration, now: Timestamp) -> Count {
        let mut script = self.count.key(self.redis.key(format_args!("count:{bucket}")));
        let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let reply = self.redis.run::<(u64, i64)>(script.arg(now.millis()).arg(millis));
        match self.try_in_time(reply).await {
            Some((times, begun)) => count_in(times, Timestamp::from_millis(begun), window, now),
            None => self.counts.count(bucket, window, now),
        }
    }

    async fn current_count(&self, bucket: &str, window: Duration, now: Timestamp) -> u64 {
        let mut get = cmd("HMGET");
        get.arg(self.redis.key(format_args!("count:{bucket}"))).arg("times").arg("begun");
        match self.try_in_time(self.redis.ask::<(Option<u64>, Option<i64>)>(&get)).await {
            Some((Some(times), Some(begun))) => times_in(times, Timestamp::from_millis(begun), window, now),
            Some(_) => 0,
            None => self.counts.current_count(bucket, window, now),
        }
    }

    async fn ping(&self) -> Result<(), StoreFailure> {
        self.redis.ask(&cmd("PING")).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use kernel::{Role, Timestamp};
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Account, Credentials, Email, Name};

    #[tokio::test]
    async fn a_server_that_never_answers_delays_a_few_calls_and_then_none() {
        // A server that accepts connections and never answers.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("redis://{}", silent.local_addr().expect("an address"));
        let patience = Duration::from_millis(20);
        let cache = RedisUserCache::new(&url, Duration::from_secs(60), patience).expect("opens");
        let account = Account::new(
            UserId::new(Uuid::from_u128(1)),
            Name::parse("Ann").expect("a name"),
            Email::parse("ann@example.org").expect("an address"),
            Role::Reader,
            Credentials::from_phc("$argon2id$".to_owned()),
            Timestamp::from_millis(1),
        );
        let begun = Instant::now();
        cache.put(&account.user).await;
        assert!(
            cache.outdated.contains_key(&account.user.id),
            "an account that may be outdated on the server is not read from it"
        );
        for number in 2..1000 {
            assert_eq!(cache.get(UserId::new(Uuid::from_u128(number))).await, None);
        }
        assert!(cache.breaker.is_open());
        assert!(begun.elapsed() < Duration::from_secs(5), "a thousand calls would have taken 20 s");
    }
}
