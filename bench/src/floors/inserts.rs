//! Two insertions in one transaction: an event and a message that waits, into tables of the portal's form.

use std::sync::Arc;

use anyhow::{Context, Result};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use super::{Done, Drive};

/// Creates tables like the section's tables of events and messages, without its others (slugs, bylines).
const TABLES: &str = "
create table if not exists bench_events (
    article uuid not null, version integer not null, happened_at timestamptz not null, record text not null,
    prev_hash text not null, hash text not null, primary key (article, version)
);
create table if not exists bench_outbox (
    position bigint generated always as identity primary key, message_id uuid not null, kind text not null,
    routing_key text not null, subject text not null, version integer not null, happened_at timestamptz not null,
    body bytea not null
);
truncate bench_events, bench_outbox;
";

/// Inserts again and again, as durably as the portal does.
pub async fn drive(url: &str, bytes: usize, drive: Drive) -> Result<Done> {
    let options: PgConnectOptions = url.parse().context("the URL of the database")?;
    let options = options.options([("synchronous_commit", "on")]);
    let connections = u32::try_from(drive.in_flight)?;
    #[expect(clippy::disallowed_methods, reason = "a floor does without chassis")]
    let pool = PgPoolOptions::new().max_connections(connections).idle_timeout(None).max_lifetime(None);
    let pool = pool.connect_with(options).await.context("Postgres")?;
    sqlx::raw_sql(AssertSqlSafe(TABLES)).execute(&pool).await.context("the tables")?;
    let record: Arc<str> = "x".repeat(bytes).into();
    let once = move || {
        let (pool, record) = (pool.clone(), record.clone());
        async move { insert(&pool, &record).await.context("a transaction") }
    };
    drive.counted(once).await
}

async fn insert(pool: &PgPool, record: &str) -> Result<(), sqlx::Error> {
    let (article, hash) = (Uuid::new_v4(), "0".repeat(64));
    let mut transaction = pool.begin().await?;
    sqlx::query("insert into bench_events values ($1, 1, now(), $2, $3, $3)")
        .bind(article)
        .bind(record)
        .bind(&hash)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "insert into bench_outbox (message_id, kind, routing_key, subject, version, happened_at, body)
         values ($1, 'drafted', 'news.sports.drafted', $2, 1, now(), $3)",
    )
    .bind(Uuid::new_v4())
    .bind(article.to_string())
    .bind(record.as_bytes())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}
