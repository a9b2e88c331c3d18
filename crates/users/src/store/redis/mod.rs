//! The adapters for Redis, and the connection that they share. It is opened when it is first needed, used by
//! many tasks, and dropped after an error that makes it unreliable.

mod cache;
mod intake;

use std::time::Duration;

use chassis::StoreFailure;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError, ScriptInvocation,
    ServerErrorKind,
};
use tokio::sync::Mutex;

pub use cache::RedisUserCache;
pub use intake::RedisIntake;

/// The prefix of every key, unless the URL names another one. The login of a service may only touch keys with
/// its own name.
const PREFIX: &str = "users:";

/// A Redis server, with the prefix of the keys that belong to one adapter.
pub struct Redis {
    client: Client,
    config: AsyncConnectionConfig,
    prefix: String,
    connection: Mutex<Shared>,
}

/// The connection and its number: a task that finds it broken must not drop its successor.
#[derive(Default)]
struct Shared {
    number: u64,
    connection: Option<MultiplexedConnection>,
}

impl Redis {
    /// Reads `redis://user:password@host:6379/0?prefix=users:`, without connecting yet. Connecting and each
    /// answer may take at most `patience`.
    ///
    /// # Errors
    /// If the URL can't be read. The error does not quote it, because it may contain a password.
    pub fn new(url: &str, patience: Duration) -> Result<Self, StoreFailure> {
        let refused = || StoreFailure::broken("the address is not a valid redis:// URL");
        let parsed = redis::parse_redis_url(url).ok_or_else(refused)?;
        let prefix = parsed.query_pairs().find(|(name, _)| name == "prefix");
        let prefix = prefix.map_or_else(|| PREFIX.to_owned(), |(_, prefix)| prefix.into_owned());
        let client = Client::open(parsed).map_err(|_| refused())?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience));
        Ok(Self { client, config, prefix, connection: Mutex::default() })
    }

    /// Returns the key of this name, with the prefix.
    pub fn key(&self, name: impl std::fmt::Display) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Runs a command that changes nothing. If the idle connection had died, the command is sent again on a
    /// new one.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreFailure> {
        for _ in 0..2 {
            let (number, mut connection) = self.connect().await?;
            match command.query_async(&mut connection).await {
                Ok(reply) => return Ok(reply),
                Err(error) => {
                    self.distrust(number, &error).await;
                    if !error.is_connection_dropped() {
                        return Err(failure(error));
                    }
                }
            }
        }
        Err(StoreFailure::Unavailable("the connection was lost twice".into()))
    }

    /// Runs a script, at most once: if its reply is lost, it is unknown whether the script ran.
    pub async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, StoreFailure> {
        let (number, mut connection) = self.connect().await?;
        let outcome = script.invoke_async(&mut connection).await;
        if let Err(error) = &outcome {
            self.distrust(number, error).await;
        }
        outcome.map_err(failure)
    }

    async fn connect(&self) -> Result<(u64, MultiplexedConnection), StoreFailure> {
        let mut shared = self.connection.lock().await;
        let connection = match &shared.connection {
            Some(connection) => connection.clone(),
            None => {
                let connected = self.client.get_multiplexed_async_connection_with_config(&self.config).await;
                let connection = connected.map_err(failure)?;
                *shared = Shared { number: shared.number + 1, connection: Some(connection.clone()) };
                connection
            }
        };
        Ok((shared.number, connection))
    }

    /// Drops a connection that failed or did not answer. Other tasks finish their work on it.
    async fn distrust(&self, number: u64, error: &RedisError) {
        if error.is_io_error() || error.is_unrecoverable_error() {
            let mut shared = self.connection.lock().await;
            if shared.number == number {
                shared.connection = None;
            }
        }
    }

    /// Drops the connection.
    pub async fn close(&self) {
        self.connection.lock().await.connection = None;
    }
}

/// Classifies an error by its code. The server is unavailable if it refuses for now; all other errors need an
/// operator.
fn failure(error: RedisError) -> StoreFailure {
    let is_unavailable = match error.kind() {
        ErrorKind::Io => true,
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly,
        ) => true,
        // The server is busy with a script, is out of memory, or can't write to its disk.
        _ => matches!(error.code(), Some("BUSY" | "OOM" | "MISCONF" | "NOREPLICAS")),
    };
    if is_unavailable { StoreFailure::Unavailable(error.into()) } else { StoreFailure::Broken(error.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[test]
    fn the_prefix_of_the_keys_is_in_the_url() {
        let key = |url| Redis::new(url, PATIENCE).expect("a URL").key("cache:1");
        assert_eq!(key("redis://127.0.0.1:6379"), "users:cache:1");
        assert_eq!(key("redis://u:p@127.0.0.1:6379/3?prefix=users:test-7:"), "users:test-7:cache:1");
    }

    #[test]
    fn an_address_that_can_not_be_read_is_broken_and_its_password_stays_secret() {
        for url in ["redis://u:geheim@:x", "http://u:geheim@host", "redis://u:geheim@host/geheim"] {
            let failure = Redis::new(url, PATIENCE).err().expect("it is refused");
            assert!(matches!(failure, StoreFailure::Broken(_)));
            assert!(!format!("{failure:?} {}", chassis::causes(&failure)).contains("geheim"));
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_unavailable() {
        let redis = Redis::new("redis://127.0.0.1:1", PATIENCE).expect("a URL");
        let refused = redis.ask::<String>(&redis::cmd("PING")).await;
        assert!(matches!(refused, Err(StoreFailure::Unavailable(_))));
    }
}
