//! The answers to commands that came under a key, in PostgreSQL.

use chassis::StoreFailure;
use chassis::postgres::timestamptz;
use kernel::{ArticleId, Timestamp, Version};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::domain::Article;
use crate::ports::{Answer, AppendError, Once};

/// A row whose time is over is as good as none, as is a refusal, which an older release has kept; and an erased person gets none. It waits for
/// another transaction that has a row under this key and is not committed yet.
const KEEP: &str =
    "insert into answers (owner, command, idempotency_key, fingerprint, article, version, kept_until)
     select $1, $2, $3, $4, $5, $6, $7 where not exists (select 1 from erased where person = $1)
     on conflict (owner, command, idempotency_key) do update set
        fingerprint = excluded.fingerprint, article = excluded.article, version = excluded.version,
        refusal = null, kept_until = excluded.kept_until
     where answers.kept_until <= $8 or answers.refusal is not null";

/// Keeps what is done in this transaction as the answer.
pub(super) async fn keep_done(
    tx: &mut PgConnection,
    once: &Once,
    article: &Article,
) -> Result<(), AppendError> {
    let kept = sqlx::query(KEEP)
        .bind(once.owner.uuid())
        .bind(&once.command)
        .bind(&once.key)
        .bind(&once.fingerprint)
        .bind(article.id.uuid())
        .bind(i32::try_from(article.version.number()).unwrap_or(i32::MAX))
        .bind(timestamptz(once.until))
        .bind(timestamptz(once.at))
        .execute(tx)
        .await?;
    if kept.rows_affected() > 0 { Ok(()) } else { Err(AppendError::Answered) }
}

#[derive(sqlx::FromRow)]
struct AnswerRow {
    fingerprint: String,
    article: Uuid,
    version: i32,
}

/// What is kept under this key.
pub(super) async fn find(pool: &PgPool, once: &Once) -> Result<Option<Answer>, StoreFailure> {
    let row: Option<AnswerRow> = sqlx::query_as(
        "select fingerprint, article, version from answers
         where owner = $1 and command = $2 and idempotency_key = $3 and kept_until > $4 and refusal is null",
    )
    .bind(once.owner.uuid())
    .bind(&once.command)
    .bind(&once.key)
    .bind(timestamptz(once.at))
    .fetch_optional(pool)
    .await?;
    let answer = |row: AnswerRow| Answer {
        fingerprint: row.fingerprint,
        article: ArticleId::new(row.article),
        version: Version::new(u32::try_from(row.version).unwrap_or_default()),
    };
    Ok(row.map(answer))
}

/// Removes what is kept for nobody any more. Replicas that do so at once pass each other's rows by.
pub(super) async fn forget(pool: &PgPool, now: Timestamp, limit: u32) -> Result<u64, StoreFailure> {
    let forgotten = sqlx::query(
        "delete from answers where ctid = any (array(
             select ctid from answers where kept_until <= $1 order by kept_until limit $2 for update skip locked))",
    )
    .bind(timestamptz(now))
    .bind(i64::from(limit))
    .execute(pool)
    .await?;
    Ok(forgotten.rows_affected())
}
