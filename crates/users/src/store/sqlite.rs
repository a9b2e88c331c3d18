//! The truth about accounts in a SQLite file.
//!
//! Limits: one process and one writer at a time; every write is its own `begin immediate` transaction.

use std::sync::Arc;

use async_trait::async_trait;
use bus::sqlite_outbox::{SqliteOutbox, enqueue};
use chassis::sqlite::Database;
use chassis::{SqliteErasure, StoreFailure, owe_sqlite};
use kernel::{Expected, Fault, MessageId, Role, Sections, Timestamp, UserId};
use sqlx::SqliteConnection;
use sqlx::migrate::Migrator;
use tokio::sync::Notify;
use uuid::Uuid;

use super::email_keys;
use super::outbox::envelope;
use super::sections_text;
use super::sqlite_rows::{AccountRow, ConsentRow, UserRow, insert, insert_one, whole};
use super::{sqlite_costs, sqlite_sessions};
use crate::domain::{Account, Change, Choice, Consent, Credentials, Email, Event, Refresh, Session, User};
use crate::ports::{
    Bearer, Ending, HashCost, Inserted, Insertions, Listing, Refreshed, SessionName, UserStore,
    UserStoreError,
};

static MIGRATOR: Migrator = sqlx::migrate!("../../db/users/sqlite");

/// The tables as they were before the keys of e-mails had forms, for tests of what becomes of them.
#[cfg(test)]
pub(super) fn before_key_forms() -> Migrator {
    Migrator::with_migrations(MIGRATOR.iter().filter(|step| step.version < 4).cloned().collect())
}

/// The accounts of one SQLite file.
pub struct SqliteUserStore {
    database: Database,
    told: Arc<Notify>,
}

impl SqliteUserStore {
    /// Opens the file and brings its tables up to date.
    ///
    /// # Errors
    /// Where it can't be opened, is open elsewhere, or a migration fails.
    pub async fn open(url: &str) -> Result<Self, StoreFailure> {
        let database = Database::open(url, &MIGRATOR).await?;
        email_keys::renew_sqlite(&database).await?;
        Ok(Self { database, told: Arc::default() })
    }

    /// What is to be told to other services.
    pub fn outbox(&self) -> SqliteOutbox {
        SqliteOutbox::new(self.database.clone(), self.told.clone())
    }

    /// What the file owes to people who were erased.
    pub fn erasure(&self) -> SqliteErasure {
        SqliteErasure::with_outbox(self.database.clone())
    }

    /// Closes the file.
    pub fn closer(&self) -> chassis::Closer {
        let database = self.database.clone();
        Box::pin(async move { database.close().await })
    }
}

impl From<sqlx::Error> for UserStoreError {
    fn from(error: sqlx::Error) -> Self {
        UserStoreError::Store(error.into())
    }
}

pub async fn user(tx: &mut SqliteConnection, id: UserId) -> Result<Option<User>, UserStoreError> {
    let row: Option<UserRow> =
        sqlx::query_as("select id, name, email, role, sections, created_at, version from users where id = ?")
            .bind(id.uuid())
            .fetch_optional(tx)
            .await?;
    Ok(row.map(User::try_from).transpose()?)
}

async fn has_admin(tx: &mut SqliteConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select 1 from users where role = 'admin')").fetch_one(tx).await
}

pub async fn consent(tx: &mut SqliteConnection, id: UserId) -> Result<Option<Consent>, UserStoreError> {
    let row: Option<ConsentRow> = sqlx::query_as(
        "select coalesce(personalisation, false) as personalisation, coalesce(history, false) as history,
                coalesce(consents.version, 0) as version, coalesce(changed_at, 0) as changed_at
         from users left join consents on user_id = id where id = ?",
    )
    .bind(id.uuid())
    .fetch_optional(tx)
    .await?;
    Ok(row.map(Consent::from))
}

