//! Against a real server. The laws of the port are in the contract suite; here is what only a server can do: deadlocks,
//! connections that break, logins.

mod proxy;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chassis::{Context, causes};
use kernel::{ArticleId, MessageId};
use testkit::{PATIENCE, at_once, wait_until};
use tokio::sync::{Barrier, OnceCell};
use uuid::Uuid;

use super::*;
use crate::domain::Consent;
use proxy::Proxy;

const SECOND: Duration = Duration::from_secs(1);

/// Where the server for tests is.
#[allow(clippy::disallowed_methods, reason = "where the engines are is no configuration of the service")]
fn server() -> String {
    std::env::var("PORTAL_TEST_NEO4J_URL")
        .expect("PORTAL_TEST_NEO4J_URL says where a Neo4j server is for tests")
}

/// A tenant that nobody else has, at this server. What it leaves behind goes with the server.
fn tenant_at(server: &str) -> String {
    format!("{server}?tenant=test-{}", Uuid::new_v4())
}

async fn open(url: &str) -> Neo4jTasteGraph {
    static WARM: OnceCell<()> = OnceCell::const_new();
    WARM.get_or_init(warm).await;
    Neo4jTasteGraph::open(url, PATIENCE).await.expect("the server for tests answers")
}

/// Waits until the server has answered each kind of question once. One that has just started plans and compiles for longer than
/// readers would wait.
async fn warm() {
    let graph = Neo4jTasteGraph::open(&tenant_at(&server()), PATIENCE).await;
    let graph = graph.expect("the server for tests answers");
    wait_until("a server that is warm", 4 * PATIENCE, || async {
        graph.set_consent(reader(1), &consent(1)).await.ok()?;
        graph.record_read(&reading(1, 1, 1, ["budget".to_owned()])).await.ok()?;
        graph.consent_of(reader(1)).await.ok()?;
        graph.labels_of(reader(1), 1).await.ok()?;
        graph.readers_of(&Label::parse("budget").expect("a label"), 1).await.ok()?;
        graph.forget_visits(at(1), 1).await.ok()?;
        graph.erase(reader(1), at(2)).await.ok()
    })
    .await;
}

/// A graph without anything in it.
pub async fn with_a_tenant_of_its_own() -> (Arc<dyn TasteGraph>, ()) {
    (Arc::new(open(&tenant_at(&server())).await), ())
}

crate::store::contract::every_case!(with_a_tenant_of_its_own, ignore = "needs neo4j");

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
async fn a_server_that_answers_takes_writes() {
    let graph = open(&tenant_at(&server())).await;
    graph.ping().await.expect("it answers");
    graph.try_write().await.expect("it is not read-only");
}

