//! The upgrade of e-mail keys: accounts that an older program stored get keys of today's form when the store
//! is opened.
//!
//! The column `key_form` says which form `email_key` has:
//!
//! * 2 is today's form.
//! * 1 was made by an older program, of an address beyond ASCII; only those keys may differ.
//! * 0 is a key of the older form that stays: by today's rule the address is that of an older account. Both
//!   owners can log in with what they always typed.

use chassis::{StoreFailure, sqlite};
use kernel::UserId;
use sqlx::{ColumnIndex, Decode, Encode, Executor, IntoArguments, Type};
use uuid::Uuid;

use crate::domain::Email;

/// The accounts that one transaction upgrades.
const BATCH: i32 = 500;

/// Gives every account of a SQLite file a key of today's form. After an interruption, the next start does the
/// rest.
pub async fn renew_in_sqlite(database: &sqlite::Database) -> Result<(), StoreFailure> {
    loop {
        let mut tx = database.write().await?;
        if renew_batch::<sqlx::Sqlite>(&mut tx).await? == 0 {
            return Ok(());
        }
        tx.commit().await?;
    }
}

/// Gives every account of a PostgreSQL database a key of today's form. Replicas that start together do it one
/// after the other.
#[cfg(feature = "servers")]
pub async fn renew_in_postgres(database: &chassis::postgres::Database) -> Result<(), StoreFailure> {
    loop {
        let mut tx = database.begin().await?;
        // Registrations wait meanwhile: a key must not be taken between the check and the change.
        sqlx::query("lock table users in share row exclusive mode").execute(&mut *tx).await?;
        if renew_batch::<sqlx::Postgres>(&mut tx).await? == 0 {
            return Ok(());
        }
        tx.commit().await?;
    }
}

/// Upgrades one batch and returns the number of accounts in it.
async fn renew_batch<DB: sqlx::Database>(tx: &mut DB::Connection) -> Result<usize, sqlx::Error>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    DB::Arguments: IntoArguments<DB>,
    for<'v> Uuid: Type<DB> + Encode<'v, DB> + Decode<'v, DB>,
    for<'v> String: Type<DB> + Encode<'v, DB> + Decode<'v, DB>,
    for<'v> i32: Type<DB> + Encode<'v, DB>,
    usize: ColumnIndex<DB::Row>,
{
    let accounts: Vec<(Uuid, String)> =
        sqlx::query_as("select id, email from users where key_form = 1 order by created_at, id limit $1")
            .bind(BATCH)
            .fetch_all(&mut *tx)
            .await?;
    let count = accounts.len();
    for (id, email) in accounts {
        let renewed: Option<(Uuid,)> = sqlx::query_as(
            "update users set email_key = $2, key_form = 2
             where id = $1 and not exists (select 1 from users where email_key = $2 and id <> $1)
             returning id",
        )
        .bind(id)
        .bind(Email::stored(email).key().to_owned())
        .fetch_optional(&mut *tx)
        .await?;
        if renewed.is_none() {
            sqlx::query("update users set key_form = 0 where id = $1").bind(id).execute(&mut *tx).await?;
            tracing::warn!(
                user = %UserId::new(id),
                "two accounts have one e-mail by today's rule; the younger one keeps its older key, and both can log in"
            );
        }
    }
    Ok(count)
}