#[async_trait]
impl UserStore for SqliteUserStore {
    async fn insert(&self, account: &Account) -> Result<Inserted, UserStoreError> {
        let mut tx = self.database.write().await?;
        let outcome = insert_one(&mut tx, account).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    async fn insert_all(&self, accounts: &[Account]) -> Result<Insertions, UserStoreError> {
        let mut tx = self.database.write().await?;
        let mut outcomes = Vec::with_capacity(accounts.len());
        for account in accounts {
            // A statement that fails undoes itself and nothing else.
            match insert_one(&mut tx, account).await {
                Err(error) if error.kind().is_transient() => return Err(error),
                outcome => outcomes.push(outcome),
            }
        }
        tx.commit().await?;
        Ok(outcomes)
    }

    async fn insert_first_admin(&self, account: &Account) -> Result<Inserted, UserStoreError> {
        let mut tx = self.database.write().await?;
        if insert(&mut tx, account, true).await? {
            tx.commit().await?;
            return Ok(Inserted::Stored);
        }
        if has_admin(&mut tx).await? { Ok(Inserted::AlreadyThere) } else { Err(UserStoreError::EmailTaken) }
    }

    async fn has_admin(&self) -> Result<bool, UserStoreError> {
        let mut connection = self.database.reader().acquire().await?;
        Ok(has_admin(&mut connection).await?)
    }

    async fn by_id(&self, id: UserId) -> Result<Option<User>, UserStoreError> {
        let mut connection = self.database.reader().acquire().await?;
        user(&mut connection, id).await
    }

    async fn by_ids(&self, ids: &[UserId]) -> Result<Vec<User>, UserStoreError> {
        let hex: Vec<String> = ids.iter().map(|id| id.uuid().simple().to_string().to_uppercase()).collect();
        let rows: Vec<UserRow> = sqlx::query_as(
            "select id, name, email, role, sections, created_at, version from users
             where id in (select unhex(value) from json_each(?))",
        )
        .bind(serde_json::Value::from(hex).to_string())
        .fetch_all(self.database.reader())
        .await?;
        whole(rows)
    }

    async fn account(&self, id: UserId) -> Result<Option<Account>, UserStoreError> {
        let row: Option<AccountRow> = sqlx::query_as(
            "select id, name, email, role, sections, created_at, version, password from users where id = ?",
        )
        .bind(id.uuid())
        .fetch_optional(self.database.reader())
        .await?;
        Ok(row.map(Account::try_from).transpose()?)
    }

    async fn account_of(&self, email: &Email) -> Result<Option<Account>, UserStoreError> {
        let row: Option<AccountRow> = sqlx::query_as(
            "select id, name, email, role, sections, created_at, version, password from users
             where email_key = ?1 or (key_form = 0 and email_key = ?2) order by key_form limit 1",
        )
        .bind(email.key())
        .bind(email.former_key())
        .fetch_optional(self.database.reader())
        .await?;
        Ok(row.map(Account::try_from).transpose()?)
    }

    async fn list(&self, start: u32, count: u32) -> Result<Listing, UserStoreError> {
        // One transaction: the total belongs to the slice.
        let mut tx = self.database.reader().begin().await?;
        let total: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&mut *tx).await?;
        let rows: Vec<UserRow> = sqlx::query_as(
            "select id, name, email, role, sections, created_at, version from users
             order by created_at, id limit ? offset ?",
        )
        .bind(count)
        .bind(start)
        .fetch_all(&mut *tx)
        .await?;
        Ok(Listing { users: whole(rows)?, total: total.unsigned_abs() })
    }

