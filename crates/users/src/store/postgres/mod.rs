//! The user store in a PostgreSQL database, shared by the replicas of this service.
//!
//! Every write is one transaction. Of two writes that meet, the second one waits for the first and then sees
//! its effect. Writes that could take the last admin from the portal wait for each other.

mod accounts;
mod admins;
mod audit;
mod erasures;
mod exports;
mod inserts;
mod sessions;
mod updates;

use std::slice;
use std::sync::Arc;

use async_trait::async_trait;
use bus::postgres_outbox::{OutboxWake, PostgresOutbox, enqueue};
use chassis::postgres::Database;
use chassis::{Closer, PostgresErasure, StoreFailure, StoredTime, StoredVersion, in_time, owe_postgres};
use kernel::{Expected, Fault, MessageId, Role, Sections, Timestamp, UserId};
use sqlx::migrate::Migrator;

use super::OpenedAccounts;
use super::audit::REMOVE_NETWORKS;
use super::email_keys;
use super::erasures as erasure_rows;
use super::outbox::envelope;
use super::rows::{self, UserRow, encode_sections};
use crate::domain::{
    Account, AccountChange, AuditKind, Consent, ConsentChoice, Credentials, Email, Event, Origin,
    RefreshRequest, Session, User,
};
use crate::ports::{
    HashCost, InsertOutcome, InsertOutcomes, Listing, RefreshOutcome, SessionName, SessionsToEnd,
    TokenSubject, UserStore, UserStoreError,
};

static MIGRATOR: Migrator = sqlx::migrate!("../../db/users/postgres");

/// Returns the migrations before e-mail keys had forms, for tests of the upgrade.
#[cfg(test)]
pub(super) fn before_key_forms() -> Migrator {
    Migrator::with_migrations(MIGRATOR.iter().filter(|step| step.version < 4).cloned().collect())
}

/// The accounts of one PostgreSQL database.
pub struct PostgresUserStore {
    database: Database,
    /// Rung when a message was written into the outbox.
    outbox_wake: OutboxWake,
}

impl PostgresUserStore {
    /// Connects and brings the tables up to date.
    ///
    /// # Errors
    /// If the server does not answer or a migration fails.
    pub async fn open(url: &str) -> Result<Self, StoreFailure> {
        let database = Database::open(url, "users", &MIGRATOR).await?;
        email_keys::renew_in_postgres(&database).await?;
        Ok(Self { outbox_wake: OutboxWake::new(&database), database })
    }

    /// Returns the outbox in this database. It listens until the database is closed.
    pub fn outbox(&self) -> PostgresOutbox {
        PostgresOutbox::new(self.database.clone())
    }

    /// Returns what closes the connections.
    pub fn closer(&self) -> Closer {
        let database = self.database.clone();
        Box::pin(async move { database.close().await })
    }

    /// Returns the ports of this database, with everything that belongs to it.
    pub fn into_opened(self) -> OpenedAccounts {
        let erasure = PostgresErasure::new(
            self.database.clone(),
            "vacuum users, consents, sessions, audit, export_parts, outbox",
        );
        let (outbox, closer) = (Arc::new(self.outbox()), self.closer());
        OpenedAccounts::new(self, outbox, Arc::new(erasure), closer)
    }

    /// Inserts all accounts in one transaction, or none.
    async fn insert_together(&self, accounts: &[Account]) -> Result<InsertOutcomes, UserStoreError> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            let stored = inserts::insert_rows(&mut tx, accounts).await?;
            let outcomes = inserts::find_outcomes(&mut tx, accounts, &stored).await?;
            tx.commit().await?;
            Ok(outcomes)
        })
        .await
    }
}

#[async_trait]
impl UserStore for PostgresUserStore {
    async fn insert(&self, account: &Account) -> Result<InsertOutcome, UserStoreError> {
        let outcomes = self.insert_together(slice::from_ref(account)).await?;
        let missing = || StoreFailure::broken("an insert has no outcome");
        outcomes.into_iter().next().ok_or_else(missing)?
    }

    async fn insert_all(&self, accounts: &[Account]) -> Result<InsertOutcomes, UserStoreError> {
        match self.insert_together(accounts).await {
            // One account that the database refuses fails the statement for all of them: then each is
            // inserted alone.
            Err(error) if !error.kind().is_transient() => {
                let mut outcomes = Vec::with_capacity(accounts.len());
                for account in accounts {
                    outcomes.push(self.insert(account).await);
                }
                Ok(outcomes)
            }
            outcome => outcome,
        }
    }

