//! The intake in a SQLite file of its own: an acknowledged registration outlives the process, whether a
//! worker holds it or not.
//!
//! Limits: one process. A lease on a claimed registration matters only between workers, so here it is a
//! precaution. In a fleet, several processes share the adapter for Redis.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::sqlite::Database;
use chassis::{Closer, Context, OpenedStore, StoreFailure, StoredTime};
use kernel::{Clock, Trace, UserId};
use uuid::Uuid;

use super::answers;
use crate::domain::{Account, Email};
use crate::ports::{
    BeginOutcome, IdempotencyAttempt, Intake, IntakeError, LONGEST_PAUSE, MAX_LEASES_AHEAD, Reservation,
    WaitingRegistration,
};
use crate::store::record;

/// The intake of one SQLite file.
pub struct SqliteIntake {
    database: Database,
    clock: Arc<dyn Clock>,
}

impl SqliteIntake {
    /// Opens the file and brings its tables up to date. Leases are compared with `clock`.
    ///
    /// # Errors
    /// If the file can't be opened, is open in another process, or a migration fails.
    pub async fn open(url: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreFailure> {
        let database = Database::open(url, &sqlx::migrate!("../../db/users/intake/sqlite")).await?;
        // The file belongs to this process alone: a reservation that is left over belongs to a dead process,
        // and no client has to wait until its lease expires.
        let mut tx = database.write().await?;
        sqlx::query("delete from reservations where expires_at is not null").execute(&mut *tx).await?;
        answers::forget_attempts(&mut tx).await?;
        tx.commit().await?;
        Ok(Self { database, clock })
    }

    /// Returns what closes the file.
    pub fn closer(&self) -> Closer {
        let database = self.database.clone();
        Box::pin(async move { database.close().await })
    }

    /// Returns the intake with what closes its file.
    pub fn into_opened(self) -> OpenedStore<dyn Intake> {
        let closer = self.closer();
        OpenedStore::<dyn Intake>::new(Arc::new(self)).with_closer(closer)
    }

    fn now(&self) -> StoredTime {
        StoredTime(self.clock.now())
    }

    fn after(&self, duration: Duration) -> StoredTime {
        StoredTime(self.clock.now().plus(duration))
    }
}

#[derive(sqlx::FromRow)]
struct WaitingRow {
    position: i64,
    user_id: Uuid,
    record: String,
    trace: String,
    attempts: u32,
}

impl From<WaitingRow> for WaitingRegistration {
    fn from(row: WaitingRow) -> Self {
        WaitingRegistration {
            id: UserId::new(row.user_id),
            attempts: row.attempts,
            trace: row.trace.parse().unwrap_or_else(|_| Trace::start()),
            account: record::decode(&row.record),
        }
    }
}

fn decode(record: Option<String>) -> Result<Option<Account>, IntakeError> {
    Ok(record.as_deref().map(record::decode).transpose()?)
}

#[async_trait]
impl Intake for SqliteIntake {
    async fn reserve(&self, email: &Email, id: UserId, lease: Duration) -> Result<Reservation, IntakeError> {
        let mut tx = self.database.write().await?;
        // Expired reservations go first: then the only conflict that is left is with an account that holds
        // the e-mail.
        sqlx::query("delete from reservations where expires_at <= $1 or expires_at > $2")
            .bind(self.now())
            .bind(self.after(lease * MAX_LEASES_AHEAD))
            .execute(&mut *tx)
            .await?;
        let inserted = sqlx::query(
            "insert into reservations (email_key, user_id, expires_at) values ($1, $2, $3) on conflict do nothing",
        )
        .bind(email.key())
        .bind(id.uuid())
        .bind(self.after(lease))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        if inserted.rows_affected() == 0 {
            return Err(IntakeError::EmailTaken);
        }
        Ok(Reservation { email: email.clone(), id })
    }

