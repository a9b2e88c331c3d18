//! The answers to commands under keys, in PostgreSQL.

use chassis::StoreFailure;
use chassis::postgres::timestamptz;
use kernel::Timestamp;
use sqlx::{PgConnection, PgPool};

use super::{integer, version};
use crate::domain::Article;
use crate::ports::{AppendError, CommandKey, KeptAnswer};
use crate::store::rows::AnswerRow;

/// A row whose time is over does not count, nor does a refusal that an older release has kept. An erased
/// person gets no row. The statement waits for another transaction that has a row under this key and is not
/// committed yet.
const KEEP: &str =
    "insert into answers (owner, command, idempotency_key, fingerprint, article, version, kept_until)
     select $1, $2, $3, $4, $5, $6, $7 where not exists (select 1 from erased where person = $1)
     on conflict (owner, command, idempotency_key) do update set
        fingerprint = excluded.fingerprint, article = excluded.article, version = excluded.version,
        refusal = null, kept_until = excluded.kept_until
     where answers.kept_until <= $8 or answers.refusal is not null";

/// Keeps the article of this transaction as the answer.
///
/// # Errors
/// [`AppendError::Answered`], if there is an answer under this key.
pub(super) async fn keep(
    tx: &mut PgConnection,
    key: &CommandKey,
    article: &Article,
) -> Result<(), AppendError> {
    let kept = sqlx::query(KEEP)
        .bind(key.owner.uuid())
        .bind(&key.command)
        .bind(&key.key)
        .bind(&key.fingerprint)
        .bind(article.id.uuid())
        .bind(integer(article.version))
        .bind(timestamptz(key.until))
        .bind(timestamptz(key.at))
        .execute(tx)
        .await?;
    if kept.rows_affected() > 0 { Ok(()) } else { Err(AppendError::Answered) }
}

/// Returns the answer that is kept under this key.
pub(super) async fn find(pool: &PgPool, key: &CommandKey) -> Result<Option<KeptAnswer>, StoreFailure> {
    let row: Option<AnswerRow<i32>> = sqlx::query_as(
        "select fingerprint, article, version from answers
         where owner = $1 and command = $2 and idempotency_key = $3 and kept_until > $4 and refusal is null",
    )
    .bind(key.owner.uuid())
    .bind(&key.command)
    .bind(&key.key)
    .bind(timestamptz(key.at))
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| row.answer(version)))
}

/// Removes answers whose time is over. Replicas that do so at the same time skip each other's rows.
pub(super) async fn forget(pool: &PgPool, now: Timestamp, limit: u32) -> Result<u64, StoreFailure> {
    let removed = sqlx::query(
        "delete from answers where ctid = any (array(
             select ctid from answers where kept_until <= $1 order by kept_until limit $2 for update skip locked))",
    )
    .bind(timestamptz(now))
    .bind(i64::from(limit))
    .execute(pool)
    .await?;
    Ok(removed.rows_affected())
}
