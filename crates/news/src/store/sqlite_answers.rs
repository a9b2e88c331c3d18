//! The answers to commands that came under a key, in a SQLite file.

use chassis::StoreFailure;
use kernel::{Refusal, Timestamp, Version};
use sqlx::{SqliteConnection, SqlitePool};
use uuid::Uuid;

use super::record::{read_answer, write_refusal};
use crate::domain::Article;
use crate::ports::{Answer, AppendError, Once};

/// The same statement for what was done and for what was refused. A row whose time is over is as good as none,
/// and an erased person gets none.
const KEEP: &str = "insert into answers (owner, command, idempotency_key, fingerprint, article, version, refusal, kept_until)
     select ?, ?, ?, ?, ?, ?, ?, ? where not exists (select 1 from erased where person = ?)
     on conflict (owner, command, idempotency_key) do update set
        fingerprint = excluded.fingerprint, article = excluded.article, version = excluded.version,
        refusal = excluded.refusal, kept_until = excluded.kept_until
     where answers.kept_until <= ?";

/// Keeps what is done in this transaction as the answer.
pub(super) async fn keep_done(
    tx: &mut SqliteConnection,
    once: &Once,
    article: &Article,
) -> Result<(), AppendError> {
    if keep(tx, once, Some(article), None).await? { Ok(()) } else { Err(AppendError::Answered) }
}

/// Keeps a refusal as the answer, unless there is one.
pub(super) async fn keep_refusal(
    tx: &mut SqliteConnection,
    once: &Once,
    refusal: &Refusal,
) -> Result<(), StoreFailure> {
    keep(tx, once, None, Some(write_refusal(refusal).map_err(StoreFailure::broken)?)).await?;
    Ok(())
}

async fn keep(
    tx: &mut SqliteConnection,
    once: &Once,
    done: Option<&Article>,
    refusal: Option<String>,
) -> Result<bool, sqlx::Error> {
    let kept = sqlx::query(KEEP)
        .bind(once.owner.uuid())
        .bind(&once.command)
        .bind(&once.key)
        .bind(&once.fingerprint)
        .bind(done.map(|article| article.id.uuid()))
        .bind(done.map(|article| article.version.number()))
        .bind(refusal)
        .bind(once.until.millis())
        .bind(once.owner.uuid())
        .bind(once.at.millis())
        .execute(tx)
        .await?;
    Ok(kept.rows_affected() > 0)
}

#[derive(sqlx::FromRow)]
struct AnswerRow {
    fingerprint: String,
    article: Option<Uuid>,
    version: Option<u32>,
    refusal: Option<String>,
}

/// What is kept under this key.
pub(super) async fn find(pool: &SqlitePool, once: &Once) -> Result<Option<Answer>, StoreFailure> {
    let row: Option<AnswerRow> = sqlx::query_as(
        "select fingerprint, article, version, refusal from answers
         where owner = ? and command = ? and idempotency_key = ? and kept_until > ?",
    )
    .bind(once.owner.uuid())
    .bind(&once.command)
    .bind(&once.key)
    .bind(once.at.millis())
    .fetch_optional(pool)
    .await?;
    let answer = |row: AnswerRow| {
        let version = row.version.map(Version::new);
        read_answer(row.fingerprint, row.article.zip(version), row.refusal)
    };
    row.map(answer).transpose().map_err(StoreFailure::broken)
}

/// Removes what is kept for nobody any more.
pub(super) async fn forget(
    tx: &mut SqliteConnection,
    now: Timestamp,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let forgotten = sqlx::query(
        "delete from answers where rowid in (
             select rowid from answers where kept_until <= ? order by kept_until limit ?)",
    )
    .bind(now.millis())
    .bind(limit)
    .execute(tx)
    .await?;
    Ok(forgotten.rows_affected())
}
