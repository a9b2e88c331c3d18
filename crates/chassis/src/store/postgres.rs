//! How every store opens its PostgreSQL database: one pool, nothing waited for without end, nothing acknowledged lost.

use std::time::Duration;

use kernel::Timestamp;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgDatabaseError};
use sqlx::types::time::OffsetDateTime;
use sqlx::{ConnectOptions, Connection, PgPool, Postgres, Transaction};

use super::pool::pool_options;
use crate::StoreFailure;
use crate::metrics::{Pool, WatchedPool, watch_pool};
use crate::observe::slow_ones_only;

/// How many connections a service holds; two replicas of five services fit into a server's default of 100.
const CONNECTIONS: u32 = 10;
/// How long work waits for a connection, or for one to be made, before the store counts as away. Less than the budget of any
/// request, so that the caller hears of it.
const PATIENCE: Duration = Duration::from_secs(1);
/// A connection that was in use so lately is used again as it is: what a server did that was restarted takes longer.
const RECENT: Duration = Duration::from_millis(100);
/// A connection that was idle for longer is closed instead of being used again: routers forget silent connections.
const IDLE: Duration = Duration::from_secs(600);
/// A connection that is older is closed when it is given back, so that a server that has moved is found again.
const LIFETIME: Duration = Duration::from_secs(1800);
/// How long the server works on a statement. What takes longer is a fault, and its caller is gone.
const STATEMENT: Duration = Duration::from_secs(5);
/// How long a statement waits for somebody else's lock.
const LOCK: Duration = Duration::from_secs(3);
/// How long a transaction may do nothing: longer than the bus takes to confirm a batch (a relay holds its rows for as
/// long), and short enough that a frozen process does not keep the others waiting.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(15);

/// True where the driver can read this address.
pub(crate) fn is_address(url: &str) -> bool {
    url.parse::<PgConnectOptions>().is_ok()
}

/// A PostgreSQL database of one service, shared by its replicas.
///
/// Connections that have lain idle are tested before they are used, so a restart of the server costs the callers who are in the middle of
/// something, and nobody after it answers again. `synchronous_commit` is on whatever the server's default is: a commit
/// survives a power cut. Everything waited for has an end: connections, statements, locks, idle transactions; and whoever
/// asks through [`crate::in_time`] is answered even by a network that is silent.
#[derive(Clone)]
pub struct Database {
    pool: PgPool,
    _watched: WatchedPool,
}

impl Database {
    /// Connects to the database that `url` names, as `postgres://user:password@host:5432/users`, and brings its tables up
    /// to date. Replicas that start at once wait for each other at this. `service` is the name that the server shows for
    /// the connections. TLS is `?sslmode=verify-full&sslrootcert=FILE` in the URL.
    ///
    /// # Errors
    /// [`StoreFailure::Unavailable`] where the server does not answer, [`StoreFailure::Broken`] where the URL or the
    /// password is wrong or a migration fails. Neither names the password.
    pub async fn open(url: &str, service: &str, migrator: &Migrator) -> Result<Self, StoreFailure> {
        // The parser's own message may quote the URL.
        let options: PgConnectOptions =
            url.parse().map_err(|_| StoreFailure::broken("the address is no postgres: URL"))?;
        let options =
            slow_ones_only(options).application_name(service).options([("synchronous_commit", "on")]);
        migrate(&options, migrator).await?;
        let milliseconds = |limit: Duration| limit.as_millis().to_string();
        let options = options.options([
            ("statement_timeout", milliseconds(STATEMENT)),
            ("lock_timeout", milliseconds(LOCK)),
            ("idle_in_transaction_session_timeout", milliseconds(IDLE_IN_TRANSACTION)),
        ]);
        let pool = pool_options::<Postgres>(CONNECTIONS, PATIENCE)
            .test_before_acquire(false)
            .before_acquire(|connection, seen| {
                Box::pin(async move {
                    if seen.idle_for < RECENT {
                        return Ok(true);
                    }
                    if seen.idle_for > IDLE {
                        return Ok(false);
                    }
                    let pong = tokio::time::timeout(PATIENCE, connection.ping()).await;
                    Ok(matches!(pong, Ok(Ok(()))))
                })
            })
            .after_release(|connection, seen| {
                // The pool's own test at this place has no end: behind a silent network it would lose the connection's
                // place for good.
                Box::pin(async move {
                    if seen.age > LIFETIME {
                        return Ok(false);
                    }
                    let pong = tokio::time::timeout(PATIENCE, connection.ping()).await;
                    pong.map_err(|_| sqlx::Error::PoolTimedOut)?.map(|()| true)
                })
            })
            .connect_lazy_with(options);
        let seen = pool.clone();
        let watched = watch_pool(format!("{service}:postgres"), move || Pool::of(&seen));
        Ok(Self { pool, _watched: watched })
    }

