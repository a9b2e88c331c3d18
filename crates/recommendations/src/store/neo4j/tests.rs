//! Tests against a real server. The contract suite has the laws of the port; these tests are about what only
//! a server has: deadlocks, connections that break, logins.

mod proxy;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chassis::{Context, causes};
use kernel::{ArticleId, MessageId};
use testkit::{PATIENCE, at_once, engine, wait_until};
use tokio::sync::{Barrier, OnceCell};
use uuid::Uuid;

use super::*;
use crate::domain::Consent;
use crate::store::contract::TestGraph;
use proxy::Proxy;

const SECOND: Duration = Duration::from_secs(1);

/// Returns a URL with a new tenant at this server. Its data stays until the server is removed.
fn new_tenant(server: &str) -> String {
    format!("{server}?tenant=test-{}", Uuid::new_v4())
}

async fn open(url: &str) -> Neo4jTasteGraph {
    static WARM: OnceCell<()> = OnceCell::const_new();
    WARM.get_or_init(warm_up).await;
    Neo4jTasteGraph::open(url, PATIENCE).await.expect("the server for tests answers")
}

/// Waits until the server has answered each kind of query once. A server that has just started plans and
/// compiles for longer than readers would wait.
async fn warm_up() {
    let graph = Neo4jTasteGraph::open(&new_tenant(&engine("NEO4J")), PATIENCE).await;
    let graph = graph.expect("the server for tests answers");
    wait_until("a server that is warm", 4 * PATIENCE, || async {
        graph.set_consent(reader(1), &consent(1)).await.ok()?;
        graph.record_read(&reading(1, 1, 1, ["budget".to_owned()])).await.ok()?;
        graph.reader_status(reader(1)).await.ok()?;
        graph.labels_of(reader(1), 1).await.ok()?;
        graph.readers_of(&Label::parse("budget").expect("a label"), 1).await.ok()?;
        graph.forget_visits(at(1), 1).await.ok()?;
        graph.erase(reader(1), at(2)).await.ok()
    })
    .await;
}

/// Opens an empty graph.
pub async fn open_tenant() -> TestGraph {
    TestGraph::new(Arc::new(open(&new_tenant(&engine("NEO4J"))).await), None)
}

crate::store::contract::every_case!(open_tenant, ignore = "needs neo4j");

fn reader(number: u128) -> UserId {
    UserId::new(Uuid::from_u128(number))
}

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + minutes * 60_000)
}

fn consent(version: u32) -> ConsentRecord {
    let consent = Consent { personalisation: true, history: true };
    ConsentRecord { consent, version, since: at(0) }
}

