//! What was asked for under keys, in the file of the intake.

use chassis::StoreFailure;
use kernel::{Refusal, Timestamp, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::record::{read_outcome, write_refusal};
use crate::domain::{Account, Fingerprint};
use crate::ports::{Answer, Begun, IntakeError, Once};

#[derive(sqlx::FromRow)]
struct AnswerRow {
    fingerprint: String,
    user_id: Uuid,
    registered_at: Option<i64>,
    refusal: Option<String>,
}

impl TryFrom<AnswerRow> for Begun {
    type Error = StoreFailure;

    fn try_from(row: AnswerRow) -> Result<Self, StoreFailure> {
        let registered = row.registered_at.map(|at| (UserId::new(row.user_id), Timestamp::from_millis(at)));
        Ok(match read_outcome(registered, row.refusal.as_deref())? {
            Some(outcome) => {
                Begun::Before(Answer { fingerprint: Fingerprint::stored(row.fingerprint), outcome })
            }
            None => Begun::Running,
        })
    }
}

/// What this process had begun when it ended will be done by nobody: the file is this process's alone.
pub async fn forget_begun(tx: &mut SqliteConnection) -> sqlx::Result<()> {
    let begun = "delete from answers where registered_at is null and refusal is null";
    sqlx::query(begun).execute(tx).await?;
    Ok(())
}

/// As [`crate::ports::Intake::begin`].
pub async fn begin(
    tx: &mut SqliteConnection,
    once: &Once,
    now: Timestamp,
    until: Timestamp,
) -> Result<Begun, IntakeError> {
    let begun = sqlx::query(
        "insert into answers (name, fingerprint, user_id, expires_at) values (?1, ?2, ?3, ?4)
         on conflict (name) do update set fingerprint = excluded.fingerprint, user_id = excluded.user_id,
             registered_at = null, refusal = null, expires_at = excluded.expires_at
         where answers.expires_at <= ?5",
    )
    .bind(once.name.bytes())
    .bind(once.fingerprint.as_str())
    .bind(once.id.uuid())
    .bind(until.millis())
    .bind(now.millis())
    .execute(&mut *tx)
    .await?;
    if begun.rows_affected() > 0 {
        return Ok(Begun::Now);
    }
    let row: AnswerRow =
        sqlx::query_as("select fingerprint, user_id, registered_at, refusal from answers where name = ?")
            .bind(once.name.bytes())
            .fetch_one(tx)
            .await?;
    Ok(row.try_into()?)
}

/// Makes the registration the answer. False where this attempt has lost its turn.
pub async fn keep_registered(
    tx: &mut SqliteConnection,
    once: &Once,
    account: &Account,
    now: Timestamp,
) -> sqlx::Result<bool> {
    keep(tx, once, Some(account.user.created_at.millis()), None, now).await
}

/// As [`crate::ports::Intake::keep_refusal`].
pub async fn keep_refusal(
    tx: &mut SqliteConnection,
    once: &Once,
    refusal: &Refusal,
    now: Timestamp,
) -> Result<(), IntakeError> {
    keep(tx, once, None, Some(write_refusal(refusal)?), now).await?;
    Ok(())
}

async fn keep(
    tx: &mut SqliteConnection,
    once: &Once,
    registered_at: Option<i64>,
    refusal: Option<String>,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let kept = sqlx::query(
        "update answers set registered_at = ?1, refusal = ?2, expires_at = ?3
         where name = ?4 and user_id = ?5 and registered_at is null and refusal is null and expires_at > ?6",
    )
    .bind(registered_at)
    .bind(refusal)
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
