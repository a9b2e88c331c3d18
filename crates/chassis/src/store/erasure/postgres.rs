use async_trait::async_trait;
use kernel::UserId;
use sqlx::PgConnection;

use super::super::failure::StoreFailure;
use super::super::postgres;
use super::Erasable;

/// Notes in the transaction of an erasure that the tables must be vacuumed.
///
/// # Errors
/// If the database fails.
pub async fn owe_postgres(tx: &mut PgConnection, person: UserId) -> sqlx::Result<()> {
    let owe = "insert into erasure_duty (person) values ($1) on conflict (person) do nothing";
    sqlx::query(owe).bind(person.uuid()).execute(tx).await?;
    Ok(())
}

/// The duty of a PostgreSQL database, in its table `erasure_duty`. Vacuuming removes the rows and frees their
/// space. A client can't erase the log of the server (WAL), which holds a copy until it is recycled.
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