    /// Begins a transaction (`read committed`); dropping it rolls it back.
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.pool.begin().await
    }

    /// The connections, for single statements.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Asks the server whether it still answers.
    pub async fn ping(&self) -> Result<(), StoreFailure> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Asks whether the server takes writes: a byte in its log, which a standby and a server without room refuse. No table is touched.
    pub async fn try_write(&self) -> Result<(), StoreFailure> {
        sqlx::query("select pg_logical_emit_message(true, 'health', '0')").execute(&self.pool).await?;
        Ok(())
    }

    /// Waits for what is in hand, five seconds at most, and lets go of every connection.
    pub async fn close(&self) {
        if tokio::time::timeout(STATEMENT, self.pool.close()).await.is_err() {
            tracing::warn!("some connections to the database were in use to the end");
        }
    }
}

/// Migrations run on a connection of their own, without the limits: one that rewrites a table takes its time, and a
/// replica that starts meanwhile waits for it at the migrator's lock.
async fn migrate(options: &PgConnectOptions, migrator: &Migrator) -> Result<(), StoreFailure> {
    let connected = tokio::time::timeout(STATEMENT, options.connect()).await;
    let mut connection =
        connected.map_err(|_| StoreFailure::Unavailable("no answer while connecting".into()))??;
    migrator.run(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Whether what the server said may be otherwise later: told by the code, since texts are translated.
pub(crate) fn is_transient(error: &PgDatabaseError) -> bool {
    let code = error.code();
    // Connection trouble; too many connections, no memory, disk full.
    code.starts_with("08")
        || code.starts_with("53")
        || matches!(
            code,
            // Serialization, deadlock, a lock that did not come, a statement over its time.
            "40001" | "40P01" | "55P03" | "57014"
            // Shutdown, crash, starting up, idle too long; a standby that takes no writes.
            | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" | "25006"
        )
}

/// A time as `timestamptz`. Times beyond the year 9999 become the last one that fits.
pub fn timestamptz(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.millis()) * 1_000_000)
        .unwrap_or(time::macros::datetime!(9999-12-31 23:59:59.999 UTC))
}

/// A time from `timestamptz`, in milliseconds.
pub fn timestamp(time: OffsetDateTime) -> Timestamp {
    let millis = time.unix_timestamp_nanos().div_euclid(1_000_000);
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back_from_the_database_as_it_was() {
        for millis in [0, 1, -1, 1_763_700_000_123] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(timestamp(timestamptz(time)), time);
        }
    }

    #[tokio::test]
    async fn an_address_that_is_not_understood_is_broken_and_its_password_is_not_told() {
        let none = Migrator::with_migrations(Vec::new());
        let refused = Database::open("postgres://a:geheim@[", "test", &none).await;
        let failure = refused.err().expect("it is refused");
        assert!(matches!(failure, StoreFailure::Broken(_)));
        assert!(!format!("{failure:?} {}", crate::causes(&failure)).contains("geheim"));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_away() {
        let none = Migrator::with_migrations(Vec::new());
        let refused = Database::open("postgres://a:b@127.0.0.1:1/c", "test", &none).await;
        assert!(matches!(refused, Err(StoreFailure::Unavailable(_))));
    }
}
