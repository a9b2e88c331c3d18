//! Rows of the SQLite store as values of the domain, and registrations as rows.

use chassis::StoreFailure;
use kernel::{Timestamp, UserId, Version};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::record::texts;
use super::sqlite::user;
use super::{sections_of, sections_text};
use crate::domain::{Account, Choice, Consent, Credentials, User};
use crate::ports::{Inserted, UserStoreError};

#[derive(sqlx::FromRow)]
pub struct UserRow {
    id: Uuid,
    name: String,
    email: String,
    role: String,
    sections: Option<String>,
    created_at: i64,
    version: u32,
}

impl TryFrom<UserRow> for User {
    type Error = StoreFailure;

    fn try_from(row: UserRow) -> Result<Self, StoreFailure> {
        let (name, email) = texts(row.name, row.email);
        Ok(User {
            id: UserId::new(row.id),
            name,
            email,
            role: row.role.parse().map_err(|error: kernel::UnknownRole| StoreFailure::broken(error))?,
            sections: sections_of(row.sections.as_deref())?,
            created_at: Timestamp::from_millis(row.created_at),
            version: Version::new(row.version),
        })
    }
}

#[derive(sqlx::FromRow)]
pub struct AccountRow {
    #[sqlx(flatten)]
    user: UserRow,
    password: String,
}

impl TryFrom<AccountRow> for Account {
    type Error = StoreFailure;

    fn try_from(row: AccountRow) -> Result<Self, StoreFailure> {
        Ok(Account { user: row.user.try_into()?, credentials: Credentials::from_phc(row.password) })
    }
}

#[derive(sqlx::FromRow)]
pub struct ConsentRow {
    personalisation: bool,
    history: bool,
    version: u32,
    changed_at: i64,
}

impl From<ConsentRow> for Consent {
    fn from(row: ConsentRow) -> Self {
        Consent {
            choice: Choice { personalisation: row.personalisation, history: row.history },
            version: row.version,
            // Nothing where the person has never said anything.
            changed_at: (row.version > 0).then(|| Timestamp::from_millis(row.changed_at)),
        }
    }
}

pub fn whole(rows: Vec<UserRow>) -> Result<Vec<User>, UserStoreError> {
    Ok(rows.into_iter().map(User::try_from).collect::<Result<_, _>>()?)
}

/// Inserts an account that clashes with nothing and was not erased, and with `only_without_admin` only where nobody is an admin.
pub async fn insert(
    tx: &mut SqliteConnection,
    account: &Account,
    only_without_admin: bool,
) -> sqlx::Result<bool> {
    let Account { user, credentials } = account;
    // A clash of ids or e-mails is the statement's answer, not a driver's error: 0 rows.
    let done = sqlx::query(
        "insert into users (id, name, email, email_key, key_form, password, role, sections, created_at, version)
         select ?1, ?2, ?3, ?4, 2, ?5, ?6, ?7, ?8, ?9
         where not exists (select 1 from erasures where user_id = ?1)
           and not (?10 and exists (select 1 from users where role = 'admin'))
         on conflict do nothing",
    )
    .bind(user.id.uuid())
    .bind(user.name.as_str())
    .bind(user.email.as_str())
    .bind(user.email.key())
    .bind(credentials.phc())
    .bind(user.role.as_str())
    .bind(sections_text(&user.sections).map_err(|error| sqlx::Error::Encode(error.into()))?)
    .bind(user.created_at.millis())
    .bind(user.version.number())
    .bind(only_without_admin)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The same, with what became of it.
pub async fn insert_one(tx: &mut SqliteConnection, account: &Account) -> Result<Inserted, UserStoreError> {
    if insert(tx, account, false).await? {
        return Ok(Inserted::Stored);
    }
    if is_erased(tx, account.user.id).await? {
        return Ok(Inserted::Erased);
    }
    match user(tx, account.user.id).await? {
        Some(_) => Ok(Inserted::AlreadyThere),
        None => Err(UserStoreError::EmailTaken),
    }
}

async fn is_erased(tx: &mut SqliteConnection, id: UserId) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select 1 from erasures where user_id = ?)")
        .bind(id.uuid())
        .fetch_one(tx)
        .await
}
