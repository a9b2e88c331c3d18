//! What was asked for under keys, in the file of the intake. A row with a refusal is one of an older release and counts as none.

use std::time::Duration;

use kernel::{Timestamp, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::domain::{Account, Fingerprint};
use crate::ports::{AHEAD, Answer, Begun, IntakeError, Once};

#[derive(sqlx::FromRow)]
struct AnswerRow {
    fingerprint: String,
    user_id: Uuid,
    registered_at: Option<i64>,
}

impl From<AnswerRow> for Begun {
    fn from(row: AnswerRow) -> Self {
        match row.registered_at {
            Some(at) => Begun::Before(Answer {
                fingerprint: Fingerprint::stored(row.fingerprint),
                id: UserId::new(row.user_id),
                at: Timestamp::from_millis(at),
            }),
            None => Begun::Running,
        }
    }
}

/// What this process had begun when it ended will be done by nobody: the file is this process's alone.
pub async fn forget_begun(tx: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query("delete from answers where registered_at is null").execute(tx).await?;
    Ok(())
}

/// As [`crate::ports::Intake::begin`].
pub async fn begin(
    tx: &mut SqliteConnection,
    once: &Once,
    now: Timestamp,
    lease: Duration,
) -> Result<Begun, IntakeError> {
    let begun = sqlx::query(
        "insert into answers (name, fingerprint, user_id, expires_at) values (?1, ?2, ?3, ?4)
         on conflict (name) do update set fingerprint = excluded.fingerprint, user_id = excluded.user_id,
             registered_at = null, refusal = null, expires_at = excluded.expires_at
         where answers.expires_at <= ?5 or answers.refusal is not null
             or (answers.expires_at > ?6 and answers.registered_at is null)",
    )
    .bind(once.name.bytes())
    .bind(once.fingerprint.as_str())
    .bind(once.id.uuid())
    .bind(now.plus(lease).millis())
    .bind(now.millis())
    .bind(now.plus(lease * AHEAD).millis())
    .execute(&mut *tx)
    .await?;
    if begun.rows_affected() > 0 {
        return Ok(Begun::Now);
    }
    let row: AnswerRow =
        sqlx::query_as("select fingerprint, user_id, registered_at from answers where name = ?")
            .bind(once.name.bytes())
            .fetch_one(tx)
            .await?;
    Ok(row.into())
}

/// Makes the registration the answer. False where this attempt has lost its turn.
pub async fn keep_registered(
    tx: &mut SqliteConnection,
    once: &Once,
    account: &Account,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let kept = sqlx::query(
        "update answers set registered_at = ?1, expires_at = ?2
         where name = ?3 and user_id = ?4 and registered_at is null and refusal is null and expires_at > ?5",
    )
    .bind(account.user.created_at.millis())
    .bind(now.plus(once.kept).millis())
    .bind(once.name.bytes())
    .bind(once.id.uuid())
    .bind(now.millis())
    .execute(tx)
    .await?;
    Ok(kept.rows_affected() > 0)
}

/// As [`crate::ports::Intake::give_up`].
pub async fn give_up(tx: &mut SqliteConnection, once: &Once) -> sqlx::Result<()> {
    sqlx::query(
        "delete from answers where name = ? and user_id = ? and registered_at is null and refusal is null",
    )
    .bind(once.name.bytes())
    .bind(once.id.uuid())
    .execute(tx)
    .await?;
    Ok(())
}

/// As [`crate::ports::Intake::forget_answers`].
pub async fn forget(tx: &mut SqliteConnection, now: Timestamp, limit: u32) -> sqlx::Result<u64> {
    let forgotten = sqlx::query(
        "delete from answers where name in (select name from answers where expires_at <= ? order by expires_at limit ?)",
    )
    .bind(now.millis())
    .bind(limit)
    .execute(tx)
    .await?;
    Ok(forgotten.rows_affected())
}

/// As [`crate::ports::Intake::forget_answers_about`].
pub async fn forget_about(tx: &mut SqliteConnection, id: UserId) -> sqlx::Result<()> {
    let about = "delete from answers where user_id = ? and registered_at is not null";
    sqlx::query(about).bind(id.uuid()).execute(tx).await?;
    Ok(())
}
