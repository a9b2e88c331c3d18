//! The way to a Redis server: one connection that many share, made when it is needed and thrown away when it is not to be
//! trusted any more.

use std::time::Duration;

use chassis::StoreFailure;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError, ScriptInvocation,
    ServerErrorKind,
};
use tokio::sync::Mutex;

/// The prefix of every key, where the URL does not say another one. A service's login may touch keys of its own name only.
const PREFIX: &str = "users:";

/// A server, with the prefix of the keys that belong to whoever opened this.
pub struct Redis {
    client: Client,
    config: AsyncConnectionConfig,
    prefix: String,
    connection: Mutex<Shared>,
}

/// The connection and which one it is: whoever finds it broken must not throw away the next one.
#[derive(Default)]
struct Shared {
    number: u64,
    connection: Option<MultiplexedConnection>,
}

impl Redis {
    /// Reads `redis://user:password@host:6379/0?prefix=users:` and connects to nothing yet. A connection and an answer are
    /// each waited for as long as `patience`.
    ///
    /// # Errors
    /// Where the URL can't be read. What is wrong with it is not told: it may hold a password.
    pub fn new(url: &str, patience: Duration) -> Result<Self, StoreFailure> {
        let refused = || StoreFailure::broken("the address is no redis: URL");
        let parsed = redis::parse_redis_url(url).ok_or_else(refused)?;
        let prefix = parsed.query_pairs().find(|(name, _)| name == "prefix");
        let prefix = prefix.map_or_else(|| PREFIX.to_owned(), |(_, prefix)| prefix.into_owned());
        let client = Client::open(parsed).map_err(|_| refused())?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience));
        Ok(Self { client, config, prefix, connection: Mutex::default() })
    }

    /// A key by its name, under the prefix.
    pub fn key(&self, name: impl std::fmt::Display) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Asks what changes nothing. A connection that had died while nobody used it costs the caller nothing.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreFailure> {
        for _ in 0..2 {
            let (number, mut connection) = self.connect().await?;
            match command.query_async(&mut connection).await {
                Ok(answer) => return Ok(answer),
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

    /// Runs a script, once: whether one that was not answered was done, nobody knows.
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
                let made = self.client.get_multiplexed_async_connection_with_config(&self.config).await;
                let connection = made.map_err(failure)?;
                *shared = Shared { number: shared.number + 1, connection: Some(connection.clone()) };
                connection
            }
        };
        Ok((shared.number, connection))
    }

    /// Lets go of a connection that failed or was silent; work that others have on it goes on.
    async fn distrust(&self, number: u64, error: &RedisError) {
        if error.is_io_error() || error.is_unrecoverable_error() {
            let mut shared = self.connection.lock().await;
            if shared.number == number {
                shared.connection = None;
            }
        }
    }

    /// Lets go of the connection.
    pub async fn close(&self) {
        self.connection.lock().await.connection = None;
    }
}

/// A failure by its code: what the server refuses for the time being is away, everything else is for somebody to look at.
fn failure(error: RedisError) -> StoreFailure {
    let away = match error.kind() {
        ErrorKind::Io => true,
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly,
        ) => true,
        // Busy with a script, out of memory, can't write to its disk.
        _ => matches!(error.code(), Some("BUSY" | "OOM" | "MISCONF" | "NOREPLICAS")),
    };
    if away { StoreFailure::Unavailable(error.into()) } else { StoreFailure::Broken(error.into()) }
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
    fn an_address_that_is_not_understood_is_broken_and_its_password_is_not_told() {
        for url in ["redis://u:geheim@:x", "http://u:geheim@host", "redis://u:geheim@host/geheim"] {
            let failure = Redis::new(url, PATIENCE).err().expect("it is refused");
            assert!(matches!(failure, StoreFailure::Broken(_)));
            assert!(!format!("{failure:?} {}", chassis::causes(&failure)).contains("geheim"));
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_away() {
        let redis = Redis::new("redis://127.0.0.1:1", PATIENCE).expect("a URL");
        let refused = redis.ask::<String>(&redis::cmd("PING")).await;
        assert!(matches!(refused, Err(StoreFailure::Unavailable(_))));
    }
}
