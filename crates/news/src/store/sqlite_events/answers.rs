//! The answers to commands under keys, in a SQLite file.

use chassis::StoreFailure;
use kernel::{Timestamp, Version};
use sqlx::{SqliteConnection, SqlitePool};

use crate::domain::Article;
use crate::ports::{AppendError, CommandKey, KeptAnswer};
use crate::store::rows::AnswerRow;

/// A row whose time is over does not count, nor does a refusal that an older release has kept. An erased
/// person gets no row.
const KEEP: &str =
    "insert into answers (owner, command, idempotency_key, fingerprint, article, version, kept_until)
     select ?, ?, ?, ?, ?, ?, ? where not exists (select 1 from erased where person = ?)
     on conflict (owner, command, idempotency_key) do update set
        fingerprint = excluded.fingerprint, article = excluded.article, version = excluded.version,
        refusal = null, kept_until = excluded.kept_until
     where answers.kept_until <= ? or answers.refusal is not null";

/// Keeps the article of this transaction as the answer.
///
/// # Errors
/// [`AppendError::Answered`], if there is an answer under this key.
pub(super) async fn keep(
    tx: &mut SqliteConnection,
    key: &CommandKey,
    article: &Article,
) -> Result<(), AppendError> {
    let kept = sqlx::query(KEEP)
        .bind(key.owner.uuid())
        .bind(&key.command)
        .bind(&key.key)
        .bind(&key.fingerprint)
        .bind(article.id.uuid())
        .bind(article.version.number())
        .bind(key.until.millis())
        .bind(key.owner.uuid())
        .bind(key.at.millis())
        .execute(tx)
        .await?;
    if kept.rows_affected() > 0 { Ok(()) } else { Err(AppendError::Answered) }
}

/// Returns the answer that is kept under this key.
pub(super) async fn find(pool: &SqlitePool, key: &CommandKey) -> Result<Option<KeptAnswer>, StoreFailure> {
    let row: Option<AnswerRow<u32>> = sqlx::query_as(
        "select fingerprint, article, version from answers
         where owner = ? and command = ? and idempotency_key = ? and kept_until > ? and refusal is null",
    )
    .bind(key.owner.uuid())
    .bind(&key.command)
    .bind(&key.key)
    .bind(key.at.millis())
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| row.answer(Version::new)))
}

/// Removes answers whose time is over.
pub(super) async fn forget(
    tx: &mut SqliteConnection,
    now: Timestamp,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let removed = sqlx::query(
        "delete from answers where rowid in (
             select rowid from answers where kept_until <= ? order by kept_until limit ?)",
    )
    .bind(now.millis())
    .bind(limit)
    .execute(tx)
    .await?;
    Ok(removed.rows_affected())
}
