//! The user store in a SQLite file.
//!
//! Limits: one process and one writer at a time. Every write is a `begin immediate` transaction of its own.

mod answers;
mod audit;
mod erasures;
mod exports;
mod hash_costs;
mod inserts;
mod intake;
mod sessions;

use std::sync::Arc;

use async_trait::async_trait;
use bus::sqlite_outbox::{SqliteOutbox, enqueue};
use chassis::sqlite::Database;
use chassis::{Closer, SqliteErasure, StoreFailure, StoredTime, StoredVersion, enqueue_erasure};
use kernel::{Expected, Fault, MessageId, Role, Sections, Timestamp, UserId};
use sqlx::SqliteConnection;
use sqlx::migrate::Migrator;
use tokio::sync::Notify;
use uuid::Uuid;

pub use intake::SqliteIntake;

use super::OpenedAccounts;
use super::audit::REMOVE_NETWORKS;
use super::email_keys;
use super::erasures as erasure_rows;
use super::outbox::envelope;
use super::rows::{self, AccountRow, ConsentRow, UserRow, convert_all, encode_sections};
use crate::domain::{
    Account, AccountChange, AuditKind, Consent, ConsentChoice, Credentials, Email, Event, Origin,
    RefreshRequest, Session, User,
};
use crate::ports::{
    HashCost, InsertOutcome, InsertOutcomes, Listing, RefreshOutcome, SessionName, SessionsToEnd,
    TokenSubject, UserStore, UserStoreError,
};

static MIGRATOR: Migrator = sqlx::migrate!("../../db/users/sqlite");

/// Returns the migrations before e-mail keys had forms, for tests of the upgrade.
#[cfg(test)]
pub(super) fn before_key_forms() -> Migrator {
    Migrator::with_migrations(MIGRATOR.iter().filter(|step| step.version < 4).cloned().collect())
}

/// The accounts of one SQLite file.
pub struct SqliteUserStore {
    database: Database,
    /// Notified when a message was written into the outbox.
    outbox_wake: Arc<Notify>,
}

impl SqliteUserStore {
    /// Opens the file and brings its tables up to date.
    ///
    /// # Errors
    /// If the file can't be opened, is open in another process, or a migration fails.
    pub async fn open(url: &str) -> Result<Self, StoreFailure> {
        let database = Database::open(url, &MIGRATOR).await?;
        email_keys::renew_in_sqlite(&database).await?;
        Ok(Self { database, outbox_wake: Arc::default() })
    }

    /// Returns the outbox in this file.
    pub fn outbox(&self) -> SqliteOutbox {
        SqliteOutbox::new(self.database.clone(), self.outbox_wake.clone())
    }

    /// Returns what closes the file.
    pub fn closer(&self) -> Closer {
        let database = self.database.clone();
        Box::pin(async move { database.close().await })
    }

    /// Returns the ports of this file, with everything that belongs to it.
    pub fn into_opened(self) -> OpenedAccounts {
        let erasure = SqliteErasure::with_outbox(self.database.clone());
        let (outbox, closer) = (Arc::new(self.outbox()), self.closer());
        OpenedAccounts::new(self, outbox, Arc::new(erasure), closer)
    }
}

async fn find_user(tx: &mut SqliteConnection, id: UserId) -> Result<Option<User>, UserStoreError> {
    let row: Option<UserRow> = sqlx::query_as(rows::USER_BY_ID).bind(id.uuid()).fetch_optional(tx).await?;
    Ok(row.map(User::try_from).transpose()?)
}

async fn has_admin(tx: &mut SqliteConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar(rows::HAS_ADMIN).fetch_one(tx).await
}

async fn find_consent(tx: &mut SqliteConnection, id: UserId) -> Result<Option<Consent>, UserStoreError> {
    let row: Option<ConsentRow> =
        sqlx::query_as(rows::CONSENT_BY_USER).bind(id.uuid()).fetch_optional(tx).await?;
    Ok(row.map(Consent::from))
}

async fn is_email_of_another(tx: &mut SqliteConnection, email: &Email, id: UserId) -> sqlx::Result<bool> {
    let owner: Option<Uuid> = sqlx::query_scalar("select id from users where email_key = $1")
        .bind(email.key())
        .fetch_optional(tx)
        .await?;
    Ok(owner.is_some_and(|owner| owner != id.uuid()))
}

/// Says whether this is the e-mail of the account, in any spelling.
async fn is_email_of(tx: &mut SqliteConnection, email: &Email, id: UserId) -> sqlx::Result<bool> {
    sqlx::query_scalar(rows::IS_EMAIL_OF).bind(id.uuid()).bind(email.key()).fetch_one(tx).await
}

