//! The audit in the PostgreSQL store.

use async_trait::async_trait;
use chassis::{StoreFailure, StoredTime, in_time};
use kernel::{Timestamp, UserId};
use sqlx::PgConnection;

use super::PostgresUserStore;
use crate::domain::{AuditCursor, AuditEntry, AuditFilter, AuditKind, Origin};
use crate::ports::AuditLog;
use crate::store::audit::{APPEND, AuditRow, DELETE_BEFORE, EntriesQuery};
use crate::store::rows::convert_all;

/// Appends an entry, in the transaction of its effect.
pub async fn append(
    tx: &mut PgConnection,
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
impl AuditLog for PostgresUserStore {
    async fn record(&self, kind: AuditKind, subject: UserId, origin: &Origin) -> Result<(), StoreFailure> {
        in_time(async {
            let mut connection = self.database.pool().acquire().await?;
            Ok(append(&mut connection, kind, subject, origin).await?)
        })
        .await
    }

    async fn entries(
        &self,
        filter: &AuditFilter,
        cursor: Option<AuditCursor>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreFailure> {
        in_time(async {
            let query = EntriesQuery::new(filter, cursor);
            let rows: Vec<AuditRow> = sqlx::query_as(query.statement)
                .bind(query.actor)
                .bind(query.subject)
                .bind(query.kind)
                .bind(query.from)
                .bind(query.to)
                .bind(query.before)
                .bind(i64::from(limit))
                .fetch_all(self.database.pool())
                .await?;
            convert_all(rows)
        })
        .await
    }

    async fn delete_entries(&self, before: Timestamp, limit: u32) -> Result<u64, StoreFailure> {
        in_time(async {
            let done = sqlx::query(DELETE_BEFORE)
                .bind(StoredTime(before))
                .bind(i64::from(limit))
                .execute(self.database.pool())
                .await?;
            Ok(done.rows_affected())
        })
        .await
    }
}
