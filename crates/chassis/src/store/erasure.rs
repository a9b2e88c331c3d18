//! The duty of a store to erase persons: in the end nothing of them can be read in its files.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use kernel::UserId;
use sqlx::{PgConnection, SqliteConnection};

use super::failure::StoreFailure;
use super::{postgres, sqlite};

/// The duty of one store: a durable row for each erased person. It is written in the transaction of the erasure and deleted when the
/// erasure is complete.
///
/// Deleting a row does not overwrite it. The log of the database, and pages that it has rearranged, may still hold a copy. So an
/// erasure is complete only after the store was wiped.
#[async_trait]
pub trait Erasable: Send + Sync + 'static {
    /// Returns the persons whose erasure is not complete here.
    async fn owed(&self) -> Result<Vec<UserId>, StoreFailure>;

    /// Makes deleted data unreadable, as far as the engine can. Returns false if that is not possible at the moment: a message that
    /// names one of these persons is not sent yet, or a reader holds the log.
    async fn wipe(&self, persons: &[UserId]) -> Result<bool, StoreFailure>;

    /// Notes that the erasure of these persons is complete.
    async fn done(&self, persons: &[UserId]) -> Result<(), StoreFailure>;
}

/// Notes in the transaction of an erasure that the file must be wiped.
///
/// # Errors
/// If the database fails.
pub async fn owe_sqlite(tx: &mut SqliteConnection, person: UserId) -> sqlx::Result<()> {
    let owe = "insert into erasure_duty (person) values (?) on conflict (person) do update set vacuumed = 0";
    sqlx::query(owe).bind(person.uuid()).execute(tx).await?;
    Ok(())
}

/// Notes in the transaction of an erasure that the tables must be vacuumed.
///
/// # Errors
/// If the database fails.
pub async fn owe_postgres(tx: &mut PgConnection, person: UserId) -> sqlx::Result<()> {
    let owe = "insert into erasure_duty (person) values ($1) on conflict (person) do nothing";
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

/// The duty of a PostgreSQL database, in its table `erasure_duty`. Vacuuming removes the rows and frees their space. A client can't
/// erase the log of the server (WAL), which holds a copy until it is recycled.
pub struct PostgresErasure {
    database: postgres::Database,
    vacuum: &'static str,
}

impl PostgresErasure {
    /// Creates the duty of a database. `vacuum` is the statement that vacuums the tables with personal data.
    pub fn new(database: postgres::Database, vacuum: &'static str) -> Self {
        Self { database, vacuum }
    }
}

#[async_trait]
impl Erasable for PostgresErasure {
    async fn owed(&self) -> Result<Vec<UserId>, StoreFailure> {
        let ids: Vec<uuid::Uuid> = sqlx::query_scalar("select person from erasure_duty order by since")
            .fetch_all(self.database.pool())
            .await?;
        Ok(ids.into_iter().map(UserId::new).collect())
    }

    async fn wipe(&self, persons: &[UserId]) -> Result<bool, StoreFailure> {
        for person in persons {
            let waits: bool = sqlx::query_scalar(
                "select exists (select 1 from outbox
                 where subject <> $1::text and position(convert_to($1::text, 'UTF8') in body) > 0)",
            )
            .bind(person.to_string())
            .fetch_one(self.database.pool())
            .await?;
            if waits {
                return Ok(false);
            }
        }
        sqlx::query(self.vacuum).execute(self.database.pool()).await?;
        Ok(true)
    }

    async fn done(&self, persons: &[UserId]) -> Result<(), StoreFailure> {
        let ids: Vec<uuid::Uuid> = persons.iter().map(|person| person.uuid()).collect();
        sqlx::query("delete from erasure_duty where person = any($1)")
            .bind(ids)
            .execute(self.database.pool())
            .await?;
        Ok(())
    }
}
