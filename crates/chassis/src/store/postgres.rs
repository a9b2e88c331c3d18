//! PostgreSQL: one pool for each store, a limit for every wait, and no loss of acknowledged data.

use std::time::Duration;

use kernel::Timestamp;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::types::time::OffsetDateTime;
use sqlx::{ConnectOptions, Connection, PgPool, Postgres, Transaction};

use super::failure::StoreFailure;
use super::pool::pool_options;
use crate::observe::metrics::{Pool, WatchedPool, watch_pool};
use crate::observe::slow_ones_only;

/// The most connections of a service. Two replicas of five services fit into the default of a server, which
/// is 100.
const CONNECTIONS: u32 = 10;
/// The longest wait for a connection before the store counts as unavailable. It is shorter than the budget of
/// any request, so that the caller gets an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// A connection that was used within this time is not tested. The restart of a server takes longer.
const RECENT: Duration = Duration::from_millis(100);
/// A connection that was idle for longer is closed and not used again: routers forget silent connections.
const IDLE: Duration = Duration::from_secs(600);
/// A connection that is older is closed when it is returned, so that a server that has moved is found again.
const LIFETIME: Duration = Duration::from_secs(1800);
/// The longest time of a statement. A statement that takes longer is a defect, and its caller has given up.
const STATEMENT: Duration = Duration::from_secs(5);
/// The longest wait of a statement for a lock.
const LOCK: Duration = Duration::from_secs(3);
/// The longest idle time of a transaction. It is longer than the bus takes to confirm a batch, for which a
/// relay holds its rows, and short enough that a frozen process does not block the others.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(15);

/// A PostgreSQL database of one service, shared by its replicas.
///
/// Idle connections are tested before use. So a restart of the server fails the calls that are in progress,
/// and none after it answers again. `synchronous_commit` is on, whatever the default of the server is: a
/// commit survives a power cut. Every wait has a limit: for connections, statements, locks and idle
/// transactions. With [`crate::in_time`] a call ends even if the network is silent.
#[derive(Clone)]
pub struct Database {
    pool: PgPool,
    _watched: WatchedPool,
}

impl Database {
    /// Connects to a database, such as `postgres://user:password@host:5432/users`, and migrates its tables.
    /// Replicas that start together wait for each other. `service` is the name that the server shows for the
    /// connections. For TLS, add `?sslmode=verify-full&sslrootcert=FILE` to the URL.
    ///
    /// # Errors
    /// [`StoreFailure::Unavailable`] if the server does not answer, and [`StoreFailure::Broken`] if the URL
    /// or the password is wrong or a migration fails. Neither contains the password.
    pub async fn open(url: &str, service: &str, migrator: &Migrator) -> Result<Self, StoreFailure> {
        // The parser's own message may quote the URL.
        let options: PgConnectOptions =
            url.parse().map_err(|_| StoreFailure::broken("the address is not a postgres: URL"))?;
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
                // The test of the pool itself has no limit here. Behind a silent network the pool would lose
                // the slot of the connection for ever.
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

    /// Returns the pool, for single statements.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Probes whether the server answers.
    pub async fn ping(&self) -> Result<(), StoreFailure> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Probes whether the server takes writes, by a byte in its log. A standby refuses it, and so does a
    /// server without space. No table is touched.
    pub async fn try_write(&self) -> Result<(), StoreFailure> {
        sqlx::query("select pg_logical_emit_message(true, 'health', '0')").execute(&self.pool).await?;
        Ok(())
    }

    /// Waits for work in progress, five seconds at most, and closes every connection.
    pub async fn close(&self) {
        if tokio::time::timeout(STATEMENT, self.pool.close()).await.is_err() {
            tracing::warn!("some connections to the database were still in use at the end");
        }
    }
}

/// Runs the migrations on a separate connection without the limits. A migration that rewrites a table takes
/// long, and a replica that starts meanwhile waits at the lock of the migrator.
async fn migrate(options: &PgConnectOptions, migrator: &Migrator) -> Result<(), StoreFailure> {
    let connected = tokio::time::timeout(STATEMENT, options.connect()).await;
    let mut connection =
        connected.map_err(|_| StoreFailure::Unavailable("no answer while connecting".into()))??;
    migrator.run(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Converts a time to `timestamptz`. Times beyond the year 9999 become the last one that fits.
pub fn timestamptz(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.millis()) * 1_000_000)
        .unwrap_or(time::macros::datetime!(9999-12-31 23:59:59.999 UTC))
}

/// Converts a time from `timestamptz`, in milliseconds.
pub fn timestamp(time: OffsetDateTime) -> Timestamp {
    let millis = time.unix_timestamp_nanos().div_euclid(1_000_000);
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_the_conversion_to_the_database_and_back() {
        for millis in [0, 1, -1, 1_763_700_000_123] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(timestamp(timestamptz(time)), time);
        }
    }

    #[tokio::test]
    async fn an_invalid_address_is_refused_without_its_password() {
        let none = Migrator::with_migrations(Vec::new());
        let refused = Database::open("postgres://a:s3cret@[", "test", &none).await;
        let failure = refused.err().expect("it is refused");
        assert!(matches!(failure, StoreFailure::Broken(_)));
        assert!(!format!("{failure:?} {}", crate::causes(&failure)).contains("s3cret"));
    }

    #[tokio::test]
    async fn a_missing_server_is_unavailable() {
        let none = Migrator::with_migrations(Vec::new());
        let refused = Database::open("postgres://a:b@127.0.0.1:1/c", "test", &none).await;
        assert!(matches!(refused, Err(StoreFailure::Unavailable(_))));
    }
}
