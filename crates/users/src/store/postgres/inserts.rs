//! Registrations as rows of the PostgreSQL store, many in one statement.

use std::collections::HashSet;

use chassis::{StoreFailure, StoredTime, StoredVersion};
use kernel::Role;
use sqlx::PgConnection;
use uuid::Uuid;

use super::audit;
use crate::domain::{Account, AuditKind, Origin};
use crate::ports::{InsertOutcome, InsertOutcomes, UserStoreError};
use crate::store::rows::encode_sections;

/// The columns of many accounts: one statement inserts any number of rows.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    names: Vec<String>,
    emails: Vec<String>,
    keys: Vec<String>,
    passwords: Vec<String>,
    roles: Vec<&'static str>,
    sections: Vec<Option<String>>,
    times: Vec<StoredTime>,
    versions: Vec<StoredVersion>,
}

impl Columns {
    fn new(accounts: &[Account]) -> Result<Self, StoreFailure> {
        let mut columns = Self::default();
        for Account { user, credentials } in accounts {
            columns.ids.push(user.id.uuid());
            columns.names.push(user.name.as_str().to_owned());
            columns.emails.push(user.email.as_str().to_owned());
            columns.keys.push(user.email.key().to_owned());
            columns.passwords.push(credentials.phc().to_owned());
            columns.roles.push(user.role.as_str());
            columns.sections.push(encode_sections(&user.sections)?);
            columns.times.push(StoredTime(user.created_at));
            columns.versions.push(user.version.into());
        }
        Ok(columns)
    }
}

/// Inserts the accounts that clash with no other one and were not erased, and returns their ids.
pub async fn insert_rows(
    tx: &mut PgConnection,
    accounts: &[Account],
) -> Result<HashSet<Uuid>, UserStoreError> {
    let columns = Columns::new(accounts)?;
    // The statement itself reports a clash of ids or e-mails: the row is not returned, and the driver reports
    // no error.
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
    // The insert waits at the row of an account whose erasure is in progress, but it did not see the
    // tombstone, which is newer.
    let erased: Vec<Uuid> = sqlx::query_scalar(
        "delete from users using erasures where user_id = id and id = any($1) returning id",
    )
    .bind(&stored)
    .fetch_all(&mut *tx)
    .await?;
    let stored: HashSet<Uuid> = stored.into_iter().filter(|id| !erased.contains(id)).collect();
    for Account { user, .. } in accounts.iter().filter(|account| stored.contains(&account.user.id.uuid())) {
        // An account that is created with a role: an entry of the audit says so.
        if user.role != Role::Reader {
            audit::append(&mut *tx, AuditKind::Role(user.role), user.id, &Origin::portal(user.created_at))
                .await?;
        }
    }
    Ok(stored)
}

#[derive(sqlx::FromRow)]
struct RefusedRow {
    id: Uuid,
    is_erased: bool,
    is_there: bool,
}

/// Returns the outcome of each account, in their order. `stored` are the ids that [`insert_rows`] returned.
pub async fn find_outcomes(
    tx: &mut PgConnection,
    accounts: &[Account],
    stored: &HashSet<Uuid>,
) -> Result<InsertOutcomes, UserStoreError> {
    let ids = accounts.iter().map(|account| account.user.id.uuid());
    let others: Vec<Uuid> = ids.clone().filter(|id| !stored.contains(id)).collect();
    let refused: Vec<RefusedRow> = if others.is_empty() {
        Vec::new()
    } else {
        sqlx::query_as(
            "select id, exists (select 1 from erasures where user_id = wanted.id) as is_erased,
                    exists (select 1 from users where users.id = wanted.id) as is_there
             from unnest($1::uuid[]) as wanted (id)",
        )
        .bind(others)
        .fetch_all(tx)
        .await?
    };
    // An id that occurs twice is stored once.
    let mut first = stored.clone();
    let outcome = |id: Uuid| match refused.iter().find(|row| row.id == id) {
        None if first.remove(&id) => Ok(InsertOutcome::Stored),
        Some(row) if row.is_erased => Ok(InsertOutcome::Erased),
        Some(row) if !row.is_there => Err(UserStoreError::EmailTaken),
        _ => Ok(InsertOutcome::AlreadyThere),
    };
    Ok(ids.map(outcome).collect())
}
