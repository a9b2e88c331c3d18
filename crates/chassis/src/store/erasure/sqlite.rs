use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use kernel::UserId;
use sqlx::SqliteConnection;

use super::super::failure::StoreFailure;
use super::super::sqlite;
use super::Erasable;

/// Notes in the transaction of an erasure that the file must be wiped.
///
/// # Errors
/// If the database fails.
pub async fn enqueue_erasure(tx: &mut SqliteConnection, person: UserId) -> sqlx::Result<()> {
    let owe = "insert into erasure_duty (person) values (?) on conflict (person) do update set vacuumed = 0";
    sqlx::query(owe).bind(person.uuid()).execute(tx).await?;
    Ok(())
}

/// The duty of a SQLite file, in its table `erasure_duty`.
pub struct SqliteErasure {
    database: sqlite::Database,
    outbox: bool,
    warned: AtomicBool,
}

impl SqliteErasure {
    /// Creates the duty of a file without an outbox.
    pub fn new(database: sqlite::Database) -> Self {
        Self { database, outbox: false, warned: AtomicBool::new(false) }
    }

    /// Creates the duty of a file with an outbox, whose messages may name erased persons.
    pub fn with_outbox(database: sqlite::Database) -> Self {
        Self { outbox: true, ..Self::new(database) }
    }
}

#[async_trait]
impl Erasable for SqliteErasure {
    async fn owed(&self) -> Result<Vec<UserId>, StoreFailure> {
        let ids: Vec<uuid::Uuid> = sqlx::query_scalar("select person from erasure_duty order by since")
            .fetch_all(self.database.reader())
            .await?;
        Ok(ids.into_iter().map(UserId::new).collect())
    }

    async fn wipe(&self, persons: &[UserId]) -> Result<bool, StoreFailure> {
        for person in persons.iter().filter(|_| self.outbox) {
            let waits: bool = sqlx::query_scalar(
                "select exists (select 1 from outbox where subject <> ?1 and instr(body, cast(?1 as blob)) > 0)",
            )
            .bind(person.to_string())
            .fetch_one(self.database.reader())
            .await?;
            if waits {
                return Ok(false);
            }
        }
        let not_vacuumed: Vec<uuid::Uuid> =
            sqlx::query_scalar("select person from erasure_duty where vacuumed = 0")
                .fetch_all(self.database.reader())
                .await?;
        if !not_vacuumed.is_empty() && !self.database.vacuum().await? {
            if !self.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    store = %self.database.path().display(),
                    "the file is too large to be vacuumed while it serves: copies of erased data may stay in it until the next \
                     start"
                );
            }
            return Ok(false);
        }
        for person in not_vacuumed {
            let mut tx = self.database.write().await?;
            sqlx::query("update erasure_duty set vacuumed = 1 where person = ?")
                .bind(person)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
        }
        self.database.empty_log().await
    }

    async fn done(&self, persons: &[UserId]) -> Result<(), StoreFailure> {
        let mut tx = self.database.write().await?;
        for person in persons {
            sqlx::query("delete from erasure_duty where person = ? and vacuumed = 1")
                .bind(person.uuid())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}
