//! The audit in the SQLite store.

use async_trait::async_trait;
use chassis::{StoreFailure, StoredTime};
use kernel::{Timestamp, UserId};
use sqlx::SqliteConnection;

use super::SqliteUserStore;
use crate::domain::{AuditCursor, AuditEntry, AuditFilter, AuditKind, Origin};
use crate::ports::AuditLog;
use crate::store::audit::{APPEND, AuditRow, DELETE_BEFORE, EntriesQuery};
use crate::store::rows::convert_all;

/// Appends an entry, in the transaction of its effect.
pub async fn append(
    tx: &mut SqliteConnection,
    kind: AuditKind,
    subject: UserId,
    origin: &Origin,
) -> sqlx::Result<()> {
    sqlx::query(APPEND)
        .bind(origin.actor.map(|actor| actor.uuid()))
        .bind(subject.uuid())
        .bind(kind.as_str())
        .bind(StoredTime(origin.at))
        .bind(origin.network.map(|network| network.to_string()))
        .execute(tx)
        .await?;
    Ok(())
}

#[async_trait]
impl AuditLog for SqliteUserStore {
    async fn record(&self, kind: AuditKind, subject: UserId, origin: &Origin) -> Result<(), StoreFailure> {
        let mut tx = self.database.write().await?;
        append(&mut tx, kind, subject, origin).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn entries(
        &self,
        filter: &AuditFilter,
        cursor: Option<AuditCursor>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreFailure> {
        let query = EntriesQuery::new(filter, cursor);
        let rows: Vec<AuditRow> = sqlx::query_as(query.statement)
            .bind(query.actor)
            .bind(query.subject)
            .bind(query.kind)
            .bind(query.from)
            .bind(query.to)
            .bind(query.before)
            .bind(limit)
            .fetch_all(self.database.reader())
            .await?;
        convert_all(rows)
    }

    async fn delete_entries(&self, before: Timestamp, limit: u32) -> Result<u64, StoreFailure> {
        let mut tx = self.database.write().await?;
        let done = sqlx::query(DELETE_BEFORE).bind(StoredTime(before)).bind(limit).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }
}
