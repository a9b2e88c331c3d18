//! The outbox in a service's own PostgreSQL database, shared by the service's replicas.
//!
//! The service copies [`TABLE`] into one of its migrations, calls [`enqueue`] in the transaction of the effect, and rings the
//! [`Bell`] after its commit.

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

/// The statement that makes the table. A service's migration holds the same words.
pub const TABLE: &str = include_str!("../../../db/bus/outbox.postgres.sql");

/// The pause before the listener connects again …
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// … and the longest.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// After so long a silence the listener asks whether its connection is still one.
const SILENCE: Duration = Duration::from_secs(10);

/// Writes a message into the outbox, within the transaction of the effect that it tells of.
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
    // Versions count single changes of one thing: they do not reach the end of an `integer`.
    .bind(i32::try_from(message.version).unwrap_or(i32::MAX))
    .bind(timestamptz(message.time))
    .bind(message.trace.to_string())
    .bind(message.body.as_ref())
    .execute(tx)
    .await?;
    Ok(())
}

/// Wakes the relays of all replicas.
///
/// Not by a `notify` in the transaction of the effect: PostgreSQL commits one notifying transaction at a time, its flush to the disk
/// included, and sixteen writers would be as slow as one. Here many commits become one notification that waits for no disk.
#[derive(Debug, Clone)]
pub struct Bell(Arc<Notify>);

impl Bell {
    /// The bell of the outbox in `database`, until that is closed.
    pub fn new(database: &Database) -> Self {
        let rung = Arc::new(Notify::new());
        chassis::spawn("outbox.bell", toll(database.pool().clone(), rung.clone()));
        Self(rung)
    }

    /// Called after a commit that enqueued something. Where that is missed, as by a process that is killed between the two, the
    /// relays find the message when they look by themselves.
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

async fn toll(pool: PgPool, rung: Arc<Notify>) {
    loop {
        tokio::select! {
            () = rung.notified() => {}
            () = pool.close_event() => return,
        }
        let notify = sqlx::query(
            "select set_config('synchronous_commit', 'off', true), pg_notify('outbox.' || current_schema(), '')",
        );
        if let Err(error) = notify.execute(&pool).await {
            tracing::debug!(%error, "the relays were not woken; they look by themselves");
        }
    }
}

/// The outbox of one PostgreSQL database.
///
/// Of all replicas one at a time has a batch in hand: it holds an advisory lock from reading the rows until they are deleted,
/// in one transaction. So no message is published by two, and their order is kept. The lock goes with the transaction: a
/// replica that was killed frees it at once, one that is frozen when the server ends its idle transaction.
pub struct PostgresOutbox {
    database: Database,
    wake: Arc<Notify>,
    in_hand: InHand,
}

/// The transaction in which the batch in hand was read.
type InHand = Arc<Mutex<Option<Transaction<'static, Postgres>>>>;

impl PostgresOutbox {
    /// The outbox in `database`. Listens for its [`Bell`] from now until the database is closed.
    pub fn new(database: Database) -> Self {
        let (wake, in_hand) = (Arc::new(Notify::new()), InHand::default());
        chassis::spawn("outbox.listen", listen(database.pool().clone(), wake.clone(), in_hand.clone()));
        Self { database, wake, in_hand }
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
            // A trace that can't be read must not keep a message from being sent: its story starts anew.
            trace: row.trace.parse().unwrap_or_else(|_| Trace::start()),
            body: row.body.into(),
        };
        (row.position, envelope)
    }
}

#[async_trait]
impl Outbox for PostgresOutbox {
    /// Empty, too, while another replica has a batch in hand.
    async fn unsent(&self, limit: u32) -> Result<Vec<(i64, Envelope)>, StoreFailure> {
        let mut in_hand = self.in_hand.lock().await;
        in_time(async {
            if let Some(before) = in_hand.take() {
                // What was read before was not sent. A connection that is gone took the lock with it.
                let _ = before.rollback().await;
            }
            let mut tx = self.database.begin().await?;
            if !my_turn(&mut tx).await? {
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
                *in_hand = Some(tx);
            }
            Ok(rows.into_iter().map(Row::into).collect())
        })
        .await
    }

    async fn mark_sent(&self, positions: &[i64]) -> Result<(), StoreFailure> {
        let in_hand = self.in_hand.lock().await.take();
        in_time(async {
            let mut tx = match in_hand {
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

/// Whether this replica may take a batch: held until the end of the transaction.
async fn my_turn(tx: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtextextended('outbox.' || current_schema(), 0))")
        .fetch_one(tx)
        .await
}

/// Wakes the relay when the bell is rung, in whatever replica. Where it can't, the relay's own poll finds the rows.
async fn listen(pool: PgPool, wake: Arc<Notify>, in_hand: InHand) {
    let mut failures = 0u32;
    while !pool.is_closed() {
        match listen_once(&pool, &wake, &mut failures).await {
            Ok(()) | Err(sqlx::Error::PoolClosed) => {}
            Err(error) => {
                tracing::warn!(%error, "the outbox is polled until the listener is connected again")
            }
        }
        failures = failures.saturating_add(1);
        tokio::select! {
            () = chassis::pause(back_off(failures, FIRST_PAUSE, MAX_PAUSE)) => {}
            () = pool.close_event() => {}
        }
    }
    // A closing pool waits for its connections: a batch that could not be sent must not keep one.
    in_hand.lock().await.take();
}

async fn listen_once(pool: &PgPool, wake: &Notify, failures: &mut u32) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    let schema: String = sqlx::query_scalar("select current_schema()").fetch_one(&mut listener).await?;
    listener.listen(&format!("outbox.{schema}")).await?;
    *failures = 0;
    // What was committed while nobody listened.
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
