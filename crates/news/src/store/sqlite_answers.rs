//! The answers to commands that came under a key, in a SQLite file.

use chassis::StoreFailure;
use kernel::{ArticleId, Timestamp, Version};
use sqlx::{SqliteConnection, SqlitePool};
use uuid::Uuid;

use crate::domain::Article;
use crate::ports::{Answer, AppendError, Once};

/// A row whose time is over is as good as none, as is a refusal, which an older release has kept; and an erased person gets none.
const KEEP: &str =
    "insert into answers (owner, command, idempotency_key, fingerprint, article, version, kept_until)
     select ?, ?, ?, ?, ?, ?, ? where not exists (select 1 from erased where person = ?)
     on conflict (owner, command, idempotency_key) do update set
        fingerprint = excluded.fingerprint, article = excluded.article, version = excluded.version,
        refusal = null, kept_until = excluded.kept_until
     where answers.kept_until <= ? or answers.refusal is not null";

/// Keeps what is done in this transaction as the answer.
pub(super) async fn keep_done(
    tx: &mut SqliteConnection,
    once: &Once,
    article: &Article,
) -> Result<(), AppendError> {
    let kept = sqlx::query(KEEP)
        .bind(once.owner.uuid())
        .bind(&once.command)
        .bind(&once.key)
        .bind(&once.fingerprint)
        .bind(article.id.uuid())
        .bind(article.version.number())
        .bind(once.until.millis())
        .bind(once.owner.uuid())
        .bind(once.at.millis())
        .execute(tx)
        .await?;
    if kept.rows_affected() > 0 { Ok(()) } else { Err(AppendError::Answered) }
}

#[derive(sqlx::FromRow)]
struct AnswerRow {
    fingerprint: String,
    article: Uuid,
    version: u32,
}

/// What is kept under this key.
pub(super) async fn find(pool: &SqlitePool, once: &Once) -> Result<Option<Answer>, StoreFailure> {
    let row: Option<AnswerRow> = sqlx::query_as(
        "select fingerprint, article, version from answers
         where owner = ? and command = ? and idempotency_key = ? and kept_until > ? and refusal is null",
    )
    .bind(once.owner.uuid())
    .bind(&once.command)
    .bind(&once.key)
    .bind(once.at.millis())
    .fetch_optional(pool)
    .await?;
    let answer = |row: AnswerRow| Answer {
        fingerprint: row.fingerprint,
        article: ArticleId::new(row.article),
        version: Version::new(row.version),
    };
    Ok(row.map(answer))
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
