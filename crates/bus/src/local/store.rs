use std::collections::BTreeMap;
use std::time::Duration;

use chassis::StoreFailure;
use chassis::sqlite::Database;
use kernel::{Refusal, Timestamp};
use sqlx::SqliteConnection;
use sqlx::migrate::Migrator;

use super::QueueDepth;
use crate::row::EnvelopeRow;
use crate::sqlite_outbox::json_list;
use crate::{DeadLetter, Envelope};

static MIGRATIONS: Migrator = sqlx::migrate!("../../db/bus/sqlite");

/// The tables of the local bus. The store does not know the consumers.
pub(super) struct Store {
    database: Database,
}

/// A message that one consumer has taken.
pub(super) struct Delivery {
    pub(super) position: i64,
    /// The number of earlier refusals.
    pub(super) refused: u32,
    pub(super) was_stale: bool,
    pub(super) message: Envelope,
}

/// The outcome of a delivery.
pub(super) enum DeliveryOutcome {
    Done,
    Retry { due_at: Timestamp, stale: bool },
    Dead { reason: Refusal },
}

#[derive(sqlx::FromRow)]
struct DeliveryRow {
    position: i64,
    attempts: u32,
    was_stale: bool,
    #[sqlx(flatten)]
    envelope: EnvelopeRow,
}

#[derive(sqlx::FromRow)]
struct DeadLetterRow {
    position: i64,
    died_at: i64,
    attempts: u32,
    reason_kind: String,
    reason_code: String,
    reason_detail: String,
    #[sqlx(flatten)]
    envelope: EnvelopeRow,
}

impl Store {
    pub(super) async fn open(path: &str) -> Result<Self, StoreFailure> {
        Ok(Self { database: Database::open(&format!("sqlite:{path}"), &MIGRATIONS).await? })
    }

    pub(super) async fn ping(&self) -> Result<(), StoreFailure> {
        self.database.ping().await
    }

    pub(super) async fn try_write(&self) -> Result<(), StoreFailure> {
        self.database.try_write().await
    }

    /// Deletes the dead letters that name a person, except those whose subject is the person. Wipes the file
    /// if no waiting message names the person.
    pub(super) async fn forget(&self, person: &str) -> Result<bool, StoreFailure> {
        let mut tx = self.database.write().await?;
        sqlx::query("delete from dead_letter where subject <> ?1 and instr(body, cast(?1 as blob)) > 0")
            .bind(person)
            .execute(&mut *tx)
            .await?;
        let waits: bool = sqlx::query_scalar(
            "select exists (select 1 from delivery where subject <> ?1 and instr(body, cast(?1 as blob)) > 0)",
        )
        .bind(person)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        if waits {
            return Ok(false);
        }
        // `vacuum` skips a very large file. Such a file is full of waiting messages; it shrinks, and is
        // vacuumed then.
        Ok(self.database.vacuum().await? && self.database.empty_log().await?)
    }

    pub(super) async fn close(&self) {
        self.database.close().await;
    }

    /// Returns every durable queue by name, with its id and patterns.
    pub(super) async fn queues(&self) -> Result<BTreeMap<String, (i64, Vec<String>)>, StoreFailure> {
        let rows: Vec<(String, i64, Option<String>)> = sqlx::query_as(
            "select queue.name, queue.id, binding.pattern
             from queue left join binding on binding.queue = queue.id order by queue.name, binding.pattern",
        )
        .fetch_all(self.database.reader())
        .await?;
        let mut queues = BTreeMap::new();
        for (name, id, pattern) in rows {
            let (_, patterns) = queues.entry(name).or_insert_with(|| (id, Vec::new()));
            patterns.extend(pattern);
        }
        Ok(queues)
    }

