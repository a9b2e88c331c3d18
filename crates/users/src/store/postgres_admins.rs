//! The portal keeps an admin: what decides so in a PostgreSQL database.

use kernel::UserId;
use sqlx::PgConnection;

use super::postgres::user;
use crate::ports::UserStoreError;

/// Waits for everybody else who could leave the portal without an admin, until the end of the transaction. A lock of rows would
/// not do: two who demote each other hold different ones, and before the first admin there is none.
pub async fn lock_admins(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('admins.' || current_schema(), 0))")
        .execute(tx)
        .await?;
    Ok(())
}

/// Whether anybody is an admin.
pub async fn has_admin(tx: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select 1 from users where role = 'admin')").fetch_one(tx).await
}

/// Deletes an account that may be an admin's.
pub async fn erase_admin(tx: &mut PgConnection, id: UserId) -> Result<(), UserStoreError> {
    lock_admins(tx).await?;
    let gone = sqlx::query(
        "delete from users
         where id = $1
           and (role <> 'admin'
                or exists (select 1 from users as other where other.role = 'admin' and other.id <> $1))",
    )
    .bind(id.uuid())
    .execute(&mut *tx)
    .await?;
    if gone.rows_affected() == 1 {
        return Ok(());
    }
    match user(tx, id).await? {
        Some(_) => Err(UserStoreError::LastAdmin),
        None => Err(UserStoreError::NotFound),
    }
}