fn reading(by: u128, article: u128, minutes: i64, labels: impl IntoIterator<Item = String>) -> Reading {
    Reading {
        message: MessageId::new(Uuid::from_u128((by << 64) + article)),
        reader: reader(by),
        article: ArticleId::new(Uuid::from_u128(article)),
        labels: labels.into_iter().map(|label| Label::parse(&label).expect("a label").into()).collect(),
        at: at(minutes),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn a_server_that_answers_accepts_writes() {
    let graph = open(&new_tenant(&engine("NEO4J"))).await;
    graph.ping().await.expect("it answers");
    graph.try_write().await.expect("it is not read-only");
}

/// Locks two readers one after the other. If there is a barrier, it waits there after the first lock.
async fn lock_both(
    graph: &Neo4jTasteGraph,
    readers: [u128; 2],
    barrier: Option<Arc<Barrier>>,
) -> Result<(), AttemptError> {
    let mut tx = graph.pool.begin().await?;
    graph.lock(&mut tx, reader(readers[0])).await?;
    if let Some(barrier) = barrier {
        barrier.wait().await;
    }
    graph.lock(&mut tx, reader(readers[1])).await?;
    Ok(tx.commit().await?)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn two_transactions_in_a_deadlock_both_succeed_in_the_end() {
    let graph = open(&new_tenant(&engine("NEO4J"))).await;
    for number in 1..=2 {
        graph.set_consent(reader(number), &consent(1)).await.expect("a consent is stored");
    }
    let (barrier, attempts) = (Arc::new(Barrier::new(2)), Arc::new(AtomicU32::new(0)));
    let racers = at_once(2, |number| {
        let (graph, barrier, attempts) = (graph.clone(), barrier.clone(), attempts.clone());
        async move {
            let order = if number == 0 { [1, 2] } else { [2, 1] };
            let first = AtomicU32::new(0);
            let attempt = || {
                attempts.fetch_add(1, Ordering::SeqCst);
                let barrier = (first.fetch_add(1, Ordering::SeqCst) == 0).then(|| barrier.clone());
                lock_both(&graph, order, barrier)
            };
            graph.pool.write(attempt).await
        }
    });
    assert!(racers.await.iter().all(Result::is_ok));
    assert!(attempts.load(Ordering::SeqCst) > 2, "the server aborted neither of them");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn sixty_concurrent_readings_with_the_same_labels_all_succeed_and_count_once() {
    const READERS: u128 = 20;
    let graph = open(&new_tenant(&engine("NEO4J"))).await;
    for number in 1..=READERS {
        graph.set_consent(reader(number), &consent(1)).await.expect("a consent is stored");
    }
    // Three concurrent readings for each reader, each with twenty of thirty labels that are new.
    let labels = |number: u128| (0..20).map(move |index| format!("label {}", (number * 7 + index * 11) % 30));
    let results = at_once(60, |number| {
        let (graph, by) = (graph.clone(), 1 + number as u128 % READERS);
        let reading = reading(by, number as u128, number as i64, labels(by));
        async move { Context::for_work("test", PATIENCE).scope(graph.record_read(&reading)).await }
    });
    for result in results.await {
        assert_eq!(result.expect("it succeeds in the end"), RecordedReading::Accepted);
    }
    for number in 1..=READERS {
        let tastes = graph.labels_of(reader(number), 100).await.expect("labels");
        assert_eq!(tastes.len(), 20);
        assert!(tastes.iter().all(|taste| taste.reads() == 3), "reader {number}: {tastes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn replicas_that_delete_visits_and_record_readings_at_once_do_not_disturb_each_other() {
    let graph = open(&new_tenant(&engine("NEO4J"))).await;
    graph.set_consent(reader(1), &consent(1)).await.expect("a consent is stored");
    for article in 0..40 {
        let reading = reading(1, article, 0, ["budget".to_owned()]);
        graph.record_read(&reading).await.expect("a reading is recorded");
    }
    let deleted = at_once(8, |number| {
        let graph = graph.clone();
        async move {
            if number % 2 == 0 {
                return graph.forget_visits(at(1), 30).await.expect("visits are deleted");
            }
            let reading = reading(1, 100 + number as u128, 5, ["budget".to_owned()]);
            graph.record_read(&reading).await.expect("a reading is recorded");
            0
        }
    });
    // Replicas that choose the same visits delete them once; the others are deleted next time.
    let (at_once, rest) = (deleted.await, graph.forget_visits(at(1), 30).await.expect("visits are deleted"));
    assert_eq!(at_once.iter().sum::<u64>() + rest, 40, "{at_once:?}");
    let tastes = graph.labels_of(reader(1), 10).await.expect("labels");
    assert_eq!(tastes[0].reads(), 44);
}

/// Returns true if a read and a write both fail as unavailable, within the time.
async fn is_unavailable(graph: &Neo4jTasteGraph) -> bool {
    let context = Context::for_work("test", SECOND);
    let read = context.clone().scope(graph.labels_of(reader(1), 10)).await;
    let write = context.scope(graph.record_read(&reading(1, 9, 9, ["tax".to_owned()]))).await.map(drop);
    let is_unavailable = |result| matches!(result, Err(StoreFailure::Unavailable(_)));
    is_unavailable(read.map(drop)) && is_unavailable(write)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn a_graph_behind_a_cut_or_frozen_connection_is_unavailable_and_recovers() {
    let url = engine("NEO4J");
    let (login, address) = url.rsplit_once('@').expect("a URL with a login");
    let proxy = Proxy::before(address).await;
    let graph = open(&new_tenant(&format!("{login}@{}", proxy.address()))).await;
    graph.set_consent(reader(1), &consent(1)).await.expect("a consent is stored");
    graph.record_read(&reading(1, 1, 1, ["budget".to_owned()])).await.expect("a reading is recorded");

    for (number, fault) in [(2, Proxy::cut as fn(&Proxy)), (3, Proxy::freeze)] {
        fault(&proxy);
        wait_until("the graph to be unavailable", PATIENCE, || async {
            is_unavailable(&graph).await.then_some(())
        })
        .await;
        proxy.restore();
        let next = reading(1, number, 1, ["budget".to_owned()]);
        wait_until("the graph to recover", PATIENCE, || async { graph.record_read(&next).await.ok() }).await;
    }
    let tastes = graph.labels_of(reader(1), 10).await.expect("labels");
    let budget = tastes.iter().find(|taste| taste.label().key() == "budget").expect("the label");
    assert_eq!(budget.reads(), 3, "acknowledged readings are stored, once");
}

/// Opens a graph with all of its connections, so that an open transaction on one of them is not found by
/// chance.
async fn open_with_all_connections() -> Neo4jTasteGraph {
    let graph = open(&new_tenant(&engine("NEO4J"))).await;
    graph.set_consent(reader(1), &consent(1)).await.expect("a consent is stored");
    let all = at_once(10, |_| {
        let graph = graph.clone();
        async move { graph.pool.begin().await.expect("begins") }
    });
    drop(all.await);
    graph
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn a_refused_statement_leaves_no_lock_behind() {
    let graph = open_with_all_connections().await;
    let refused = graph.pool.write(|| async {
        let mut tx = graph.pool.begin().await?;
        graph.lock(&mut tx, reader(1)).await?;
        Ok(tx.run(neo4rs::query("no statement at all")).await?)
    });
    assert!(matches!(refused.await, Err(StoreFailure::Broken(_))));
    let next_reading = reading(1, 1, 1, ["budget".to_owned()]);
    let next = Context::for_work("test", SECOND).scope(graph.record_read(&next_reading)).await;
    assert_eq!(next.expect("the lock is free"), RecordedReading::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn a_cancelled_transaction_leaves_no_lock_behind() {
    let graph = open_with_all_connections().await;
    // One transaction holds the reader's lock; the next waits for it until its time is over.
    let mut held = graph.pool.begin().await.expect("begins");
    graph.lock(&mut held, reader(1)).await.expect("locks");
    let next_reading = reading(1, 1, 1, ["budget".to_owned()]);
    let impatient =
        Context::for_work("test", Duration::from_millis(300)).scope(graph.record_read(&next_reading)).await;
    assert!(matches!(impatient, Err(StoreFailure::Unavailable(_))));
    held.commit().await.expect("commits");
    let next = Context::for_work("test", SECOND).scope(graph.record_read(&next_reading)).await;
    assert_eq!(next.expect("the lock is free"), RecordedReading::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn a_wrong_password_is_refused_and_not_quoted() {
    let url = engine("NEO4J");
    let (_, address) = url.rsplit_once('@').expect("a URL with a login");
    let opened = Neo4jTasteGraph::open(&format!("neo4j://neo4j:geheim@{address}"), SECOND).await;
    let failure = opened.err().expect("it is refused");
    assert!(!format!("{failure:?} {}", causes(&failure)).contains("geheim"));
}

#[tokio::test]
async fn a_server_that_is_not_running_is_unavailable_and_its_password_is_not_quoted() {
    let address = testkit::free_address();
    let opened = Neo4jTasteGraph::open(&format!("neo4j://neo4j:geheim@{address}"), SECOND).await;
    let failure = opened.err().expect("the server is not running");
    assert!(matches!(failure, StoreFailure::Unavailable(_)));
    assert!(!format!("{failure:?} {}", causes(&failure)).contains("geheim"));
}

#[test]
fn every_file_of_the_schema_is_loaded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../db/recommendations/neo4j");
    assert_eq!(std::fs::read_dir(folder).expect("the folder").count(), SCHEMA.len());
}
