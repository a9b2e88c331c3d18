//! Erasures and their receipts in the SQLite store.

use async_trait::async_trait;
use bus::sqlite_outbox::enqueue;
use chassis::{StoreFailure, StoredTime};
use kernel::{MessageId, Timestamp, UserId};
use uuid::Uuid;

use super::SqliteUserStore;
use crate::domain::{Erasure, Event, Receipt};
use crate::ports::ErasureLog;
use crate::store::erasures::{self as rows, ErasureRow, ReceiptRow};
use crate::store::outbox::envelope;

#[async_trait]
impl ErasureLog for SqliteUserStore {
    async fn erasure(&self, person: UserId) -> Result<Option<Erasure>, StoreFailure> {
        // One transaction, so that the receipts belong to the state.
        let mut tx = self.database.reader().begin().await?;
        let row: Option<ErasureRow> =
            sqlx::query_as(rows::BY_PERSON).bind(person.uuid()).fetch_optional(&mut *tx).await?;
        let Some(row) = row else { return Ok(None) };
        let receipts: Vec<ReceiptRow> =
            sqlx::query_as(rows::RECEIPTS).bind(person.uuid()).fetch_all(&mut *tx).await?;
        Ok(Some(row.with_receipts(person, receipts)))
    }

    async fn record_receipt(
        &self,
        person: UserId,
        receipt: &Receipt,
        services: &[&str],
        now: Timestamp,
    ) -> Result<bool, StoreFailure> {
        let mut tx = self.database.write().await?;
        let row: Option<ErasureRow> =
            sqlx::query_as(rows::BY_PERSON).bind(person.uuid()).fetch_optional(&mut *tx).await?;
        if row.is_none() {
            return Ok(false);
        }
        sqlx::query(rows::INSERT_RECEIPT)
            .bind(person.uuid())
            .bind(&receipt.service)
            .bind(StoredTime(receipt.at))
            .execute(&mut *tx)
            .await?;
        sqlx::query(rows::COMPLETE)
            .bind(person.uuid())
            .bind(StoredTime(now))
            .bind(i64::try_from(services.len()).unwrap_or(i64::MAX))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn open_erasures(&self, before: Timestamp, limit: u32) -> Result<Vec<UserId>, StoreFailure> {
        let ids: Vec<Uuid> = sqlx::query_scalar(rows::OPEN)
            .bind(StoredTime(before))
            .bind(limit)
            .fetch_all(self.database.reader())
            .await?;
        Ok(ids.into_iter().map(UserId::new).collect())
    }

    async fn republish(
        &self,
        person: UserId,
        message: MessageId,
        now: Timestamp,
    ) -> Result<(), StoreFailure> {
        let mut tx = self.database.write().await?;
        let erased_at: Option<StoredTime> = sqlx::query_scalar(rows::ANNOUNCE)
            .bind(person.uuid())
            .bind(StoredTime(now))
            .fetch_optional(&mut *tx)
            .await?;
        let Some(StoredTime(at)) = erased_at else { return Ok(()) };
        enqueue(&mut tx, &envelope(message, &Event::UserErased { user: person, at })).await?;
        tx.commit().await?;
        self.outbox_wake.notify_one();
        Ok(())
    }

    async fn count_open(&self, before: Timestamp, limit: u32) -> Result<u32, StoreFailure> {
        let count: i64 = sqlx::query_scalar(rows::COUNT_OPEN)
            .bind(StoredTime(before))
            .bind(limit)
            .fetch_one(self.database.reader())
            .await?;
        Ok(u32::try_from(count).unwrap_or(limit))
    }
}
