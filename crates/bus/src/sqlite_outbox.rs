//! The outbox in a service's own SQLite database.
//!
//! The service copies [`TABLE`] into one of its migrations, calls [`enqueue`] in the transaction of the
//! effect, and notifies after the commit.

use std::sync::Arc;

use async_trait::async_trait;
use chassis::StoreFailure;
use chassis::sqlite::Database;
use sqlx::SqliteConnection;
use tokio::sync::Notify;

use crate::row::EnvelopeRow;
use crate::{Envelope, Outbox};

/// The statement that creates the table. A service's migration contains the same text.
pub const TABLE: &str = include_str!("../../../db/bus/outbox.sql");

/// Writes a message into the outbox, in the transaction of the effect that it reports. Notify the outbox's
/// wake signal after the commit.
pub async fn enqueue(tx: &mut SqliteConnection, message: &Envelope) -> sqlx::Result<()> {
    sqlx::query(
        "insert into outbox (message_id, kind, routing_key, source, subject, version, happened_at, trace, body)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(message.id.uuid())
    .bind(&message.kind)
    .bind(&message.key)
    .bind(&message.source)
    .bind(&message.subject)
    .bind(message.version)
    .bind(message.time.millis())
    .bind(message.trace.to_string())
    .bind(message.body.as_ref())
    .execute(tx)
    .await?;
    Ok(())
}

/// The outbox of one SQLite database.
pub struct SqliteOutbox {
    database: Database,
    wake: Arc<Notify>,
}

impl SqliteOutbox {
    /// Returns the outbox in `database`. The store notifies `wake` after each commit that has stored a
    /// message.
    pub fn new(database: Database, wake: Arc<Notify>) -> Self {
        Self { database, wake }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    position: i64,
    #[sqlx(flatten)]
    envelope: EnvelopeRow,
}

#[async_trait]
impl Outbox for SqliteOutbox {
    async fn unsent(&self, limit: u32) -> Result<Vec<(i64, Envelope)>, StoreFailure> {
        let rows: Vec<Row> = sqlx::query_as(
            "select position, message_id, kind, routing_key, source, subject, version, happened_at, trace, body
             from outbox order by position limit ?",
        )
        .bind(limit)
        .fetch_all(self.database.reader())
        .await?;
        Ok(rows.into_iter().map(|row| (row.position, row.envelope.into())).collect())
    }

    async fn mark_sent(&self, positions: &[i64]) -> Result<(), StoreFailure> {
        let mut tx = self.database.write().await?;
        sqlx::query("delete from outbox where position in (select value from json_each(?))")
            .bind(json_list(positions))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}

/// Formats numbers as a JSON list, so that one statement serves any number of rows.
pub(crate) fn json_list(numbers: &[i64]) -> String {
    serde_json::Value::from(numbers).to_string()
}
