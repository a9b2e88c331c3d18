//! Accounts and consents in the PostgreSQL store.

use chassis::postgres::Database;
use kernel::UserId;
use sqlx::PgConnection;

use crate::domain::{Account, Consent, Email, User};
use crate::ports::{HashCost, Listing, UserStoreError};
use crate::store::hash_costs::{SAMPLE, count_costs};
use crate::store::rows::{self, AccountRow, ConsentRow, UserRow, convert_all};

/// Returns the account of this id without its credentials.
pub async fn find_user(tx: &mut PgConnection, id: UserId) -> Result<Option<User>, UserStoreError> {
    let row: Option<UserRow> = sqlx::query_as(rows::USER_BY_ID).bind(id.uuid()).fetch_optional(tx).await?;
    Ok(row.map(User::try_from).transpose()?)
}

/// Locks the row of an account until the end of the transaction.
pub async fn lock_user(tx: &mut PgConnection, id: UserId) -> sqlx::Result<()> {
    sqlx::query("select 1 from users where id = $1 for update").bind(id.uuid()).execute(tx).await?;
    Ok(())
}

/// Returns the consent of an account.
pub async fn find_consent(tx: &mut PgConnection, id: UserId) -> Result<Option<Consent>, UserStoreError> {
    let row: Option<ConsentRow> =
        sqlx::query_as(rows::CONSENT_BY_USER).bind(id.uuid()).fetch_optional(tx).await?;
    Ok(row.map(Consent::from))
}

/// See [`crate::ports::UserStore::by_ids`].
pub async fn by_ids(database: &Database, ids: &[UserId]) -> Result<Vec<User>, UserStoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    let rows: Vec<UserRow> = sqlx::query_as(
        "select id, name, email, role, sections, created_at, version from users where id = any($1)",
    )
    .bind(ids)
    .fetch_all(database.pool())
    .await?;
    Ok(convert_all(rows)?)
}

/// See [`crate::ports::UserStore::account`].
pub async fn by_id(database: &Database, id: UserId) -> Result<Option<Account>, UserStoreError> {
    let row: Option<AccountRow> =
        sqlx::query_as(rows::ACCOUNT_BY_ID).bind(id.uuid()).fetch_optional(database.pool()).await?;
    Ok(row.map(Account::try_from).transpose()?)
}

/// See [`crate::ports::UserStore::account_by_email`].
pub async fn by_email(database: &Database, email: &Email) -> Result<Option<Account>, UserStoreError> {
    let row: Option<AccountRow> = sqlx::query_as(rows::ACCOUNT_BY_EMAIL)
        .bind(email.key())
        .bind(email.former_key())
        .fetch_optional(database.pool())
        .await?;
    Ok(row.map(Account::try_from).transpose()?)
}

/// See [`crate::ports::UserStore::list`].
pub async fn list(database: &Database, start: u32, count: u32) -> Result<Listing, UserStoreError> {
    // One view of the table, so that the total belongs to the range.
    let mut tx = database.pool().begin_with("begin isolation level repeatable read, read only").await?;
    let total: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&mut *tx).await?;
    let rows: Vec<UserRow> = sqlx::query_as(rows::USERS_IN_ORDER)
        .bind(i64::from(count))
        .bind(i64::from(start))
        .fetch_all(&mut *tx)
        .await?;
    Ok(Listing { users: convert_all(rows)?, total: total.unsigned_abs() })
}

/// See [`crate::ports::UserStore::hash_costs`].
pub async fn hash_costs(database: &Database) -> Result<Vec<HashCost>, UserStoreError> {
    // The planner's estimate of the number of rows. If the table was never analysed it is 0 or less, and all
    // rows are read.
    let estimate: f32 = sqlx::query_scalar("select reltuples from pg_class where oid = 'users'::regclass")
        .fetch_one(database.pool())
        .await?;
    #[expect(clippy::cast_precision_loss, reason = "a share of a sample")]
    let percent = (100.0 * SAMPLE as f32 / estimate.max(1.0)).min(100.0);
    let hashes: Vec<String> =
        sqlx::query_scalar("select password from users tablesample system ($1) limit $2")
            .bind(percent)
            .bind(2 * SAMPLE)
            .fetch_all(database.pool())
            .await?;
    Ok(count_costs(&hashes))
}
