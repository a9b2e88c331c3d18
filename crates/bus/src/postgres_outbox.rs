//! The outbox in a service's own PostgreSQL database, shared by the service's replicas.
//!
//! The service copies [`TABLE`] into one of its migrations, calls [`enqueue`] in the transaction of the
//! effect, and calls [`OutboxWake::notify`] after its commit.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::postgres::{Database, timestamp, timestamptz};
use chassis::{StoreFailure, back_off, in_time};
use kernel::{MessageId, Trace};
use sqlx::postgres::PgListener;
use sqlx::types::time::OffsetDateTime;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::{Mutex, Notify};
use uuid::Uuid;

use crate::{Envelope, Outbox};

/// The statement that creates the table. A service's migration contains the same text.
pub const TABLE: &str = include_str!("../../../db/bus/outbox.postgres.sql");

/// The pause before the listener's second attempt to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two attempts to connect.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// The listener checks its connection after this long without a notification.
const SILENCE: Duration = Duration::from_secs(10);

/// Writes a message into the outbox, in the transaction of the effect that it reports.
pub async fn enqueue(tx: &mut PgConnection, message: &Envelope) -> sqlx::Result<()> {
    sqlx::query(
        "insert into outbox (message_id, kind, routing_key, source, subject, version, happened_at, trace, body)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(message.id.uuid())
    .bind(&message.kind)
    .bind(&message.key)
    .bind(&message.source)
    .bind(&message.subject)
    // A version counts the changes of one article or account, which do not reach the end of an `integer`.
    .bind(i32::try_from(message.version).unwrap_or(i32::MAX))
    .bind(timestamptz(message.time))
    .bind(message.trace.to_string())
    .bind(message.body.as_ref())
    .execute(tx)
    .await?;
    Ok(())
}

/// A signal to the relays of all replicas.
///
/// It is not a `notify` in the transaction of the effect: PostgreSQL commits one notifying transaction at a
/// time, including the flush to disk, so sixteen writers would be as slow as one. Here many commits share one
/// notification, which waits for no disk.
#[derive(Debug, Clone)]
pub struct OutboxWake(Arc<Notify>);

impl OutboxWake {
    /// Returns the wake-up of the outbox in `database`. It works until the database is closed.
    pub fn new(database: &Database) -> Self {
        let signal = Arc::new(Notify::new());
        chassis::spawn("outbox.wake", notify_replicas(database.pool().clone(), signal.clone()));
        Self(signal)
    }

    /// Wakes the relays after a commit that has stored a message. If the process is killed between the two,
    /// the relays find the message at their next regular look.
    pub fn notify(&self) {
        self.0.notify_one();
    }
}

async fn notify_replicas(pool: PgPool, signal: Arc<Notify>) {
    loop {
        tokio::select! {
            () = signal.notified() => {}
            () = pool.close_event() => return,
        }
        let notify = sqlx::query(
            "select set_config('synchronous_commit', 'off', true), pg_notify('outbox.' || current_schema(), '')",
        );
        if let Err(error) = notify.execute(&pool).await {
            tracing::debug!(%error, "the relays could not be woken and will look at their next regular time");
        }
    }
}

/// The outbox of one PostgreSQL database.
///
/// Only one replica at a time works on a batch. It holds an advisory lock in one transaction, from reading
/// the rows until they are deleted. So no message is published by two replicas, and the order is kept. The
/// lock ends with the transaction: immediately if the replica is killed, and if it is frozen, when the server
/// ends its idle transaction.
pub struct PostgresOutbox {
    database: Database,
    wake: Arc<Notify>,
    batch: OpenBatch,
}

/// The transaction in which the current batch was read.
type OpenBatch = Arc<Mutex<Option<Transaction<'static, Postgres>>>>;

impl PostgresOutbox {
    /// Returns the outbox in `database`. It listens for its [`OutboxWake`] until the database is closed.
    pub fn new(database: Database) -> Self {
        let (wake, batch) = (Arc::new(Notify::new()), OpenBatch::default());
        chassis::spawn("outbox.listen", listen(database.pool().clone(), wake.clone(), batch.clone()));
        Self { database, wake, batch }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    position: i64,
    message_id: Uuid,
    kind: String,
    routing_key: String,
    source: String,
    subject: String,
    version: i32,
    happened_at: OffsetDateTime,
    trace: String,
    body: Vec<u8>,
}

impl From<Row> for (i64, Envelope) {
    fn from(row: Row) -> Self {
        let envelope = Envelope {
            id: MessageId::new(row.message_id),
            kind: row.kind,
            key: row.routing_key,
            source: row.source,
            subject: row.subject,
            version: u32::try_from(row.version).unwrap_or_default(),
            time: timestamp(row.happened_at),
            // A trace that can't be parsed must not prevent the message from being sent, so it starts a new
            // trace.
            trace: row.trace.parse().unwrap_or_else(|_| Trace::start()),
            body: row.body.into(),
        };
        (row.position, envelope)
    }
}

#[async_trait]
impl Outbox for PostgresOutbox {
    /// Returns the oldest messages. The list is also empty while another replica works on a batch.
    async fn unsent(&self, limit: u32) -> Result<Vec<(i64, Envelope)>, StoreFailure> {
        let mut batch = self.batch.lock().await;
        in_time(async {
            if let Some(unsent) = batch.take() {
                // The previous batch was not sent. If its connection is lost, the lock has ended with it.
                let _ = unsent.rollback().await;
            }
            let mut tx = self.database.begin().await?;
            if !try_lock(&mut tx).await? {
                return Ok(Vec::new());
            }
            let rows: Vec<Row> = sqlx::query_as(
                "select position, message_id, kind, routing_key, source, subject, version, happened_at, trace, body
                 from outbox order by position limit $1",
            )
            .bind(i64::from(limit))
            .fetch_all(&mut *tx)
            .await?;
            if !rows.is_empty() {
                *batch = Some(tx);
            }
            Ok(rows.into_iter().map(Row::into).collect())
        })
        .await
    }

    async fn mark_sent(&self, positions: &[i64]) -> Result<(), StoreFailure> {
        let batch = self.batch.lock().await.take();
        in_time(async {
            let mut tx = match batch {
                Some(tx) => tx,
                None => self.database.begin().await?,
            };
            sqlx::query("delete from outbox where position = any($1)")
                .bind(positions)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}

/// Takes the lock that allows this replica to work on a batch until the end of the transaction. Returns false
/// if another replica holds it.
async fn try_lock(tx: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtextextended('outbox.' || current_schema(), 0))")
        .fetch_one(tx)
        .await
}

/// Wakes the relay when any replica has committed an effect. While it can't, the relay finds the rows by
/// polling.
async fn listen(pool: PgPool, wake: Arc<Notify>, batch: OpenBatch) {
    let mut failures = 0u32;
    while !pool.is_closed() {
        match listen_once(&pool, &wake, &mut failures).await {
            Ok(()) | Err(sqlx::Error::PoolClosed) => {}
            Err(error) => {
                tracing::warn!(%error, "the outbox is polled until the listener has reconnected")
            }
        }
        failures = failures.saturating_add(1);
        tokio::select! {
            () = chassis::pause(back_off(failures, FIRST_PAUSE, MAX_PAUSE)) => {}
            () = pool.close_event() => {}
        }
    }
    // A closing pool waits for its connections, so a batch that could not be sent must not keep one.
    batch.lock().await.take();
}

async fn listen_once(pool: &PgPool, wake: &Notify, failures: &mut u32) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    let schema: String = sqlx::query_scalar("select current_schema()").fetch_one(&mut listener).await?;
    listener.listen(&format!("outbox.{schema}")).await?;
    *failures = 0;
    // Messages may have been committed while the listener was not connected.
    wake.notify_one();
    loop {
        match tokio::time::timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(_))) => wake.notify_one(),
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let pong = sqlx::query("select 1").execute(&mut listener);
                tokio::time::timeout(MAX_PAUSE, pong).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