/// Says why an update changed nothing.
async fn update_refusal(
    tx: &mut SqliteConnection,
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

#[async_trait]
impl UserStore for SqliteUserStore {
    async fn insert(&self, account: &Account) -> Result<InsertOutcome, UserStoreError> {
        let mut tx = self.database.write().await?;
        let outcome = inserts::insert_one(&mut tx, account).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    async fn insert_all(&self, accounts: &[Account]) -> Result<InsertOutcomes, UserStoreError> {
        let mut tx = self.database.write().await?;
        let mut outcomes = Vec::with_capacity(accounts.len());
        for account in accounts {
            // A statement that fails undoes itself and nothing else.
            match inserts::insert_one(&mut tx, account).await {
                Err(error) if error.kind().is_transient() => return Err(error),
                outcome => outcomes.push(outcome),
            }
        }
        tx.commit().await?;
        Ok(outcomes)
    }

    async fn insert_first_admin(&self, account: &Account) -> Result<InsertOutcome, UserStoreError> {
        let mut tx = self.database.write().await?;
        if inserts::insert(&mut tx, account, true).await? {
            inserts::audit_role(&mut tx, account).await?;
            tx.commit().await?;
            return Ok(InsertOutcome::Stored);
        }
        if has_admin(&mut tx).await? {
            Ok(InsertOutcome::AlreadyThere)
        } else {
            Err(UserStoreError::EmailTaken)
        }
    }

    async fn has_admin(&self) -> Result<bool, UserStoreError> {
        let mut connection = self.database.reader().acquire().await?;
        Ok(has_admin(&mut connection).await?)
    }

    async fn by_id(&self, id: UserId) -> Result<Option<User>, UserStoreError> {
        let mut connection = self.database.reader().acquire().await?;
        find_user(&mut connection, id).await
    }

    async fn by_ids(&self, ids: &[UserId]) -> Result<Vec<User>, UserStoreError> {
        let hex: Vec<String> = ids.iter().map(|id| id.uuid().simple().to_string().to_uppercase()).collect();
        let rows: Vec<UserRow> = sqlx::query_as(
            "select id, name, email, role, sections, created_at, version from users
             where id in (select unhex(value) from json_each($1))",
        )
        .bind(serde_json::Value::from(hex).to_string())
        .fetch_all(self.database.reader())
        .await?;
        Ok(convert_all(rows)?)
    }

    async fn account(&self, id: UserId) -> Result<Option<Account>, UserStoreError> {
        let row: Option<AccountRow> = sqlx::query_as(rows::ACCOUNT_BY_ID)
            .bind(id.uuid())
            .fetch_optional(self.database.reader())
            .await?;
        Ok(row.map(Account::try_from).transpose()?)
    }

    async fn account_by_email(&self, email: &Email) -> Result<Option<Account>, UserStoreError> {
        let row: Option<AccountRow> = sqlx::query_as(rows::ACCOUNT_BY_EMAIL)
            .bind(email.key())
            .bind(email.former_key())
            .fetch_optional(self.database.reader())
            .await?;
        Ok(row.map(Account::try_from).transpose()?)
    }

    async fn list(&self, start: u32, count: u32) -> Result<Listing, UserStoreError> {
        // One transaction, so that the total belongs to the range.
        let mut tx = self.database.reader().begin().await?;
        let total: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&mut *tx).await?;
        let rows: Vec<UserRow> =
            sqlx::query_as(rows::USERS_IN_ORDER).bind(count).bind(start).fetch_all(&mut *tx).await?;
        Ok(Listing { users: convert_all(rows)?, total: total.unsigned_abs() })
    }

    async fn update(
        &self,
        id: UserId,
        expected: &Expected,
        change: &AccountChange,
        origin: &Origin,
    ) -> Result<User, UserStoreError> {
        let versions = match expected {
            Expected::Any => None,
            Expected::OneOf(versions) => Some(serde_json::to_string(versions).map_err(StoreFailure::from)?),
        };
        let mut tx = self.database.write().await?;
        let is_new_email = match &change.email {
            Some(email) => !is_email_of(&mut tx, email, id).await?,
            None => false,
        };
        let row: Option<UserRow> = sqlx::query_as(
            "update users set
                 name = coalesce($2, name), email = coalesce($3, email), email_key = coalesce($4, email_key),
                 key_form = case when $4 is null then key_form else 2 end,
                 password = coalesce($5, password), version = version + 1
             where id = $1
               and ($6 is null or version in (select value from json_each($6)))
               and ($7 is null or password = $7)
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
        .await?;
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

    async fn rehash(
        &self,
        id: UserId,
        proven: &Credentials,
        credentials: &Credentials,
    ) -> Result<bool, UserStoreError> {
        let mut tx = self.database.write().await?;
        let done = sqlx::query(rows::REHASH)
            .bind(credentials.phc())
            .bind(id.uuid())
            .bind(proven.phc())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    async fn hash_costs(&self) -> Result<Vec<HashCost>, UserStoreError> {
        hash_costs::hash_costs(&self.database).await
    }

    async fn set_role(
        &self,
        id: UserId,
        role: Role,
        sections: &Sections,
        origin: &Origin,
    ) -> Result<User, UserStoreError> {
        let mut tx = self.database.write().await?;
        let row: Option<UserRow> = sqlx::query_as(rows::SET_ROLE)
            .bind(id.uuid())
            .bind(role.as_str())
            .bind(encode_sections(sections)?)
            .fetch_optional(&mut *tx)
            .await?;
        match row {
            Some(row) => {
                audit::append(&mut tx, AuditKind::Role(role), id, origin).await?;
                tx.commit().await?;
                Ok(User::try_from(row)?)
            }
            None if find_user(&mut tx, id).await?.is_some() => Err(UserStoreError::LastAdmin),
            None => Err(UserStoreError::NotFound),
        }
    }

    async fn erase(&self, id: UserId, message: MessageId, origin: &Origin) -> Result<(), UserStoreError> {
        let mut tx = self.database.write().await?;
        let deleted = sqlx::query(rows::DELETE_UNLESS_LAST_ADMIN).bind(id.uuid()).execute(&mut *tx).await?;
        if deleted.rows_affected() == 0 {
            return match find_user(&mut tx, id).await? {
                Some(_) => Err(UserStoreError::LastAdmin),
                None => Err(UserStoreError::NotFound),
            };
        }
        let at = origin.at;
        sqlx::query(erasure_rows::INSERT).bind(id.uuid()).bind(StoredTime(at)).execute(&mut *tx).await?;
        audit::append(&mut tx, AuditKind::Erased, id, origin).await?;
        sqlx::query(REMOVE_NETWORKS).bind(id.uuid()).execute(&mut *tx).await?;
        enqueue(&mut tx, &envelope(message, &Event::UserErased { user: id, at })).await?;
        enqueue_erasure(&mut tx, id).await?;
        tx.commit().await?;
        self.outbox_wake.notify_one();
        self.database.forget().await;
        Ok(())
    }

    async fn consent(&self, id: UserId) -> Result<Option<Consent>, UserStoreError> {
        let mut connection = self.database.reader().acquire().await?;
        find_consent(&mut connection, id).await
    }

    async fn set_consent(
        &self,
        id: UserId,
        choice: ConsentChoice,
        message: MessageId,
        origin: &Origin,
    ) -> Result<Consent, UserStoreError> {
        let at = origin.at;
        let mut tx = self.database.write().await?;
        let before = find_consent(&mut tx, id).await?.ok_or(UserStoreError::NotFound)?;
        let Some(consent) = before.changed_to(choice, at) else { return Ok(before) };
        sqlx::query(rows::PUT_CONSENT)
            .bind(id.uuid())
            .bind(choice.personalisation)
            .bind(choice.history)
            .bind(StoredVersion(consent.version))
            .bind(StoredTime(at))
            .execute(&mut *tx)
            .await?;
        for kind in AuditKind::of_consent(&before, &consent) {
            audit::append(&mut tx, kind, id, origin).await?;
        }
        enqueue(&mut tx, &envelope(message, &Event::ConsentChanged { user: id, consent, at })).await?;
        tx.commit().await?;
        self.outbox_wake.notify_one();
        Ok(consent)
    }

    async fn open_session(
        &self,
        session: &Session,
        proven: &Credentials,
        most: u32,
        origin: &Origin,
    ) -> Result<TokenSubject, UserStoreError> {
        sessions::open(&self.database, session, proven, most, origin).await
    }

    async fn refresh_session(&self, refresh: &RefreshRequest) -> Result<RefreshOutcome, UserStoreError> {
        sessions::refresh(&self.database, refresh).await
    }

    async fn session(&self, name: SessionName, now: Timestamp) -> Result<Option<Session>, UserStoreError> {
        sessions::find(&self.database, name, now).await
    }

    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, UserStoreError> {
        sessions::list(&self.database, user, now).await
    }

    async fn end_sessions(&self, which: SessionsToEnd, origin: &Origin) -> Result<u64, UserStoreError> {
        let mut tx = self.database.write().await?;
        let ended = sessions::end(&mut tx, &which, origin).await?;
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
