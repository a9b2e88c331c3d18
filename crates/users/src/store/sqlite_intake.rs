//! The intake in a SQLite file of its own: what was acknowledged outlives the process, taken or not.
//!
//! Limits: one process. A lease on a taken registration matters only between workers, so there it is a precaution; in the fleet
//! several processes share the Redis adapter.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::sqlite::Database;
use chassis::{Context, StoreFailure};
use kernel::{Clock, Trace, UserId};
use uuid::Uuid;

use super::{record, sqlite_answers};
use crate::domain::{Account, Email};
use crate::ports::{AHEAD, Begun, Intake, IntakeError, LONGEST_PAUSE, Once, Reservation, Waiting};

/// The intake of one SQLite file.
pub struct SqliteIntake {
    database: Database,
    clock: Arc<dyn Clock>,
}

impl SqliteIntake {
    /// Opens the file and brings its tables up to date. Leases are compared with `clock`.
    ///
    /// # Errors
    /// Where it can't be opened, is open elsewhere, or a migration fails.
    pub async fn open(url: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreFailure> {
        let database = Database::open(url, &sqlx::migrate!("../../db/users/intake/sqlite")).await?;
        // The file is this process's alone, so whoever reserved an e-mail and did not come back is dead: nobody has to wait
        // until the lease runs out.
        let mut tx = database.write().await?;
        sqlx::query("delete from reservations where expires_at is not null").execute(&mut *tx).await?;
        sqlite_answers::forget_begun(&mut tx).await?;
        tx.commit().await?;
        Ok(Self { database, clock })
    }

    /// Closes the file.
    pub fn closer(&self) -> chassis::Closer {
        let database = self.database.clone();
        Box::pin(async move { database.close().await })
    }

    fn now(&self) -> i64 {
        self.clock.now().millis()
    }

    fn later(&self, duration: Duration) -> i64 {
        self.clock.now().plus(duration).millis()
    }
}

impl From<sqlx::Error> for IntakeError {
    fn from(error: sqlx::Error) -> Self {
        IntakeError::Store(error.into())
    }
}

#[derive(sqlx::FromRow)]
struct WaitingRow {
    user_id: Uuid,
    record: String,
    trace: String,
    attempts: u32,
}

#[derive(sqlx::FromRow)]
struct TakenRow {
    position: i64,
    #[sqlx(flatten)]
    waiting: WaitingRow,
}

impl From<WaitingRow> for Waiting {
    fn from(row: WaitingRow) -> Self {
        Waiting {
            id: UserId::new(row.user_id),
            attempts: row.attempts,
            trace: row.trace.parse().unwrap_or_else(|_| Trace::start()),
            account: record::decode(&row.record),
        }
    }
}

fn decoded(record: Option<String>) -> Result<Option<Account>, IntakeError> {
    Ok(record.as_deref().map(record::decode).transpose()?)
}

#[async_trait]
impl Intake for SqliteIntake {
    async fn reserve(&self, email: &Email, id: UserId, lease: Duration) -> Result<Reservation, IntakeError> {
        let mut tx = self.database.write().await?;
        // What ran out goes first: then the only conflict that is left is with somebody who holds the e-mail.
        sqlx::query("delete from reservations where expires_at <= ? or expires_at > ?")
            .bind(self.now())
            .bind(self.later(lease * AHEAD))
            .execute(&mut *tx)
            .await?;
        let done = sqlx::query(
            "insert into reservations (email_key, user_id, expires_at) values (?, ?, ?) on conflict do nothing",
        )
        .bind(email.key())
        .bind(id.uuid())
        .bind(self.later(lease))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        if done.rows_affected() == 0 {
            return Err(IntakeError::EmailTaken);
        }
        Ok(Reservation { email: email.clone(), id })
    }

    async fn append(
        &self,
        reservation: &Reservation,
        account: &Account,
        once: Option<&Once>,
    ) -> Result<(), IntakeError> {
        let mut tx = self.database.write().await?;
        let held = sqlx::query(
            "update reservations set expires_at = null where email_key = ? and user_id = ? and expires_at > ?",
        )
        .bind(reservation.email.key())
        .bind(reservation.id.uuid())
        .bind(self.now())
        .execute(&mut *tx)
        .await?;
        if held.rows_affected() == 0 {
            return Err(IntakeError::LeaseLost);
        }
        if let Some(once) = once
            && !sqlite_answers::keep_registered(&mut tx, once, account, self.clock.now()).await?
        {
            return Err(IntakeError::LeaseLost);
        }
        sqlx::query("insert into registrations (user_id, record, trace) values (?, ?, ?)")
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
            "delete from reservations where email_key = ? and user_id = ? and expires_at is not null",
        )
        .bind(reservation.email.key())
        .bind(reservation.id.uuid())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn by_id(&self, id: UserId) -> Result<Option<Account>, IntakeError> {
        let record = sqlx::query_scalar("select record from registrations where user_id = ?")
            .bind(id.uuid())
            .fetch_optional(self.database.reader())
            .await?;
        decoded(record)
    }

