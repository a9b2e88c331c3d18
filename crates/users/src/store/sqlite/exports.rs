//! Exports in the SQLite store.

use async_trait::async_trait;
use chassis::{StoreFailure, StoredTime};
use kernel::{Timestamp, UserId};

use super::SqliteUserStore;
use crate::domain::ExportPart;
use crate::ports::ExportStore;
use crate::store::exports::{self as rows, PartRow};

#[async_trait]
impl ExportStore for SqliteUserStore {
    async fn export_parts(&self, person: UserId, since: Timestamp) -> Result<Vec<ExportPart>, StoreFailure> {
        let rows: Vec<PartRow> = sqlx::query_as(rows::BY_PERSON)
            .bind(person.uuid())
            .bind(StoredTime(since))
            .fetch_all(self.database.reader())
            .await?;
        Ok(rows.into_iter().filter_map(PartRow::into_part).collect())
    }

    async fn keep_export_parts(
        &self,
        person: UserId,
        parts: &[ExportPart],
        since: Timestamp,
    ) -> Result<bool, StoreFailure> {
        let mut tx = self.database.write().await?;
        let has_account: bool = sqlx::query_scalar("select exists (select 1 from users where id = $1)")
            .bind(person.uuid())
            .fetch_one(&mut *tx)
            .await?;
        if !has_account {
            return Ok(false);
        }
        for part in parts {
            sqlx::query(rows::KEEP)
                .bind(person.uuid())
                .bind(part.source.part())
                .bind(part.source.service())
                .bind(&part.items)
                .bind(&part.next)
                .bind(part.is_complete)
                .bind(part.is_cut)
                .bind(StoredTime(part.begun_at))
                .bind(StoredTime(part.at))
                .bind(StoredTime(since))
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn discard_export(&self, person: UserId) -> Result<(), StoreFailure> {
        let mut tx = self.database.write().await?;
        sqlx::query(rows::DELETE).bind(person.uuid()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn delete_export_parts(&self, before: Timestamp, limit: u32) -> Result<u64, StoreFailure> {
        let mut tx = self.database.write().await?;
        let done =
            sqlx::query(rows::DELETE_BEFORE).bind(StoredTime(before)).bind(limit).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }
}