/// Locks two readers one after the other, with a look left and right between the first and the second try only.
async fn lock_both(
    graph: &Neo4jTasteGraph,
    readers: [u128; 2],
    meet: Option<Arc<Barrier>>,
) -> Result<(), Trouble> {
    let mut tx = graph.link.begin().await?;
    graph.lock(&mut tx, reader(readers[0])).await?;
    if let Some(meet) = meet {
        meet.wait().await;
    }
    graph.lock(&mut tx, reader(readers[1])).await?;
    Ok(tx.commit().await?)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn two_transactions_that_wait_for_each_other_both_succeed_in_the_end() {
    let graph = open(&tenant_at(&server())).await;
    for number in 1..=2 {
        graph.set_consent(reader(number), &consent(1)).await.expect("a consent is put on record");
    }
    let (meet, tries) = (Arc::new(Barrier::new(2)), Arc::new(AtomicU32::new(0)));
    let racers = at_once(2, |number| {
        let (graph, meet, tries) = (graph.clone(), meet.clone(), tries.clone());
        async move {
            let order = if number == 0 { [1, 2] } else { [2, 1] };
            let first = AtomicU32::new(0);
            let attempt = || {
                tries.fetch_add(1, Ordering::SeqCst);
                let meet = (first.fetch_add(1, Ordering::SeqCst) == 0).then(|| meet.clone());
                lock_both(&graph, order, meet)
            };
            graph.link.write(attempt).await
        }
    });
    assert!(racers.await.iter().all(Result::is_ok));
    assert!(tries.load(Ordering::SeqCst) > 2, "the server broke neither of them off");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn sixty_batches_at_once_over_the_same_labels_all_succeed_and_count_once() {
    const READERS: u128 = 20;
    let graph = open(&tenant_at(&server())).await;
    for number in 1..=READERS {
        graph.set_consent(reader(number), &consent(1)).await.expect("a consent is put on record");
    }
    // Three deliveries for each reader at once, each of twenty labels out of thirty that nobody has met before.
    let labels = |number: u128| (0..20).map(move |place| format!("label {}", (number * 7 + place * 11) % 30));
    let outcomes = at_once(60, |number| {
        let (graph, by) = (graph.clone(), 1 + number as u128 % READERS);
        let reading = reading(by, number as u128, number as i64, labels(by));
        async move { Context::for_work("test", PATIENCE).scope(graph.record_read(&reading)).await }
    });
    for outcome in outcomes.await {
        assert_eq!(outcome.expect("it succeeds in the end"), Recorded::Taken);
    }
    for number in 1..=READERS {
        let tastes = graph.labels_of(reader(number), 100).await.expect("labels");
        assert_eq!(tastes.len(), 20);
        assert!(tastes.iter().all(|taste| taste.reads() == 3), "reader {number}: {tastes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn replicas_that_forget_and_record_at_once_do_not_disturb_each_other() {
    let graph = open(&tenant_at(&server())).await;
    graph.set_consent(reader(1), &consent(1)).await.expect("a consent is put on record");
    for article in 0..40 {
        let reading = reading(1, article, 0, ["budget".to_owned()]);
        graph.record_read(&reading).await.expect("a reading is recorded");
    }
    let forgotten = at_once(8, |number| {
        let graph = graph.clone();
        async move {
            if number % 2 == 0 {
                return graph.forget_visits(at(1), 30).await.expect("it forgets");
            }
            let reading = reading(1, 100 + number as u128, 5, ["budget".to_owned()]);
            graph.record_read(&reading).await.expect("a reading is recorded");
            0
        }
    });
    // Replicas that pick the same visits forget them once, and the others next time.
    let (at_once, rest) = (forgotten.await, graph.forget_visits(at(1), 30).await.expect("it forgets"));
    assert_eq!(at_once.iter().sum::<u64>() + rest, 40, "{at_once:?}");
    let tastes = graph.labels_of(reader(1), 10).await.expect("labels");
    assert_eq!(tastes[0].reads(), 44);
}

/// True where the graph says that it is away, in so many words and within the time.
async fn is_away(graph: &Neo4jTasteGraph) -> bool {
    let context = Context::for_work("test", SECOND);
    let read = context.clone().scope(graph.labels_of(reader(1), 10)).await;
    let write = context.scope(graph.record_read(&reading(1, 9, 9, ["tax".to_owned()]))).await.map(drop);
    let away = |outcome: Result<(), TasteGraphError>| {
        matches!(outcome, Err(TasteGraphError::Store(StoreFailure::Unavailable(_))))
    };
    away(read.map(drop)) && away(write)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn a_connection_that_is_cut_or_frozen_is_away_and_heals_by_itself() {
    let url = server();
    let (login, address) = url.rsplit_once('@').expect("a URL with a login");
    let proxy = Proxy::before(address).await;
    let graph = open(&tenant_at(&format!("{login}@{}", proxy.address()))).await;
    graph.set_consent(reader(1), &consent(1)).await.expect("a consent is put on record");
    graph.record_read(&reading(1, 1, 1, ["budget".to_owned()])).await.expect("a reading is recorded");

    for (number, fault) in [(2, Proxy::cut as fn(&Proxy)), (3, Proxy::freeze)] {
        fault(&proxy);
        wait_until("the graph to be away", PATIENCE, || async { is_away(&graph).await.then_some(()) }).await;
        proxy.heal();
        let next = reading(1, number, 1, ["budget".to_owned()]);
        wait_until("the graph to heal", PATIENCE, || async { graph.record_read(&next).await.ok() }).await;
    }
    let tastes = graph.labels_of(reader(1), 10).await.expect("labels");
    let budget = tastes.iter().find(|taste| taste.label().key() == "budget").expect("the label");
    assert_eq!(budget.reads(), 3, "what was acknowledged is there, once");
}

/// A graph that holds as many connections as it may, so that what one of them left behind is not met by chance.
async fn with_all_connections() -> Neo4jTasteGraph {
    let graph = open(&tenant_at(&server())).await;
    graph.set_consent(reader(1), &consent(1)).await.expect("a consent is put on record");
    let all = at_once(10, |_| {
        let graph = graph.clone();
        async move { graph.link.begin().await.expect("begins") }
    });
    drop(all.await);
    graph
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn what_the_server_refused_holds_nobody_up() {
    let graph = with_all_connections().await;
    let refused = graph.link.write(|| async {
        let mut tx = graph.link.begin().await?;
        graph.lock(&mut tx, reader(1)).await?;
        Ok(tx.run(neo4rs::query("no statement at all")).await?)
    });
    assert!(matches!(refused.await, Err(StoreFailure::Broken(_))));
    let told = reading(1, 1, 1, ["budget".to_owned()]);
    let next = Context::for_work("test", SECOND).scope(graph.record_read(&told)).await;
    assert_eq!(next.expect("the lock is free"), Recorded::Taken);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn what_its_caller_gave_up_holds_nobody_up() {
    let graph = with_all_connections().await;
    // One transaction holds the reader's lock; the next waits for it longer than it may.
    let mut held = graph.link.begin().await.expect("begins");
    graph.lock(&mut held, reader(1)).await.expect("locks");
    let told = reading(1, 1, 1, ["budget".to_owned()]);
    let impatient =
        Context::for_work("test", Duration::from_millis(300)).scope(graph.record_read(&told)).await;
    assert!(matches!(impatient, Err(TasteGraphError::Store(StoreFailure::Unavailable(_)))));
    held.commit().await.expect("commits");
    let next = Context::for_work("test", SECOND).scope(graph.record_read(&told)).await;
    assert_eq!(next.expect("the lock is free"), Recorded::Taken);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn a_wrong_password_opens_nothing_and_is_not_told() {
    let url = server();
    let (_, address) = url.rsplit_once('@').expect("a URL with a login");
    let opened = Neo4jTasteGraph::open(&format!("neo4j://neo4j:geheim@{address}"), SECOND).await;
    let failure = opened.err().expect("it is refused");
    assert!(!format!("{failure:?} {}", causes(&failure)).contains("geheim"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_away_and_its_password_is_not_told() {
    let nobody = testkit::free_address();
    let opened = Neo4jTasteGraph::open(&format!("neo4j://neo4j:geheim@{nobody}"), SECOND).await;
    let failure = opened.err().expect("nobody is there");
    assert!(matches!(failure, StoreFailure::Unavailable(_)));
    assert!(!format!("{failure:?} {}", causes(&failure)).contains("geheim"));
}

#[test]
fn every_file_of_the_schema_is_loaded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../db/recommendations/neo4j");
    assert_eq!(std::fs::read_dir(folder).expect("the folder").count(), SCHEMA.len());
}
