//! The answers to commands that came under a key, in PostgreSQL.

use chassis::StoreFailure;
use chassis::postgres::timestamptz;
use kernel::{Refusal, Timestamp, Version};
use sqlx::{Executor, PgConnection, PgPool, Postgres};
use uuid::Uuid;

use super::record::{read_answer, write_refusal};
use crate::domain::Article;
use crate::ports::{Answer, AppendError, Once};

/// The same statement for what was done and for what was refused. A row whose time is over is as good as none,
/// and an erased person gets none. It waits for
/// another transaction that has a row under this key and is not committed yet.
const KEEP: &str = "insert into answers (owner, command, idempotency_key, fingerprint, article, version, refusal, kept_until)
     select $1, $2, $3, $4, $5, $6, $7, $8 where not exists (select 1 from erased where person = $1)
     on conflict (owner, command, idempotency_key) do update set
        fingerprint = excluded.fingerprint, article = excluded.article, version = excluded.version,
        refusal = excluded.refusal, kept_until = excluded.kept_until
     where answers.kept_until <= $9";

/// Keeps what is done in this transaction as the answer.
pub(super) async fn keep_done(
    tx: &mut PgConnection,
    once: &Once,
    article: &Article,
) -> Result<(), AppendError> {
    if keep(tx, once, Some(article), None).await? { Ok(()) } else { Err(AppendError::Answered) }
}

/// Keeps a refusal as the answer, unless there is one.
pub(super) async fn keep_refusal(pool: &PgPool, once: &Once, refusal: &Refusal) -> Result<(), StoreFailure> {
    keep(pool, once, None, Some(write_refusal(refusal).map_err(StoreFailure::broken)?)).await?;
    Ok(())
}

async fn keep<'e>(
    executor: impl Executor<'e, Database = Postgres>,
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
        .bind(done.map(|article| i32::try_from(article.version.number()).unwrap_or(i32::MAX)))
        .bind(refusal)
        .bind(timestamptz(once.until))
        .bind(timestamptz(once.at))
        .execute(executor)
        .await?;
    Ok(kept.rows_affected() > 0)
}

#[derive(sqlx::FromRow)]
struct AnswerRow {
    fingerprint: String,
    article: Option<Uuid>,
    version: Option<i32>,
    refusal: Option<String>,
}

/// What is kept under this key.
pub(super) async fn find(pool: &PgPool, once: &Once) -> Result<Option<Answer>, StoreFailure> {
    let row: Option<AnswerRow> = sqlx::query_as(
        "select fingerprint, article, version, refusal from answers
         where owner = $1 and command = $2 and idempotency_key = $3 and kept_until > $4",
    )
    .bind(once.owner.uuid())
    .bind(&once.command)
    .bind(&once.key)
    .bind(timestamptz(once.at))
    .fetch_optional(pool)
    .await?;
    let answer = |row: AnswerRow| {
        let version = row.version.map(|number| Version::new(u32::try_from(number).unwrap_or_default()));
        read_answer(row.fingerprint, row.article.zip(version), row.refusal)
    };
    row.map(answer).transpose().map_err(StoreFailure::broken)
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
