//! The behaviour of replicas that share one outbox. The laws of every outbox are in `outbox/contract.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::postgres::Database;
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};
use testkit::{PATIENCE, engine, engine_with, wait_until};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{OutboxWake, PostgresOutbox, TABLE, enqueue};
use crate::outbox::contract::messages;
use crate::{Envelope, Outbox};

/// Creates a schema with the table of the outbox, and returns its URL.
pub(crate) async fn schema() -> String {
    let schema = format!("bus_{}", Uuid::new_v4().simple());
    let mut connection = PgConnection::connect(&engine("POSTGRES")).await.expect("the server answers");
    let make = format!("create schema {schema}; set search_path = {schema}; {TABLE}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&mut connection).await.expect("the table is made");
    connection.close().await.expect("the connection closes");
    engine_with("POSTGRES", &format!("options[search_path]={schema}"))
}

struct Replica {
    database: Database,
    outbox_wake: OutboxWake,
    outbox: Arc<PostgresOutbox>,
}

async fn replica(url: &str, name: &str) -> Replica {
    let database =
        Database::open(url, name, &Migrator::with_migrations(Vec::new())).await.expect("the database opens");
    Replica {
        outbox: Arc::new(PostgresOutbox::new(database.clone())),
        outbox_wake: OutboxWake::new(&database),
        database,
    }
}

impl Replica {
    async fn store(&self, messages: &[Envelope]) {
        let mut tx = self.database.begin().await.expect("the transaction begins");
        for message in messages {
            enqueue(&mut tx, message).await.expect("the message is enqueued");
        }
        tx.commit().await.expect("the transaction commits");
        self.outbox_wake.notify();
    }

    /// Waits until this replica gets a batch, and returns it.
    async fn next_batch(&self) -> Vec<(i64, Envelope)> {
        wait_until("a batch for this replica", PATIENCE, || async {
            let unsent = self.outbox.unsent(1_000).await.expect("the outbox answers");
            (!unsent.is_empty()).then_some(unsent)
        })
        .await
    }
}

fn split(batch: Vec<(i64, Envelope)>) -> (Vec<i64>, Vec<Envelope>) {
    batch.into_iter().unzip()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn only_one_of_two_replicas_at_a_time_works_on_a_batch() {
    let url = schema().await;
    let (one, other) = (replica(&url, "one").await, replica(&url, "other").await);
    let sent = messages(2);
    one.store(&sent).await;
    let (positions, batch) = split(one.next_batch().await);
    assert_eq!(batch, sent);
    assert_eq!(other.outbox.unsent(10).await.expect("the outbox answers"), []);
    // A replica without a batch can store messages meanwhile.
    other.store(&messages(1)).await;
    one.outbox.mark_sent(&positions).await.expect("they are deleted");
    assert_eq!(other.next_batch().await.len(), 1);
    assert_eq!(one.outbox.unsent(10).await.expect("the outbox answers"), []);
    for each in [one, other] {
        each.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn another_replica_sends_the_batch_of_a_dead_one() {
    let url = schema().await;
    let (one, other) = (replica(&url, "one").await, replica(&url, "other").await);
    let sent = messages(2);
    one.store(&sent).await;
    let (positions, _) = split(one.next_batch().await);
    // The server sees a killed process as connections that end.
    sqlx::query(
        "select pg_terminate_backend(a.pid) from pg_stat_activity a join pg_locks l on l.pid = a.pid
         where l.locktype = 'relation' and l.relation = 'outbox'::regclass and a.state = 'idle in transaction'",
    )
    .execute(other.database.pool())
    .await
    .expect("it is killed");
    assert_eq!(split(other.next_batch().await).1, sent);
    one.outbox.mark_sent(&positions).await.expect_err("it is unknown whether they were confirmed");
    for each in [one, other] {
        each.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn a_frozen_replica_loses_its_batch_after_a_time() {
    let replica = replica(&schema().await, "test").await;
    let limit: String = sqlx::query_scalar("show idle_in_transaction_session_timeout")
        .fetch_one(replica.database.pool())
        .await
        .expect("the server answers");
    assert_eq!(limit, "15s");
    replica.database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn a_commit_wakes_the_relays_of_all_replicas() {
    let url = schema().await;
    let (one, other) = (replica(&url, "one").await, replica(&url, "other").await);
    for each in [&one, &other] {
        let woken = each.outbox.wake();
        tokio::time::timeout(PATIENCE, woken.notified()).await.expect("the listener is connected");
    }
    one.store(&messages(1)).await;
    for each in [&one, &other] {
        let woken = each.outbox.wake();
        tokio::time::timeout(PATIENCE, woken.notified()).await.expect("it is woken");
    }
    for each in [one, other] {
        each.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn closing_does_not_wait_for_a_batch_that_could_not_be_sent() {
    let replica = replica(&schema().await, "test").await;
    replica.store(&messages(1)).await;
    assert_eq!(replica.next_batch().await.len(), 1);
    let begin = Instant::now();
    replica.database.close().await;
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn racing_relays_send_every_message_once_and_in_order() {
    const ALL: usize = 300;
    let url = schema().await;
    let mut running = JoinSet::new();
    let sent = Arc::new(std::sync::Mutex::new(Vec::new()));
    let replicas = [Arc::new(replica(&url, "one").await), Arc::new(replica(&url, "other").await)];
    for replica in &replicas {
        let (replica, sent) = (replica.clone(), sent.clone());
        running.spawn(async move {
            while sent.lock().expect("no task panics").len() < ALL {
                let batch = replica.outbox.unsent(7).await.expect("the outbox answers");
                let (positions, messages) = split(batch);
                sent.lock().expect("no task panics").extend(messages.iter().map(|message| message.version));
                replica.outbox.mark_sent(&positions).await.expect("they are deleted");
            }
        });
    }
    let stored = messages(u32::try_from(ALL).expect("a small number"));
    for (turn, part) in stored.chunks(10).enumerate() {
        replicas[turn % 2].store(part).await;
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("no relay panics");
    }
    let expected: Vec<u32> = stored.iter().map(|message| message.version).collect();
    assert_eq!(*sent.lock().expect("no task panics"), expected);
    for each in replicas {
        each.database.close().await;
    }
}
