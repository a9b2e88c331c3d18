//! Registrations as rows of the SQLite store.

use chassis::{StoredTime, StoredVersion};
use kernel::{Role, UserId};
use sqlx::SqliteConnection;

use super::{audit, find_user};
use crate::domain::{Account, AuditKind, Origin};
use crate::ports::{InsertOutcome, UserStoreError};
use crate::store::rows::encode_sections;

/// Inserts an account that clashes with no other one and was not erased. With `only_without_admin` it is
/// inserted only while there is no admin. Returns whether it was inserted.
pub async fn insert(
    tx: &mut SqliteConnection,
    account: &Account,
    only_without_admin: bool,
) -> Result<bool, UserStoreError> {
    let Account { user, credentials } = account;
    // The statement itself reports a clash of ids or e-mails, by 0 rows instead of an error of the driver.
    let done = sqlx::query(
        "insert into users (id, name, email, email_key, key_form, password, role, sections, created_at, version)
         select $1, $2, $3, $4, 2, $5, $6, $7, $8, $9
         where not exists (select 1 from erasures where user_id = $1)
           and not ($10 and exists (select 1 from users where role = 'admin'))
         on conflict do nothing",
    )
    .bind(user.id.uuid())
    .bind(user.name.as_str())
    .bind(user.email.as_str())
    .bind(user.email.key())
    .bind(credentials.phc())
    .bind(user.role.as_str())
    .bind(encode_sections(&user.sections)?)
    .bind(StoredTime(user.created_at))
    .bind(StoredVersion::from(user.version))
    .bind(only_without_admin)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Inserts an account, or says why it was not inserted.
pub async fn insert_one(
    tx: &mut SqliteConnection,
    account: &Account,
) -> Result<InsertOutcome, UserStoreError> {
    if insert(tx, account, false).await? {
        audit_role(tx, account).await?;
        return Ok(InsertOutcome::Stored);
    }
    if is_erased(tx, account.user.id).await? {
        return Ok(InsertOutcome::Erased);
    }
    match find_user(tx, account.user.id).await? {
        Some(_) => Ok(InsertOutcome::AlreadyThere),
        None => Err(UserStoreError::EmailTaken),
    }
}

/// Writes an entry about the role of an account that is created with one.
pub async fn audit_role(tx: &mut SqliteConnection, Account { user, .. }: &Account) -> sqlx::Result<()> {
    if user.role == Role::Reader {
        return Ok(());
    }
    audit::append(tx, AuditKind::Role(user.role), user.id, &Origin::portal(user.created_at)).await
}

async fn is_erased(tx: &mut SqliteConnection, id: UserId) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select 1 from erasures where user_id = $1)")
        .bind(id.uuid())
        .fetch_one(tx)
        .await
}
