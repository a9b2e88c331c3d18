//! Exports in the PostgreSQL store.

use async_trait::async_trait;
use chassis::{StoreFailure, StoredTime, in_time};
use kernel::{Timestamp, UserId};

use super::PostgresUserStore;
use crate::domain::ExportPart;
use crate::ports::ExportStore;
use crate::store::exports::{self as rows, PartRow};

#[async_trait]
impl ExportStore for PostgresUserStore {
    async fn export_parts(&self, person: UserId, since: Timestamp) -> Result<Vec<ExportPart>, StoreFailure> {
        in_time(async {
            let rows: Vec<PartRow> = sqlx::query_as(rows::BY_PERSON)
                .bind(person.uuid())
                .bind(StoredTime(since))
                .fetch_all(self.database.pool())
                .await?;
            Ok(rows.into_iter().filter_map(PartRow::into_part).collect())
        })
        .await
    }

    async fn keep_export_parts(
        &self,
        person: UserId,
        parts: &[ExportPart],
        since: Timestamp,
    ) -> Result<bool, StoreFailure> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            // Two requests of one person follow each other, and an erasure waits.
            let account = sqlx::query("select 1 from users where id = $1 for no key update")
                .bind(person.uuid())
                .fetch_optional(&mut *tx)
                .await?;
            if account.is_none() {
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
        })
        .await
    }

    async fn discard_export(&self, person: UserId) -> Result<(), StoreFailure> {
        in_time(async {
            sqlx::query(rows::DELETE).bind(person.uuid()).execute(self.database.pool()).await?;
            Ok(())
        })
        .await
    }

    async fn delete_export_parts(&self, before: Timestamp, limit: u32) -> Result<u64, StoreFailure> {
        in_time(async {
            let done = sqlx::query(rows::DELETE_BEFORE)
                .bind(StoredTime(before))
                .bind(i64::from(limit))
                .execute(self.database.pool())
                .await?;
            Ok(done.rows_affected())
        })
        .await
    }
}