    /// Creates the queue if it does not exist, sets its patterns, and returns its id.
    pub(super) async fn declare(&self, name: &str, patterns: &[&str]) -> Result<i64, StoreFailure> {
        let mut tx = self.database.write().await?;
        sqlx::query("insert into queue (name) values (?) on conflict (name) do nothing")
            .bind(name)
            .execute(&mut *tx)
            .await?;
        let (id,): (i64,) =
            sqlx::query_as("select id from queue where name = ?").bind(name).fetch_one(&mut *tx).await?;
        sqlx::query("delete from binding where queue = ?").bind(id).execute(&mut *tx).await?;
        for pattern in patterns {
            sqlx::query("insert into binding (queue, pattern) values (?, ?) on conflict do nothing")
                .bind(id)
                .bind(pattern)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(id)
    }

    /// Stores each message in its queues, all or none.
    pub(super) async fn append(
        &self,
        messages: &[(&Envelope, Vec<i64>)],
        now: Timestamp,
    ) -> Result<(), StoreFailure> {
        let mut tx = self.database.write().await?;
        for (message, queues) in messages {
            for queue in queues {
                insert(&mut tx, *queue, message, now).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// Returns the first deliveries of a queue that are due and not `taken`. A delivery that has not been
    /// refused is always due. One that is due later than after the `longest` pause was postponed before the
    /// clock went back, and is due too.
    pub(super) async fn due(
        &self,
        queue: i64,
        now: Timestamp,
        longest: Duration,
        taken: &[i64],
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreFailure> {
        let rows: Vec<DeliveryRow> = sqlx::query_as(
            "select position, attempts, was_stale,
                    message_id, kind, routing_key, source, subject, version, happened_at, trace, body
             from delivery
             where queue = ? and (due_at <= ? or due_at > ? or attempts = 0)
               and position not in (select value from json_each(?))
             order by position limit ?",
        )
        .bind(queue)
        .bind(now.millis())
        .bind(now.plus(longest).millis())
        .bind(json_list(taken))
        .bind(limit)
        .fetch_all(self.database.reader())
        .await?;
        let delivery = |row: DeliveryRow| Delivery {
            position: row.position,
            refused: row.attempts,
            was_stale: row.was_stale,
            message: row.envelope.into(),
        };
        Ok(rows.into_iter().map(delivery).collect())
    }

    /// Returns the time at which the next delivery of a queue is due that is not `taken`.
    pub(super) async fn next_due(
        &self,
        queue: i64,
        taken: &[i64],
    ) -> Result<Option<Timestamp>, StoreFailure> {
        let (due,): (Option<i64>,) = sqlx::query_as(
            "select min(due_at) from delivery
             where queue = ? and position not in (select value from json_each(?))",
        )
        .bind(queue)
        .bind(json_list(taken))
        .fetch_one(self.database.reader())
        .await?;
        Ok(due.map(Timestamp::from_millis))
    }

    /// Stores the outcomes of deliveries, in one transaction.
    pub(super) async fn settle(
        &self,
        outcomes: &[(i64, DeliveryOutcome)],
        now: Timestamp,
    ) -> Result<(), StoreFailure> {
        let done: Vec<i64> = outcomes
            .iter()
            .filter(|(_, outcome)| matches!(outcome, DeliveryOutcome::Done))
            .map(|(position, _)| *position)
            .collect();
        let mut tx = self.database.write().await?;
        sqlx::query("delete from delivery where position in (select value from json_each(?))")
            .bind(json_list(&done))
            .execute(&mut *tx)
            .await?;
        for (position, outcome) in outcomes {
            match outcome {
                DeliveryOutcome::Done => {}
                DeliveryOutcome::Retry { due_at, stale } => {
                    postpone(&mut tx, *position, *due_at, *stale).await?
                }
                DeliveryOutcome::Dead { reason } => bury(&mut tx, *position, reason, now).await?,
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// Returns the oldest dead letters of a queue.
    pub(super) async fn dead_letters(
        &self,
        queue: &str,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreFailure> {
        let rows: Vec<DeadLetterRow> = sqlx::query_as(
            "select position, died_at, attempts, reason_kind, reason_code, reason_detail,
                    message_id, kind, routing_key, source, subject, version, happened_at, trace, body
             from dead_letter where queue = (select id from queue where name = ?) order by position limit ?",
        )
        .bind(queue)
        .bind(limit)
        .fetch_all(self.database.reader())
        .await?;
        let letter = |row: DeadLetterRow| DeadLetter {
            position: row.position,
            died_at: Timestamp::from_millis(row.died_at),
            deliveries: row.attempts,
            kind: row.reason_kind,
            code: row.reason_code,
            detail: row.reason_detail,
            message: row.envelope.into(),
        };
        Ok(rows.into_iter().map(letter).collect())
    }

    /// Returns the numbers of waiting and dead messages of each queue, by name.
    pub(super) async fn depths(&self) -> Result<Vec<QueueDepth>, StoreFailure> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "select name, (select count(*) from delivery where delivery.queue = queue.id),
                    (select count(*) from dead_letter where dead_letter.queue = queue.id)
             from queue order by name",
        )
        .fetch_all(self.database.reader())
        .await?;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let depth = |(queue, waiting, dead)| QueueDepth { queue, waiting: count(waiting), dead: count(dead) };
        Ok(rows.into_iter().map(depth).collect())
    }
}

async fn insert(
    tx: &mut SqliteConnection,
    queue: i64,
    message: &Envelope,
    now: Timestamp,
) -> Result<(), StoreFailure> {
    sqlx::query(
        "insert into delivery (queue, due_at,
                               message_id, kind, routing_key, source, subject, version, happened_at, trace, body)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(queue)
    .bind(now.millis())
    .bind(message.id.uuid())
    .bind(&message.kind)
    .bind(&message.key)
    .bind(&message.source)
    .bind(&message.subject)
    .bind(message.version)
    .bind(message.time.millis())
    .bind(message.trace.to_string())
    .bind(message.body.as_ref())
    .execute(tx)
    .await?;
    Ok(())
}

async fn postpone(
    tx: &mut SqliteConnection,
    position: i64,
    due_at: Timestamp,
    stale: bool,
) -> Result<(), StoreFailure> {
    sqlx::query(
        "update delivery set attempts = attempts + 1, due_at = ?, was_stale = max(was_stale, ?) where position = ?",
    )
    .bind(due_at.millis())
    .bind(stale)
    .bind(position)
    .execute(tx)
    .await?;
    Ok(())
}

async fn bury(
    tx: &mut SqliteConnection,
    position: i64,
    reason: &Refusal,
    now: Timestamp,
) -> Result<(), StoreFailure> {
    sqlx::query(
        "insert into dead_letter (position, queue, died_at, attempts, reason_kind, reason_code, reason_detail,
                                  message_id, kind, routing_key, source, subject, version, happened_at, trace, body)
         select position, queue, ?, attempts + 1, ?, ?, ?,
                message_id, kind, routing_key, source, subject, version, happened_at, trace, body
         from delivery where position = ?",
    )
    .bind(now.millis())
    .bind(kind_name(reason))
    .bind(reason.code.as_str())
    .bind(&reason.detail)
    .bind(position)
    .execute(&mut *tx)
    .await?;
    sqlx::query("delete from delivery where position = ?").bind(position).execute(tx).await?;
    Ok(())
}

/// Returns the name of the kind as messages write it, so that the table needs no second vocabulary.
fn kind_name(reason: &Refusal) -> String {
    serde_json::to_value(reason.kind)
        .ok()
        .and_then(|name| name.as_str().map(str::to_owned))
        .unwrap_or_else(|| "internal".to_owned())
}
