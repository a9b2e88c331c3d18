//! Accounts that an older program stored have keys of an older form: they get today's when the store is opened.
//!
//! `key_form` says which form `email_key` has. 2 is today's. 1 was made by an older program, of an address beyond ASCII; only those
//! may differ. 0 is a former key that stays: by today's rule the address is that of an older account, and both can log in with
//! what they always typed.

use chassis::StoreFailure;
use chassis::sqlite::Database as Sqlite;
use kernel::UserId;
use uuid::Uuid;

use crate::domain::Email;

/// How many accounts are read at once.
const BATCH: i32 = 500;

/// Gives every account of a SQLite file a key of today's form. If it is interrupted, the next start does the rest.
pub async fn renew_sqlite(database: &Sqlite) -> Result<(), StoreFailure> {
    loop {
        let mut tx = database.write().await?;
        let old: Vec<(Uuid, String)> =
            sqlx::query_as("select id, email from users where key_form = 1 order by created_at, id limit ?")
                .bind(BATCH)
                .fetch_all(&mut *tx)
                .await?;
        if old.is_empty() {
            return Ok(());
        }
        for (id, email) in old {
            let renewed = sqlx::query(
                "update users set email_key = ?2, key_form = 2
                 where id = ?1 and not exists (select 1 from users where email_key = ?2 and id <> ?1)",
            )
            .bind(id)
            .bind(Email::stored(email).key())
            .execute(&mut *tx)
            .await?;
            if renewed.rows_affected() == 0 {
                sqlx::query("update users set key_form = 0 where id = ?").bind(id).execute(&mut *tx).await?;
                say_kept(id);
            }
        }
        tx.commit().await?;
    }
}

/// Gives every account of a PostgreSQL database a key of today's form. Replicas that start at once do it one after the other.
#[cfg(feature = "servers")]
pub async fn renew_postgres(database: &chassis::postgres::Database) -> Result<(), StoreFailure> {
    loop {
        let mut tx = database.begin().await?;
        // Registrations that come meanwhile wait for a moment: a key must not be taken between the question and the change.
        sqlx::query("lock table users in share row exclusive mode").execute(&mut *tx).await?;
        let old: Vec<(Uuid, String)> =
            sqlx::query_as("select id, email from users where key_form = 1 order by created_at, id limit $1")
                .bind(BATCH)
                .fetch_all(&mut *tx)
                .await?;
        if old.is_empty() {
            return Ok(());
        }
        for (id, email) in old {
            let renewed = sqlx::query(
                "update users set email_key = $2, key_form = 2
                 where id = $1 and not exists (select 1 from users where email_key = $2 and id <> $1)",
            )
            .bind(id)
            .bind(Email::stored(email).key())
            .execute(&mut *tx)
            .await?;
            if renewed.rows_affected() == 0 {
                sqlx::query("update users set key_form = 0 where id = $1").bind(id).execute(&mut *tx).await?;
                say_kept(id);
            }
        }
        tx.commit().await?;
    }
}

fn say_kept(id: Uuid) {
    tracing::warn!(
        user = %UserId::new(id),
        "two accounts have one e-mail by today's rule; the younger one keeps the key it had, and both can log in"
    );
}