    async fn insert_first_admin(&self, account: &Account) -> Result<InsertOutcome, UserStoreError> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            admins::lock_admins(&mut tx).await?;
            if admins::has_admin(&mut tx).await? {
                return Ok(InsertOutcome::AlreadyThere);
            }
            if inserts::insert_rows(&mut tx, slice::from_ref(account)).await?.is_empty() {
                return Err(UserStoreError::EmailTaken);
            }
            tx.commit().await?;
            Ok(InsertOutcome::Stored)
        })
        .await
    }

    async fn has_admin(&self) -> Result<bool, UserStoreError> {
        in_time(async { Ok(admins::has_admin(&mut *self.database.pool().acquire().await?).await?) }).await
    }

    async fn by_id(&self, id: UserId) -> Result<Option<User>, UserStoreError> {
        in_time(async { accounts::find_user(&mut *self.database.pool().acquire().await?, id).await }).await
    }

    async fn by_ids(&self, ids: &[UserId]) -> Result<Vec<User>, UserStoreError> {
        in_time(accounts::by_ids(&self.database, ids)).await
    }

    async fn account(&self, id: UserId) -> Result<Option<Account>, UserStoreError> {
        in_time(accounts::by_id(&self.database, id)).await
    }

    async fn account_by_email(&self, email: &Email) -> Result<Option<Account>, UserStoreError> {
        in_time(accounts::by_email(&self.database, email)).await
    }

    async fn list(&self, start: u32, count: u32) -> Result<Listing, UserStoreError> {
        in_time(accounts::list(&self.database, start, count)).await
    }

    async fn update(
        &self,
        id: UserId,
        expected: &Expected,
        change: &AccountChange,
        origin: &Origin,
    ) -> Result<User, UserStoreError> {
        in_time(updates::update(&self.database, id, expected, change, origin)).await
    }

    async fn rehash(
        &self,
        id: UserId,
        proven: &Credentials,
        credentials: &Credentials,
    ) -> Result<bool, UserStoreError> {
        in_time(async {
            let done = sqlx::query(rows::REHASH)
                .bind(credentials.phc())
                .bind(id.uuid())
                .bind(proven.phc())
                .execute(self.database.pool())
                .await?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }

    async fn hash_costs(&self) -> Result<Vec<HashCost>, UserStoreError> {
        in_time(accounts::hash_costs(&self.database)).await
    }

    async fn set_role(
        &self,
        id: UserId,
        role: Role,
        sections: &Sections,
        origin: &Origin,
    ) -> Result<User, UserStoreError> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            admins::lock_admins(&mut tx).await?;
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
                None if accounts::find_user(&mut tx, id).await?.is_some() => Err(UserStoreError::LastAdmin),
                None => Err(UserStoreError::NotFound),
            }
        })
        .await
    }

    async fn erase(&self, id: UserId, message: MessageId, origin: &Origin) -> Result<(), UserStoreError> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            let deleted = sqlx::query("delete from users where id = $1 and role <> 'admin'")
                .bind(id.uuid())
                .execute(&mut *tx)
                .await?;
            if deleted.rows_affected() == 0 {
                admins::erase_admin(&mut tx, id).await?;
            }
            let at = origin.at;
            sqlx::query(erasure_rows::INSERT).bind(id.uuid()).bind(StoredTime(at)).execute(&mut *tx).await?;
            audit::append(&mut tx, AuditKind::Erased, id, origin).await?;
            sqlx::query(REMOVE_NETWORKS).bind(id.uuid()).execute(&mut *tx).await?;
            enqueue(&mut tx, &envelope(message, &Event::UserErased { user: id, at })).await?;
            owe_postgres(&mut tx, id).await?;
            tx.commit().await?;
            self.outbox_wake.notify();
            Ok(())
        })
        .await
    }

    async fn consent(&self, id: UserId) -> Result<Option<Consent>, UserStoreError> {
        in_time(async { accounts::find_consent(&mut *self.database.pool().acquire().await?, id).await }).await
    }

    async fn set_consent(
        &self,
        id: UserId,
        choice: ConsentChoice,
        message: MessageId,
        origin: &Origin,
    ) -> Result<Consent, UserStoreError> {
        in_time(async {
            let at = origin.at;
            let mut tx = self.database.begin().await?;
            accounts::lock_user(&mut tx, id).await?;
            let before = accounts::find_consent(&mut tx, id).await?.ok_or(UserStoreError::NotFound)?;
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
            self.outbox_wake.notify();
            Ok(consent)
        })
        .await
    }

    async fn open_session(
        &self,
        session: &Session,
        proven: &Credentials,
        most: u32,
        origin: &Origin,
    ) -> Result<TokenSubject, UserStoreError> {
        in_time(sessions::open(&self.database, session, proven, most, origin)).await
    }

    async fn refresh_session(&self, refresh: &RefreshRequest) -> Result<RefreshOutcome, UserStoreError> {
        in_time(sessions::refresh(&self.database, refresh)).await
    }

    async fn session(&self, name: SessionName, now: Timestamp) -> Result<Option<Session>, UserStoreError> {
        in_time(sessions::find(&self.database, name, now)).await
    }

    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, UserStoreError> {
        in_time(sessions::list(&self.database, user, now)).await
    }

    async fn end_sessions(&self, which: SessionsToEnd, origin: &Origin) -> Result<u64, UserStoreError> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            let ended = sessions::end(&mut tx, &which, origin).await?;
            tx.commit().await?;
            Ok(ended)
        })
        .await
    }

    async fn ping(&self) -> Result<(), StoreFailure> {
        self.database.ping().await
    }

    async fn try_write(&self) -> Result<(), StoreFailure> {
        self.database.try_write().await
    }
}
