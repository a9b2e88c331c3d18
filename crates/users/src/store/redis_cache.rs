//! The cache of lookups in a Redis server, shared by the replicas of this service. The server may lose everything at any time.
//!
//! Nobody waits for it: what is not answered at once is a miss, and after a few misses of that kind it is not asked for a while.
//! A change that could not be told to it is not read from it here; in another replica the older account may be seen until it has
//! aged out. What has to be counted is counted by each replica for itself meanwhile.

use std::time::Duration;

use async_trait::async_trait;
use chassis::{Breaker, BreakerSettings, StoreFailure};
use kernel::{Timestamp, UserId};
use moka::sync::Cache;
use redis::{Script, cmd};

use super::counts::{self, Counts};
use super::record;
use super::redis::Redis;
use crate::domain::User;
use crate::ports::{Count, UserCache};

/// The most changes that could not be told and are remembered.
const UNTOLD: u64 = 100_000;

/// The cache in one Redis server.
pub struct RedisUserCache {
    redis: Redis,
    put: Script,
    forget: Script,
    count: Script,
    breaker: Breaker,
    /// Whose last change the server may not have.
    untold: Cache<UserId, ()>,
    /// What is counted while the server does not answer.
    counts: Counts,
    life: Duration,
    patience: Duration,
}

impl RedisUserCache {
    /// A cache in the server that `url` names; connects when it is first used. Each account is held for as long as `life`, and
    /// nobody waits longer than `patience`.
    ///
    /// # Errors
    /// Where the URL can't be read.
    pub fn new(url: &str, life: Duration, patience: Duration) -> Result<Self, StoreFailure> {
        Ok(Self {
            // Half of it for an answer: a silent connection is noticed before the caller gives up, and replaced.
            redis: Redis::new(url, patience / 2)?,
            put: Script::new(include_str!("../../../../db/users/cache/redis/put.lua")),
            forget: Script::new(include_str!("../../../../db/users/cache/redis/forget.lua")),
            count: Script::new(include_str!("../../../../db/users/cache/redis/count.lua")),
            breaker: Breaker::new("users.cache", BreakerSettings::default()),
            untold: Cache::builder().max_capacity(UNTOLD).time_to_live(life).build(),
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

    /// The server's answer, if there is one in time.
    async fn guarded<T>(&self, work: impl Future<Output = Result<T, StoreFailure>>) -> Option<T> {
        let work = async {
            let late = |_| StoreFailure::Unavailable("no answer in time".into());
            tokio::time::timeout(self.patience, work).await.map_err(late)?
        };
        match self.breaker.call(work).await {
            Ok(answer) => Some(answer),
            Err(broken) => {
                tracing::debug!(cause = chassis::causes(&broken), "the cache was passed by");
                None
            }
        }
    }

    async fn tell(&self, id: UserId, script: &redis::ScriptInvocation<'_>) {
        if self.guarded(self.redis.run::<()>(script)).await.is_none() {
            self.untold.insert(id, ());
        }
    }
}

#[async_trait]
impl UserCache for RedisUserCache {
    async fn get(&self, id: UserId) -> Option<User> {
        if self.untold.contains_key(&id) {
            return None;
        }
        let mut ask = cmd("HGET");
        ask.arg(self.key(id)).arg("user");
        let record: Option<String> = self.guarded(self.redis.ask(&ask)).await?;
        // What a newer or older version of this program wrote may be unreadable here: a miss.
        record::decode_user(&record?).ok()
    }

    async fn put(&self, user: &User) {
        let Ok(record) = record::encode_user(user) else { return };
        let mut script = self.put.key(self.key(user.id));
        self.tell(user.id, script.arg(user.version.number()).arg(record).arg(self.life())).await;
    }

    async fn forget(&self, id: UserId) {
        let mut script = self.forget.key(self.key(id));
        self.tell(id, script.arg(self.life())).await;
    }

    async fn count(&self, bucket: &str, window: Duration, now: Timestamp) -> Count {
        let mut script = self.count.key(self.redis.key(format_args!("count:{bucket}")));
        let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let asked = self.redis.run::<(u64, i64)>(script.arg(now.millis()).arg(millis));
        match self.guarded(asked).await {
            Some((times, begun)) => counts::count(times, Timestamp::from_millis(begun), window, now),
            None => self.counts.count(bucket, window, now),
        }
    }

    async fn counted(&self, bucket: &str, window: Duration, now: Timestamp) -> u64 {
        let mut ask = cmd("HMGET");
        ask.arg(self.redis.key(format_args!("count:{bucket}"))).arg("times").arg("begun");
        match self.guarded(self.redis.ask::<(Option<u64>, Option<i64>)>(&ask)).await {
            Some((Some(times), Some(begun))) => {
                counts::running(times, Timestamp::from_millis(begun), window, now)
            }
            Some(_) => 0,
            None => self.counts.counted(bucket, window, now),
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
    async fn a_server_that_never_answers_costs_the_patience_a_few_times_and_then_nothing() {
        // It accepts, and that is all.
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
            cache.untold.contains_key(&account.user.id),
            "an account that may be stale there is not read there"
        );
        for number in 2..1000 {
            assert_eq!(cache.get(UserId::new(Uuid::from_u128(number))).await, None);
        }
        assert!(cache.breaker.is_open());
        assert!(begun.elapsed() < Duration::from_secs(5), "asking it a thousand times would have taken 20 s");
    }
}