    async fn update(&self, id: UserId, expected: &Expected, change: &Change) -> Result<User, UserStoreError> {
        let versions = match expected {
            Expected::Any => None,
            Expected::OneOf(versions) => Some(serde_json::to_string(versions).map_err(StoreFailure::from)?),
        };
        let mut tx = self.database.write().await?;
        let row: Option<UserRow> = sqlx::query_as(
            "update users set
                 name = coalesce(?2, name), email = coalesce(?3, email), email_key = coalesce(?4, email_key),
                 key_form = case when ?4 is null then key_form else 2 end,
                 password = coalesce(?5, password), version = version + 1
             where id = ?1
               and (?6 is null or version in (select value from json_each(?6)))
               and (?7 is null or password = ?7)
               and not exists (select 1 from users as other where other.email_key = ?4 and other.id <> ?1)
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
        .await?;
        if let Some(row) = row {
            if change.credentials.is_some() {
                sqlite_sessions::end_others(&mut tx, id, change.keeps).await?;
            }
            tx.commit().await?;
            return Ok(User::try_from(row)?);
        }
        let current = user(&mut tx, id).await?.ok_or(UserStoreError::NotFound)?;
        let clashes = match &change.email {
            Some(email) if expected.admits(current.version) => {
                holder(&mut tx, email).await?.is_some_and(|holder| holder != id)
            }
            _ => false,
        };
        if clashes {
            Err(UserStoreError::EmailTaken)
        } else {
            Err(UserStoreError::Stale { current: current.version })
        }
    }

    async fn rehash(
        &self,
        id: UserId,
        proven: &Credentials,
        credentials: &Credentials,
    ) -> Result<bool, UserStoreError> {
        let mut tx = self.database.write().await?;
        let done = sqlx::query("update users set password = ? where id = ? and password = ?")
            .bind(credentials.phc())
            .bind(id.uuid())
            .bind(proven.phc())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    async fn hash_costs(&self) -> Result<Vec<HashCost>, UserStoreError> {
        sqlite_costs::hash_costs(&self.database).await
    }

    async fn set_role(&self, id: UserId, role: Role, sections: &Sections) -> Result<User, UserStoreError> {
        let mut tx = self.database.write().await?;
        let row: Option<UserRow> = sqlx::query_as(
            "update users set role = ?2, sections = ?3, version = version + 1
             where id = ?1
               and (?2 = 'admin' or role <> 'admin'
                    or exists (select 1 from users as other where other.role = 'admin' and other.id <> ?1))
             returning id, name, email, role, sections, created_at, version",
        )
        .bind(id.uuid())
        .bind(role.as_str())
        .bind(sections_text(sections)?)
        .fetch_optional(&mut *tx)
        .await?;
        match row {
            Some(row) => {
                tx.commit().await?;
                Ok(User::try_from(row)?)
            }
            None if user(&mut tx, id).await?.is_some() => Err(UserStoreError::LastAdmin),
            None => Err(UserStoreError::NotFound),
        }
    }

    async fn erase(&self, id: UserId, fact: MessageId, at: Timestamp) -> Result<(), UserStoreError> {
        let mut tx = self.database.write().await?;
        let gone = sqlx::query(
            "delete from users
             where id = ?1
               and (role <> 'admin'
                    or exists (select 1 from users as other where other.role = 'admin' and other.id <> ?1))",
        )
        .bind(id.uuid())
        .execute(&mut *tx)
        .await?;
        if gone.rows_affected() == 0 {
            return match user(&mut tx, id).await? {
                Some(_) => Err(UserStoreError::LastAdmin),
                None => Err(UserStoreError::NotFound),
            };
        }
        sqlx::query("insert into erasures (user_id, erased_at) values (?, ?)")
            .bind(id.uuid())
            .bind(at.millis())
            .execute(&mut *tx)
            .await?;
        enqueue(&mut tx, &envelope(fact, &Event::UserErased { user: id, at })).await?;
        owe_sqlite(&mut tx, id).await?;
        tx.commit().await?;
        self.told.notify_one();
        self.database.forget().await;
        Ok(())
    }

    async fn consent(&self, id: UserId) -> Result<Option<Consent>, UserStoreError> {
        let mut connection = self.database.reader().acquire().await?;
        consent(&mut connection, id).await
    }

    async fn set_consent(
        &self,
        id: UserId,
        choice: Choice,
        fact: MessageId,
        at: Timestamp,
    ) -> Result<Consent, UserStoreError> {
        let mut tx = self.database.write().await?;
        let before = consent(&mut tx, id).await?.ok_or(UserStoreError::NotFound)?;
        let Some(changed) = before.changed_to(choice, at) else { return Ok(before) };
        sqlx::query(
            "insert into consents (user_id, personalisation, history, version, changed_at) values (?, ?, ?, ?, ?)
             on conflict (user_id) do update set personalisation = excluded.personalisation,
                 history = excluded.history, version = excluded.version, changed_at = excluded.changed_at",
        )
        .bind(id.uuid())
        .bind(choice.personalisation)
        .bind(choice.history)
        .bind(changed.version)
        .bind(at.millis())
        .execute(&mut *tx)
        .await?;
        enqueue(&mut tx, &envelope(fact, &Event::ConsentChanged { user: id, consent: changed, at })).await?;
        tx.commit().await?;
        self.told.notify_one();
        Ok(changed)
    }

    async fn open_session(
        &self,
        session: &Session,
        proven: &Credentials,
        most: u32,
    ) -> Result<Bearer, UserStoreError> {
        sqlite_sessions::open(&self.database, session, proven, most).await
    }

    async fn refresh_session(&self, refresh: &Refresh) -> Result<Refreshed, UserStoreError> {
        sqlite_sessions::refresh(&self.database, refresh).await
    }

    async fn session(&self, name: SessionName, now: Timestamp) -> Result<Option<Session>, UserStoreError> {
        sqlite_sessions::find(&self.database, name, now).await
    }

    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, UserStoreError> {
        sqlite_sessions::list(&self.database, user, now).await
    }

    async fn end_sessions(&self, which: Ending) -> Result<u64, UserStoreError> {
        let mut tx = self.database.write().await?;
        let ended = sqlite_sessions::end(&mut tx, which).await?;
        tx.commit().await?;
        Ok(ended)
    }

    async fn ping(&self) -> Result<(), StoreFailure> {
        self.database.ping().await
    }

    async fn try_write(&self) -> Result<(), StoreFailure> {
        self.database.try_write().await
    }
}

async fn holder(tx: &mut SqliteConnection, email: &Email) -> sqlx::Result<Option<UserId>> {
    let id: Option<Uuid> = sqlx::query_scalar("select id from users where email_key = ?")
        .bind(email.key())
        .fetch_optional(tx)
        .await?;
    Ok(id.map(UserId::new))
}
