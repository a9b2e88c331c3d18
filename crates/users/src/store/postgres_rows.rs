//! Rows of the PostgreSQL store as values of the domain, and registrations as rows, many in one statement.

use std::collections::HashSet;

use chassis::StoreFailure;
use chassis::postgres::{timestamp, timestamptz};
use kernel::{UserId, Version};
use sqlx::PgConnection;
use sqlx::types::time::OffsetDateTime;
use uuid::Uuid;

use super::record::texts;
use super::{sections_of, sections_text};
use crate::domain::{Account, Choice, Consent, Credentials, User};
use crate::ports::{Inserted, Insertions, UserStoreError};

#[derive(sqlx::FromRow)]
pub struct UserRow {
    id: Uuid,
    name: String,
    email: String,
    role: String,
    sections: Option<String>,
    created_at: OffsetDateTime,
    version: i32,
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
            created_at: timestamp(row.created_at),
            version: Version::new(row.version.unsigned_abs()),
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
    version: i32,
    /// Nothing where the person has never said anything.
    changed_at: Option<OffsetDateTime>,
}

impl From<ConsentRow> for Consent {
    fn from(row: ConsentRow) -> Self {
        Consent {
            choice: Choice { personalisation: row.personalisation, history: row.history },
            version: row.version.unsigned_abs(),
            changed_at: row.changed_at.map(timestamp),
        }
    }
}

/// A version as the database counts it. Versions count single changes of one thing: they do not reach the end of an `integer`.
pub fn number(version: u32) -> i32 {
    i32::try_from(version).unwrap_or(i32::MAX)
}

pub fn whole(rows: Vec<UserRow>) -> Result<Vec<User>, UserStoreError> {
    Ok(rows.into_iter().map(User::try_from).collect::<Result<_, _>>()?)
}

/// The columns of many accounts: one statement for any number of rows.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    names: Vec<String>,
    emails: Vec<String>,
    keys: Vec<String>,
    passwords: Vec<String>,
    roles: Vec<&'static str>,
    sections: Vec<Option<String>>,
    times: Vec<OffsetDateTime>,
    versions: Vec<i32>,
}

impl Columns {
    fn of(accounts: &[Account]) -> Result<Self, StoreFailure> {
        let mut columns = Self::default();
        for Account { user, credentials } in accounts {
            columns.ids.push(user.id.uuid());
            columns.names.push(user.name.as_str().to_owned());
            columns.emails.push(user.email.as_str().to_owned());
            columns.keys.push(user.email.key().to_owned());
            columns.passwords.push(credentials.phc().to_owned());
            columns.roles.push(user.role.as_str());
            columns.sections.push(sections_text(&user.sections)?);
            columns.times.push(timestamptz(user.created_at));
            columns.versions.push(number(user.version.number()));
        }
        Ok(columns)
    }
}

/// Inserts what clashes with nothing and was not erased, and answers with the ids of that.
pub async fn insert_rows(
    tx: &mut PgConnection,
    accounts: &[Account],
) -> Result<HashSet<Uuid>, UserStoreError> {
    let columns = Columns::of(accounts)?;
    // A clash of ids or e-mails is the statement's answer, not a driver's error: the row is not returned.
    let stored: Vec<Uuid> = sqlx::query_scalar(
        "insert into users (id, name, email, email_key, key_form, password, role, sections, created_at, version)
         select new.id, new.name, new.email, new.email_key, 2, new.password, new.role, new.sections, new.created_at,
                new.version
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                     $7::text[], $8::timestamptz[], $9::integer[])
              as new (id, name, email, email_key, password, role, sections, created_at, version)
         where not exists (select 1 from erasures where user_id = new.id)
         on conflict do nothing
         returning id",
    )
    .bind(columns.ids)
    .bind(columns.names)
    .bind(columns.emails)
    .bind(columns.keys)
    .bind(columns.passwords)
    .bind(columns.roles)
    .bind(columns.sections)
    .bind(columns.times)
    .bind(columns.versions)
    .fetch_all(&mut *tx)
    .await?;
    if stored.is_empty() {
        return Ok(HashSet::new());
    }
    // An erasure that was under way is waited for at its row, but its tombstone is newer than what that statement saw.
    let erased: Vec<Uuid> = sqlx::query_scalar(
        "delete from users using erasures where user_id = id and id = any($1) returning id",
    )
    .bind(&stored)
    .fetch_all(tx)
    .await?;
    Ok(stored.into_iter().filter(|id| !erased.contains(id)).collect())
}

#[derive(sqlx::FromRow)]
struct FateRow {
    id: Uuid,
    is_erased: bool,
    is_there: bool,
}

/// What became of each account, in their order.
pub async fn outcomes_of(
    tx: &mut PgConnection,
    accounts: &[Account],
    stored: &HashSet<Uuid>,
) -> Result<Insertions, UserStoreError> {
    let ids = accounts.iter().map(|account| account.user.id.uuid());
    let others: Vec<Uuid> = ids.clone().filter(|id| !stored.contains(id)).collect();
    let fates: Vec<FateRow> = if others.is_empty() {
        Vec::new()
    } else {
        sqlx::query_as(
            "select id, exists (select 1 from erasures where user_id = asked.id) as is_erased,
                    exists (select 1 from users where users.id = asked.id) as is_there
             from unnest($1::uuid[]) as asked (id)",
        )
        .bind(others)
        .fetch_all(tx)
        .await?
    };
    // An id that comes twice is stored once.
    let mut first = stored.clone();
    let outcome = |id: Uuid| match fates.iter().find(|fate| fate.id == id) {
        None if first.remove(&id) => Ok(Inserted::Stored),
        Some(fate) if fate.is_erased => Ok(Inserted::Erased),
        Some(fate) if !fate.is_there => Err(UserStoreError::EmailTaken),
        _ => Ok(Inserted::AlreadyThere),
    };
    Ok(ids.map(outcome).collect())
}
