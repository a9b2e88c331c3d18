//! The truth about accounts in a PostgreSQL database, shared by the replicas of this service.
//!
//! Every write is one transaction. Of two that meet, the second waits for the first and then sees what it has done; whoever could
//! take the portal its last admin waits for everybody else who could.

use std::slice;

use async_trait::async_trait;
use bus::postgres_outbox::{Bell, PostgresOutbox, enqueue};
use chassis::postgres::{Database, timestamptz};
use chassis::{PostgresErasure, StoreFailure, in_time, owe_postgres};
use kernel::{Expected, Fault, MessageId, Role, Sections, Timestamp, UserId};
use sqlx::PgConnection;
use sqlx::migrate::Migrator;

use super::costs::{SAMPLE, heads};
use super::email_keys;
use super::outbox::envelope;
use super::postgres_admins::{erase_admin, has_admin, lock_admins};
use super::postgres_rows::{AccountRow, ConsentRow, UserRow, insert_rows, number, outcomes_of, whole};
use super::postgres_sessions;
use super::sections_text;
use crate::domain::{Account, Change, Choice, Consent, Credentials, Email, Event, Refresh, Session, User};
use crate::ports::{
    Bearer, Ending, HashCost, Inserted, Insertions, Listing, Refreshed, SessionName, UserStore,
    UserStoreError,
};

static MIGRATOR: Migrator = sqlx::migrate!("../../db/users/postgres");

/// The tables as they were before the keys of e-mails had forms, for tests of what becomes of them.
#[cfg(test)]
pub(super) fn before_key_forms() -> Migrator {
    Migrator::with_migrations(MIGRATOR.iter().filter(|step| step.version < 4).cloned().collect())
}

/// The accounts of one PostgreSQL database.
pub struct PostgresUserStore {
    database: Database,
    bell: Bell,
}

impl PostgresUserStore {
    /// Connects and brings the tables up to date.
    ///
    /// # Errors
    /// Where the server does not answer or a migration fails.
    pub async fn open(url: &str) -> Result<Self, StoreFailure> {
        let database = Database::open(url, "users", &MIGRATOR).await?;
        email_keys::renew_postgres(&database).await?;
        Ok(Self { bell: Bell::new(&database), database })
    }

    /// What is to be told to other services. Listens until the database is closed.
    pub fn outbox(&self) -> PostgresOutbox {
        PostgresOutbox::new(self.database.clone())
    }

    /// What the database owes to people who were erased.
    pub fn erasure(&self) -> PostgresErasure {
        PostgresErasure::new(self.database.clone(), "vacuum users, consents, sessions, outbox")
    }

    /// Closes the connections.
    pub fn closer(&self) -> chassis::Closer {
        let database = self.database.clone();
        Box::pin(async move { database.close().await })
    }

    /// All of them in one transaction, or none.
    async fn insert_together(&self, accounts: &[Account]) -> Result<Insertions, UserStoreError> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            let stored = insert_rows(&mut tx, accounts).await?;
            let outcomes = outcomes_of(&mut tx, accounts, &stored).await?;
            tx.commit().await?;
            Ok(outcomes)
        })
        .await
    }
}

pub async fn user(tx: &mut PgConnection, id: UserId) -> Result<Option<User>, UserStoreError> {
    let row: Option<UserRow> = sqlx::query_as(
        "select id, name, email, role, sections, created_at, version from users where id = $1",
    )
    .bind(id.uuid())
    .fetch_optional(tx)
    .await?;
    Ok(row.map(User::try_from).transpose()?)
}

async fn is_held_by_another(tx: &mut PgConnection, email: &Email, id: UserId) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select 1 from users where email_key = $1 and id <> $2)")
        .bind(email.key())
        .bind(id.uuid())
        .fetch_one(tx)
        .await
}

/// `holds` where the row of the account is to stay as it is until the end of the transaction.
pub async fn consent(
    tx: &mut PgConnection,
    id: UserId,
    holds: bool,
) -> Result<Option<Consent>, UserStoreError> {
    if holds {
        sqlx::query("select 1 from users where id = $1 for update").bind(id.uuid()).execute(&mut *tx).await?;
    }
    let row: Option<ConsentRow> = sqlx::query_as(
        "select coalesce(personalisation, false) as personalisation, coalesce(history, false) as history,
                coalesce(consents.version, 0) as version, changed_at
         from users left join consents on user_id = id where id = $1",
    )
    .bind(id.uuid())
    .fetch_optional(tx)
    .await?;
    Ok(row.map(Consent::from))
}

