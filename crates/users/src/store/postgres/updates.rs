//! Changes of accounts in the PostgreSQL store.

use chassis::StoredVersion;
use chassis::postgres::Database;
use kernel::{Expected, UserId};
use sqlx::PgConnection;

use super::accounts::{find_user, lock_user};
use super::{audit, sessions};
use crate::domain::{AccountChange, AuditKind, Credentials, Email, Origin, User};
use crate::ports::UserStoreError;
use crate::store::rows::{self, UserRow};

/// See [`crate::ports::UserStore::update`].
pub async fn update(
    database: &Database,
    id: UserId,
    expected: &Expected,
    change: &AccountChange,
    origin: &Origin,
) -> Result<User, UserStoreError> {
    let versions: Option<Vec<StoredVersion>> = match expected {
        Expected::Any => None,
        Expected::OneOf(versions) => Some(versions.iter().copied().map(StoredVersion::from).collect()),
    };
    let mut tx = database.begin().await?;
    let is_new_email = match &change.email {
        Some(email) => !is_email_of(&mut tx, email, id).await?,
        None => false,
    };
    let row: Option<UserRow> = sqlx::query_as(
        "update users set
             name = coalesce($2, name), email = coalesce($3, email), email_key = coalesce($4, email_key),
             key_form = case when $4::text is null then key_form else 2 end,
             password = coalesce($5, password), version = version + 1
         where id = $1
           and ($6::integer[] is null or version = any($6))
           and ($7::text is null or password = $7)
           and not exists (select 1 from users as other where other.email_key = $4 and other.id <> $1)
         returning id, name, email, role, sections, created_at, version",
    )
    .bind(id.uuid())
    .bind(change.name.as_ref().map(|name| name.as_str()))
    .bind(change.email.as_ref().map(Email::as_str))
    .bind(change.email.as_ref().map(Email::key))
    .bind(change.credentials.as_ref().map(Credentials::phc))
    .bind(versions)
    .bind(change.proven.as_ref().map(Credentials::phc))
    .fetch_optional(&mut *tx)
    .await
    .map_err(email_clash)?;
    let Some(row) = row else { return Err(update_refusal(&mut tx, id, expected, change).await?) };
    if is_new_email {
        audit::append(&mut tx, AuditKind::EmailChanged, id, origin).await?;
    }
    if change.credentials.is_some() {
        audit::append(&mut tx, AuditKind::PasswordChanged, id, origin).await?;
        sessions::end_others(&mut tx, id, change.keeps, origin).await?;
    }
    tx.commit().await?;
    Ok(User::try_from(row)?)
}

/// Recognises an e-mail that another account took at the same moment by the name of the constraint. An update
/// can't say what to do on a conflict, as an insert can.
fn email_clash(error: sqlx::Error) -> UserStoreError {
    let constraint = error.as_database_error().and_then(|error| error.constraint());
    if constraint == Some("users_email_unique") { UserStoreError::EmailTaken } else { error.into() }
}

/// Says whether this is the e-mail of the account, in any spelling. The account is locked first, so that
/// the answer still holds at the update.
async fn is_email_of(tx: &mut PgConnection, email: &Email, id: UserId) -> sqlx::Result<bool> {
    lock_user(&mut *tx, id).await?;
    sqlx::query_scalar(rows::IS_EMAIL_OF).bind(id.uuid()).bind(email.key()).fetch_one(tx).await
}

/// Says why an update changed nothing.
async fn update_refusal(
    tx: &mut PgConnection,
    id: UserId,
    expected: &Expected,
    change: &AccountChange,
) -> Result<UserStoreError, UserStoreError> {
    let current = find_user(tx, id).await?.ok_or(UserStoreError::NotFound)?;
    let clashes = match &change.email {
        Some(email) if expected.admits(current.version) => is_email_of_another(tx, email, id).await?,
        _ => false,
    };
    Ok(if clashes { UserStoreError::EmailTaken } else { UserStoreError::Stale { current: current.version } })
}

async fn is_email_of_another(tx: &mut PgConnection, email: &Email, id: UserId) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select 1 from users where email_key = $1 and id <> $2)")
        .bind(email.key())
        .bind(id.uuid())
        .fetch_one(tx)
        .await
}