    async fn append(
        &self,
        reservation: &Reservation,
        account: &Account,
        attempt: Option<&IdempotencyAttempt>,
    ) -> Result<(), IntakeError> {
        let mut tx = self.database.write().await?;
        let held = sqlx::query(
            "update reservations set expires_at = null where email_key = $1 and user_id = $2 and expires_at > $3",
        )
        .bind(reservation.email.key())
        .bind(reservation.id.uuid())
        .bind(self.now())
        .execute(&mut *tx)
        .await?;
        if held.rows_affected() == 0 {
            return Err(IntakeError::LeaseLost);
        }
        if let Some(attempt) = attempt
            && !answers::keep_registration(&mut tx, attempt, account, self.clock.now()).await?
        {
            return Err(IntakeError::LeaseLost);
        }
        sqlx::query("insert into registrations (user_id, record, trace) values ($1, $2, $3)")
            .bind(reservation.id.uuid())
            .bind(record::encode(account)?)
            .bind(Context::current().trace.to_string())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn release(&self, reservation: &Reservation) -> Result<(), IntakeError> {
        let mut tx = self.database.write().await?;
        sqlx::query(
            "delete from reservations where email_key = $1 and user_id = $2 and expires_at is not null",
        )
        .bind(reservation.email.key())
        .bind(reservation.id.uuid())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn by_id(&self, id: UserId) -> Result<Option<Account>, IntakeError> {
        let record = sqlx::query_scalar("select record from registrations where user_id = $1")
            .bind(id.uuid())
            .fetch_optional(self.database.reader())
            .await?;
        decode(record)
    }

    async fn by_email(&self, email: &Email) -> Result<Option<Account>, IntakeError> {
        let record = sqlx::query_scalar(
            "select record from registrations join reservations using (user_id) where email_key = $1",
        )
        .bind(email.key())
        .fetch_optional(self.database.reader())
        .await?;
        decode(record)
    }

    async fn waiting(&self, limit: u32) -> Result<Vec<UserId>, IntakeError> {
        let ids: Vec<Uuid> =
            sqlx::query_scalar("select user_id from registrations order by position limit $1")
                .bind(limit)
                .fetch_all(self.database.reader())
                .await?;
        Ok(ids.into_iter().map(UserId::new).collect())
    }

    async fn take(&self, limit: u32, lease: Duration) -> Result<Vec<WaitingRegistration>, IntakeError> {
        // An idle worker looks often; it must not occupy the one writer every time.
        let is_due = "select exists (select 1 from registrations where free_at <= $1 or free_at > $2)";
        let is_due: bool = sqlx::query_scalar(is_due)
            .bind(self.now())
            .bind(self.after(LONGEST_PAUSE.max(lease)))
            .fetch_one(self.database.reader())
            .await?;
        if !is_due {
            return Ok(Vec::new());
        }
        let mut tx = self.database.write().await?;
        let mut rows: Vec<WaitingRow> = sqlx::query_as(
            "update registrations set free_at = $3, attempts = attempts + 1
             where position in (
                 select position from registrations where free_at <= $1 or free_at > $4 order by position limit $2)
             returning position, user_id, record, trace, attempts",
        )
        .bind(self.now())
        .bind(limit)
        .bind(self.after(lease))
        .bind(self.after(LONGEST_PAUSE.max(lease)))
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        // `returning` guarantees no order.
        rows.sort_by_key(|row| row.position);
        Ok(rows.into_iter().map(WaitingRegistration::from).collect())
    }

    async fn settle(&self, id: UserId) -> Result<(), IntakeError> {
        let mut tx = self.database.write().await?;
        for statement in [
            "delete from registrations where user_id = $1",
            "delete from reservations where user_id = $1",
            "delete from buried where user_id = $1",
        ] {
            sqlx::query(statement).bind(id.uuid()).execute(&mut *tx).await?;
        }
        let (left,): (i64,) =
            sqlx::query_as("select count(*) from registrations").fetch_one(&mut *tx).await?;
        tx.commit().await?;
        // The log holds hashes and addresses. It is emptied with the last registration: after each one it
        // would cost more than storing them.
        if left == 0 {
            self.database.forget().await;
        }
        Ok(())
    }

    async fn give_back(&self, id: UserId) -> Result<(), IntakeError> {
        let mut tx = self.database.write().await?;
        sqlx::query(
            "update registrations set free_at = 0, attempts = max(attempts - 1, 0) where user_id = $1",
        )
        .bind(id.uuid())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn defer(&self, id: UserId, reason: &str, pause: Duration) -> Result<(), IntakeError> {
        let mut tx = self.database.write().await?;
        sqlx::query("update registrations set free_at = $1, last_failure = $2 where user_id = $3")
            .bind(self.after(pause))
            .bind(reason)
            .bind(id.uuid())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn bury(&self, id: UserId, reason: &str) -> Result<(), IntakeError> {
        let mut tx = self.database.write().await?;
        sqlx::query(
            "insert into buried (user_id, record, reason, attempts, buried_at)
             select user_id, record, $2, attempts, $3 from registrations where user_id = $1
             on conflict do nothing",
        )
        .bind(id.uuid())
        .bind(reason)
        .bind(self.now())
        .execute(&mut *tx)
        .await?;
        sqlx::query("delete from registrations where user_id = $1").bind(id.uuid()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn begin(
        &self,
        attempt: &IdempotencyAttempt,
        lease: Duration,
    ) -> Result<BeginOutcome, IntakeError> {
        let now = self.clock.now();
        let mut tx = self.database.write().await?;
        let outcome = answers::begin(&mut tx, attempt, now, lease).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    async fn give_up(&self, attempt: &IdempotencyAttempt) -> Result<(), IntakeError> {
        let mut tx = self.database.write().await?;
        answers::give_up(&mut tx, attempt).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn forget_answers(&self, limit: u32) -> Result<u64, IntakeError> {
        let mut tx = self.database.write().await?;
        let count = answers::forget(&mut tx, self.clock.now(), limit).await?;
        tx.commit().await?;
        Ok(count)
    }

    async fn forget_answers_about(&self, id: UserId) -> Result<(), IntakeError> {
        let mut tx = self.database.write().await?;
        answers::forget_about(&mut tx, id).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn wipe(&self) -> Result<bool, StoreFailure> {
        // A file that is too large to be vacuumed holds registrations that wait; it will get smaller.
        Ok(self.database.vacuum().await? && self.database.empty_log().await?)
    }

    async fn ping(&self) -> Result<(), StoreFailure> {
        self.database.ping().await
    }

    async fn try_write(&self) -> Result<(), StoreFailure> {
        self.database.try_write().await
    }
}