/// That an e-mail was taken by somebody else meanwhile is told by the name of the constraint: an update can't say what is to
/// be done on a conflict, as an insert can.
fn taken_meanwhile(error: sqlx::Error) -> UserStoreError {
    let constraint = error.as_database_error().and_then(|error| error.constraint());
    if constraint == Some("users_email_unique") { UserStoreError::EmailTaken } else { error.into() }
}

#[async_trait]
impl UserStore for PostgresUserStore {
    async fn insert(&self, account: &Account) -> Result<Inserted, UserStoreError> {
        let outcomes = self.insert_together(slice::from_ref(account)).await?;
        let missing = || StoreFailure::broken("an insert has no outcome");
        outcomes.into_iter().next().ok_or_else(missing)?
    }

    async fn insert_all(&self, accounts: &[Account]) -> Result<Insertions, UserStoreError> {
        match self.insert_together(accounts).await {
            // One that the database refuses fails the statement for all of them: then each goes alone.
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

    async fn insert_first_admin(&self, account: &Account) -> Result<Inserted, UserStoreError> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            lock_admins(&mut tx).await?;
            if has_admin(&mut tx).await? {
                return Ok(Inserted::AlreadyThere);
            }
            if insert_rows(&mut tx, slice::from_ref(account)).await?.is_empty() {
                return Err(UserStoreError::EmailTaken);
            }
            tx.commit().await?;
            Ok(Inserted::Stored)
        })
        .await
    }

    async fn has_admin(&self) -> Result<bool, UserStoreError> {
        in_time(async { Ok(has_admin(&mut *self.database.pool().acquire().await?).await?) }).await
    }

    async fn by_id(&self, id: UserId) -> Result<Option<User>, UserStoreError> {
        in_time(async { user(&mut *self.database.pool().acquire().await?, id).await }).await
    }

    async fn by_ids(&self, ids: &[UserId]) -> Result<Vec<User>, UserStoreError> {
        let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
        in_time(async {
            let rows: Vec<UserRow> = sqlx::query_as(
                "select id, name, email, role, sections, created_at, version from users where id = any($1)",
            )
            .bind(ids)
            .fetch_all(self.database.pool())
            .await?;
            whole(rows)
        })
        .await
    }

    async fn account(&self, id: UserId) -> Result<Option<Account>, UserStoreError> {
        in_time(async {
            let row: Option<AccountRow> = sqlx::query_as(
                "select id, name, email, role, sections, created_at, version, password from users where id = $1",
            )
            .bind(id.uuid())
            .fetch_optional(self.database.pool())
            .await?;
            Ok(row.map(Account::try_from).transpose()?)
        })
        .await
    }

    async fn account_of(&self, email: &Email) -> Result<Option<Account>, UserStoreError> {
        in_time(async {
            let row: Option<AccountRow> = sqlx::query_as(
                "select id, name, email, role, sections, created_at, version, password from users
                 where email_key = $1 or (key_form = 0 and email_key = $2) order by key_form limit 1",
            )
            .bind(email.key())
            .bind(email.former_key())
            .fetch_optional(self.database.pool())
            .await?;
            Ok(row.map(Account::try_from).transpose()?)
        })
        .await
    }

    async fn list(&self, start: u32, count: u32) -> Result<Listing, UserStoreError> {
        in_time(async {
            // One view of the table: the total belongs to the slice.
            let begin = "begin isolation level repeatable read, read only";
            let mut tx = self.database.pool().begin_with(begin).await?;
            let total: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&mut *tx).await?;
            let rows: Vec<UserRow> = sqlx::query_as(
                "select id, name, email, role, sections, created_at, version from users
                 order by created_at, id limit $1 offset $2",
            )
            .bind(i64::from(count))
            .bind(i64::from(start))
            .fetch_all(&mut *tx)
            .await?;
            Ok(Listing { users: whole(rows)?, total: total.unsigned_abs() })
        })
        .await
    }

    async fn update(&self, id: UserId, expected: &Expected, change: &Change) -> Result<User, UserStoreError> {
        let versions: Option<Vec<i32>> = match expected {
            Expected::Any => None,
            Expected::OneOf(versions) => {
                Some(versions.iter().map(|version| number(version.number())).collect())
            }
        };
        in_time(async {
            let mut tx = self.database.begin().await?;
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
            .map_err(taken_meanwhile)?;
            if let Some(row) = row {
                if change.credentials.is_some() {
                    postgres_sessions::end_others(&mut tx, id, change.keeps).await?;
                }
                tx.commit().await?;
                return Ok(User::try_from(row)?);
            }
            // Nothing was changed; what is read now only says why.
            let current = user(&mut tx, id).await?.ok_or(UserStoreError::NotFound)?;
            let stale = UserStoreError::Stale { current: current.version };
            match &change.email {
                Some(email)
                    if expected.admits(current.version)
                        && is_held_by_another(&mut tx, email, id).await? =>
                {
                    Err(UserStoreError::EmailTaken)
                }
                _ => Err(stale),
            }
        })
        .await
    }

    async fn rehash(
        &self,
        id: UserId,
        proven: &Credentials,
        credentials: &Credentials,
    ) -> Result<bool, UserStoreError> {
        in_time(async {
            let done = sqlx::query("update users set password = $1 where id = $2 and password = $3")
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
        in_time(async {
            // What the planner believes of the table; nothing where it was never looked at, and then all are read.
            let known: f32 =
                sqlx::query_scalar("select reltuples from pg_class where oid = 'users'::regclass")
                    .fetch_one(self.database.pool())
                    .await?;
            #[allow(clippy::cast_precision_loss, reason = "a share of a sample")]
            let percent = (100.0 * SAMPLE as f32 / known.max(1.0)).min(100.0);
            let rows: Vec<String> =
                sqlx::query_scalar("select password from users tablesample system ($1) limit $2")
                    .bind(percent)
                    .bind(2 * SAMPLE)
                    .fetch_all(self.database.pool())
                    .await?;
            Ok(heads(&rows))
        })
        .await
    }

    async fn set_role(&self, id: UserId, role: Role, sections: &Sections) -> Result<User, UserStoreError> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            lock_admins(&mut tx).await?;
            let row: Option<UserRow> = sqlx::query_as(
                "update users set role = $2, sections = $3, version = version + 1
                 where id = $1
                   and ($2 = 'admin' or role <> 'admin'
                        or exists (select 1 from users as other where other.role = 'admin' and other.id <> $1))
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
        })
        .await
    }

    async fn erase(&self, id: UserId, fact: MessageId, at: Timestamp) -> Result<(), UserStoreError> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            let gone = sqlx::query("delete from users where id = $1 and role <> 'admin'")
                .bind(id.uuid())
                .execute(&mut *tx)
                .await?;
            if gone.rows_affected() == 0 {
                erase_admin(&mut tx, id).await?;
            }
            sqlx::query("insert into erasures (user_id, erased_at) values ($1, $2)")
                .bind(id.uuid())
                .bind(timestamptz(at))
                .execute(&mut *tx)
                .await?;
            enqueue(&mut tx, &envelope(fact, &Event::UserErased { user: id, at })).await?;
            owe_postgres(&mut tx, id).await?;
            tx.commit().await?;
            self.bell.ring();
            Ok(())
        })
        .await
    }

    async fn consent(&self, id: UserId) -> Result<Option<Consent>, UserStoreError> {
        in_time(async { consent(&mut *self.database.pool().acquire().await?, id, false).await }).await
    }

    async fn set_consent(
        &self,
        id: UserId,
        choice: Choice,
        fact: MessageId,
        at: Timestamp,
    ) -> Result<Consent, UserStoreError> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            let before = consent(&mut tx, id, true).await?.ok_or(UserStoreError::NotFound)?;
            let Some(changed) = before.changed_to(choice, at) else { return Ok(before) };
            sqlx::query(
                "insert into consents (user_id, personalisation, history, version, changed_at) values ($1, $2, $3, $4, $5)
                 on conflict (user_id) do update set personalisation = excluded.personalisation,
                     history = excluded.history, version = excluded.version, changed_at = excluded.changed_at",
            )
            .bind(id.uuid())
            .bind(choice.personalisation)
            .bind(choice.history)
            .bind(number(changed.version))
            .bind(timestamptz(at))
            .execute(&mut *tx)
            .await?;
            enqueue(&mut tx, &envelope(fact, &Event::ConsentChanged { user: id, consent: changed, at })).await?;
            tx.commit().await?;
            self.bell.ring();
            Ok(changed)
        })
        .await
    }

    async fn open_session(
        &self,
        session: &Session,
        proven: &Credentials,
        most: u32,
    ) -> Result<Bearer, UserStoreError> {
        in_time(postgres_sessions::open(&self.database, session, proven, most)).await
    }

    async fn refresh_session(&self, refresh: &Refresh) -> Result<Refreshed, UserStoreError> {
        in_time(postgres_sessions::refresh(&self.database, refresh)).await
    }

    async fn session(&self, name: SessionName, now: Timestamp) -> Result<Option<Session>, UserStoreError> {
        in_time(postgres_sessions::find(&self.database, name, now)).await
    }

    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, UserStoreError> {
        in_time(postgres_sessions::list(&self.database, user, now)).await
    }

    async fn end_sessions(&self, which: Ending) -> Result<u64, UserStoreError> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            let ended = postgres_sessions::end(&mut tx, which).await?;
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
