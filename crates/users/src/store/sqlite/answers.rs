//! Requests under idempotency keys, in the file of the intake. An older release also stored refusals; such a
//! row does not count.

use std::time::Duration;

use chassis::StoredTime;
use kernel::{Timestamp, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::domain::{Account, Fingerprint};
use crate::ports::{BeginOutcome, IdempotencyAttempt, IntakeError, MAX_LEASES_AHEAD, RegistrationAnswer};

#[derive(sqlx::FromRow)]
struct AnswerRow {
    fingerprint: String,
    user_id: Uuid,
    registered_at: Option<StoredTime>,
}

impl From<AnswerRow> for BeginOutcome {
    fn from(row: AnswerRow) -> Self {
        match row.registered_at {
            Some(StoredTime(at)) => BeginOutcome::Answered(RegistrationAnswer {
                fingerprint: Fingerprint::stored(row.fingerprint),
                user: UserId::new(row.user_id),
                registered_at: at,
            }),
            None => BeginOutcome::StillRunning,
        }
    }
}

/// Deletes the attempts that were in progress when this process ended. The file belongs to this process
/// alone, so no other process will finish them.
pub async fn forget_attempts(tx: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query("delete from answers where registered_at is null").execute(tx).await?;
    Ok(())
}

/// See [`crate::ports::Intake::begin`].
pub async fn begin(
    tx: &mut SqliteConnection,
    attempt: &IdempotencyAttempt,
    now: Timestamp,
    lease: Duration,
) -> Result<BeginOutcome, IntakeError> {
    let inserted = sqlx::query(
        "insert into answers (name, fingerprint, user_id, expires_at) values ($1, $2, $3, $4)
         on conflict (name) do update set fingerprint = excluded.fingerprint, user_id = excluded.user_id,
             registered_at = null, refusal = null, expires_at = excluded.expires_at
         where answers.expires_at <= $5 or answers.refusal is not null
             or (answers.expires_at > $6 and answers.registered_at is null)",
    )
    .bind(attempt.key.bytes())
    .bind(attempt.fingerprint.as_str())
    .bind(attempt.user.uuid())
    .bind(StoredTime(now.plus(lease)))
    .bind(StoredTime(now))
    .bind(StoredTime(now.plus(lease * MAX_LEASES_AHEAD)))
    .execute(&mut *tx)
    .await?;
    if inserted.rows_affected() > 0 {
        return Ok(BeginOutcome::Begun);
    }
    let row: AnswerRow =
        sqlx::query_as("select fingerprint, user_id, registered_at from answers where name = $1")
            .bind(attempt.key.bytes())
            .fetch_one(tx)
            .await?;
    Ok(row.into())
}

/// Makes the registration the answer to its key. Returns false if this attempt has lost its lease.
pub async fn keep_registration(
    tx: &mut SqliteConnection,
    attempt: &IdempotencyAttempt,
    account: &Account,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let updated = sqlx::query(
        "update answers set registered_at = $1, expires_at = $2
         where name = $3 and user_id = $4 and registered_at is null and refusal is null and expires_at > $5",
    )
    .bind(StoredTime(account.user.created_at))
    .bind(StoredTime(now.plus(attempt.answer_life)))
    .bind(attempt.key.bytes())
    .bind(attempt.user.uuid())
    .bind(StoredTime(now))
    .execute(tx)
    .await?;
    Ok(updated.rows_affected() > 0)
}

/// See [`crate::ports::Intake::give_up`].
pub async fn give_up(tx: &mut SqliteConnection, attempt: &IdempotencyAttempt) -> sqlx::Result<()> {
    sqlx::query(
        "delete from answers where name = $1 and user_id = $2 and registered_at is null and refusal is null",
    )
    .bind(attempt.key.bytes())
    .bind(attempt.user.uuid())
    .execute(tx)
    .await?;
    Ok(())
}

/// See [`crate::ports::Intake::forget_answers`].
pub async fn forget(tx: &mut SqliteConnection, now: Timestamp, limit: u32) -> sqlx::Result<u64> {
    let deleted = sqlx::query(
        "delete from answers where name in
             (select name from answers where expires_at <= $1 order by expires_at limit $2)",
    )
    .bind(StoredTime(now))
    .bind(limit)
    .execute(tx)
    .await?;
    Ok(deleted.rows_affected())
}

/// See [`crate::ports::Intake::forget_answers_about`].
pub async fn forget_about(tx: &mut SqliteConnection, id: UserId) -> sqlx::Result<()> {
    let about = "delete from answers where user_id = $1 and registered_at is not null";
    sqlx::query(about).bind(id.uuid()).execute(tx).await?;
    Ok(())
}