    async fn by_email(&self, email: &Email) -> Result<Option<Account>, IntakeError> {
        let record = sqlx::query_scalar(
            "select record from registrations join reservations using (user_id) where email_key = ?",
        )
        .bind(email.key())
        .fetch_optional(self.database.reader())
        .await?;
        decoded(record)
    }

    async fn waiting(&self, limit: u32) -> Result<Vec<UserId>, IntakeError> {
        let ids: Vec<Uuid> =
            sqlx::query_scalar("select user_id from registrations order by position limit ?")
                .bind(limit)
                .fetch_all(self.database.reader())
                .await?;
        Ok(ids.into_iter().map(UserId::new).collect())
    }

    async fn take(&self, limit: u32, lease: Duration) -> Result<Vec<Waiting>, IntakeError> {
        // An idle worker looks often; it must not ask for the one writer every time.
        let some = "select exists (select 1 from registrations where free_at <= ? or free_at > ?)";
        let some: bool = sqlx::query_scalar(some)
            .bind(self.now())
            .bind(self.later(LONGEST_PAUSE.max(lease)))
            .fetch_one(self.database.reader())
            .await?;
        if !some {
            return Ok(Vec::new());
        }
        let mut tx = self.database.write().await?;
        let mut taken: Vec<TakenRow> = sqlx::query_as(
            "update registrations set free_at = ?3, attempts = attempts + 1
             where position in (
                 select position from registrations where free_at <= ?1 or free_at > ?4 order by position limit ?2)
             returning position, user_id, record, trace, attempts",
        )
        .bind(self.now())
        .bind(limit)
        .bind(self.later(lease))
        .bind(self.later(LONGEST_PAUSE.max(lease)))
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        // `returning` promises no order.
        taken.sort_by_key(|row| row.position);
        Ok(taken.into_iter().map(|row| row.waiting.into()).collect())
    }

    async fn settled(&self, id: UserId) -> Result<(), IntakeError> {
        let mut tx = self.database.write().await?;
        for statement in [
            "delete from registrations where user_id = ?",
            "delete from reservations where user_id = ?",
            "delete from buried where user_id = ?",
        ] {
            sqlx::query(statement).bind(id.uuid()).execute(&mut *tx).await?;
        }
        let (left,): (i64,) =
            sqlx::query_as("select count(*) from registrations").fetch_one(&mut *tx).await?;
        tx.commit().await?;
        // The log holds hashes and addresses; emptying it for each registration would cost more than storing them.
        if left == 0 {
            self.database.forget().await;
        }
        Ok(())
    }

    async fn give_back(&self, id: UserId) -> Result<(), IntakeError> {
        let mut tx = self.database.write().await?;
        sqlx::query(
            "update registrations set free_at = 0, attempts = max(attempts - 1, 0) where user_id = ?",
        )
        .bind(id.uuid())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn failed(&self, id: UserId, reason: &str, pause: Duration) -> Result<(), IntakeError> {
        let mut tx = self.database.write().await?;
        sqlx::query("update registrations set free_at = ?, last_failure = ? where user_id = ?")
            .bind(self.later(pause))
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
             select user_id, record, ?2, attempts, ?3 from registrations where user_id = ?1
             on conflict do nothing",
        )
        .bind(id.uuid())
        .bind(reason)
        .bind(self.now())
        .execute(&mut *tx)
        .await?;
        sqlx::query("delete from registrations where user_id = ?").bind(id.uuid()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn begin(&self, once: &Once, lease: Duration) -> Result<Begun, IntakeError> {
        let now = self.clock.now();
        let mut tx = self.database.write().await?;
        let begun = sqlite_answers::begin(&mut tx, once, now, lease).await?;
        tx.commit().await?;
        Ok(begun)
    }

    async fn give_up(&self, once: &Once) -> Result<(), IntakeError> {
        let mut tx = self.database.write().await?;
        sqlite_answers::give_up(&mut tx, once).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn forget_answers(&self, limit: u32) -> Result<u64, IntakeError> {
        let mut tx = self.database.write().await?;
        let forgotten = sqlite_answers::forget(&mut tx, self.clock.now(), limit).await?;
        tx.commit().await?;
        Ok(forgotten)
    }

    async fn forget_answers_about(&self, id: UserId) -> Result<(), IntakeError> {
        let mut tx = self.database.write().await?;
        sqlite_answers::forget_about(&mut tx, id).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn wipe(&self) -> Result<bool, StoreFailure> {
        // A file that is too large holds registrations that wait; it gets smaller.
        Ok(self.database.vacuum().await? && self.database.empty_log().await?)
    }

    async fn ping(&self) -> Result<(), StoreFailure> {
        self.database.ping().await
    }

    async fn try_write(&self) -> Result<(), StoreFailure> {
        self.database.try_write().await
    }
}
