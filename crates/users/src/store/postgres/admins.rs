//! The rule that the portal keeps an admin, in a PostgreSQL database.

use kernel::UserId;
use sqlx::PgConnection;

use super::accounts::find_user;
use crate::ports::UserStoreError;
use crate::store::rows;

/// Waits for all other transactions that could leave the portal without an admin, until the end of the
/// transaction. A lock of rows would not be enough: two admins who demote each other hold different rows, and
/// before the first admin there is none.
pub async fn lock_admins(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('admins.' || current_schema(), 0))")
        .execute(tx)
        .await?;
    Ok(())
}

/// Says whether there is an admin.
pub async fn has_admin(tx: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar(rows::HAS_ADMIN).fetch_one(tx).await
}

/// Deletes an account that may be an admin's.
pub async fn erase_admin(tx: &mut PgConnection, id: UserId) -> Result<(), UserStoreError> {
    lock_admins(tx).await?;
    let deleted = sqlx::query(rows::DELETE_UNLESS_LAST_ADMIN).bind(id.uuid()).execute(&mut *tx).await?;
    if deleted.rows_affected() == 1 {
        return Ok(());
    }
    match find_user(tx, id).await? {
        Some(_) => Err(UserStoreError::LastAdmin),
        None => Err(UserStoreError::NotFound),
    }
}
