//! The embedded graph as the model of the graph on a server: after the same random operations both answer the
//! same.

use chassis::StoreFailure;
use futures::future::try_join_all;
use kernel::{ArticleId, Label, MessageId, Timestamp, UserId};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use testkit::{Folder, random};
use uuid::Uuid;

use super::SqliteTasteGraph;
use super::neo4j::tests::open_tenant;
use crate::domain::{Consent, ConsentRecord, Reading};
use crate::ports::TasteGraph;

const READERS: u128 = 4;
const ARTICLES: u128 = 3;
/// Labels that sort differently by code point, by UTF-16 and by language, and labels that would end a
/// statement.
const LABELS: [&str; 10] = [
    "budget",
    "Budget",
    "äpfel",
    "A\u{308}PFEL ",
    "zoo",
    "z",
    "\u{ff5a}",
    "\u{1f600}",
    "'}) DETACH DELETE n //",
    "$tenant \\u0027",
];
const MINUTE: i64 = 60_000;

#[derive(Debug, Clone)]
enum Operation {
    Read(Reading),
    Consent(UserId, ConsentRecord),
    Erase(UserId, Timestamp),
    Forget(Timestamp, u32),
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + millis)
}

fn reader(number: u128) -> UserId {
    UserId::new(Uuid::from_u128(number))
}

fn reading(chance: &mut StdRng) -> Reading {
    let count = chance.random_range(1..=4);
    Reading {
        message: MessageId::new(Uuid::from_u128(chance.random())),
        reader: reader(chance.random_range(1..=READERS)),
        article: ArticleId::new(Uuid::from_u128(chance.random_range(1..=ARTICLES))),
        labels: LABELS
            .sample(chance, count)
            .map(|label| Label::parse(label).expect("a label").into())
            .collect(),
        // Close together, so that windows, minutes and even milliseconds meet.
        at: at(chance.random_range(0..120) * MINUTE + [0, 1, 30_000][chance.random_range(0..3)]),
    }
}

fn operation(chance: &mut StdRng) -> Operation {
    let reader = reader(chance.random_range(1..=READERS));
    match chance.random_range(0..100) {
        0..70 => Operation::Read(reading(chance)),
        70..92 => {
            let consent =
                Consent { personalisation: chance.random_bool(0.9), history: chance.random_bool(0.9) };
            let version = chance.random_range(0..5);
            let since = at(chance.random_range(0..60) * MINUTE);
            Operation::Consent(reader, ConsentRecord { consent, version, since })
        }
        92..95 => Operation::Erase(reader, at(chance.random_range(0..200) * MINUTE)),
        _ => Operation::Forget(at(chance.random_range(0..80) * MINUTE), chance.random_range(1..4)),
    }
}

/// Returns random operations, some of them repeated, in random order, after a consent of all readers except
/// one.
fn story(seed: u64) -> Vec<Operation> {
    let mut chance = random(seed);
    let mut operations: Vec<Operation> = (0..60).map(|_| operation(&mut chance)).collect();
    let again: Vec<Operation> = (0..30).filter_map(|_| operations.choose(&mut chance).cloned()).collect();
    operations.extend(again);
    operations.shuffle(&mut chance);
    let consent = Consent { personalisation: true, history: true };
    let first = (1..READERS).map(|number| {
        Operation::Consent(reader(number), ConsentRecord { consent, version: 1, since: at(0) })
    });
    first.chain(operations).collect()
}

/// Applies an operation and returns the answer. The number of deleted visits is part of it; which visits were
/// deleted shows in later counts.
async fn apply(graph: &dyn TasteGraph, operation: &Operation) -> Result<String, StoreFailure> {
    Ok(match operation {
        Operation::Read(reading) => format!("{:?}", graph.record_read(reading).await?),
        Operation::Consent(reader, consent) => format!("{:?}", graph.set_consent(*reader, consent).await?),
        Operation::Erase(reader, at) => format!("{:?}", graph.erase(*reader, *at).await?),
        Operation::Forget(before, limit) => format!("{:?}", graph.forget_visits(*before, *limit).await?),
    })
}

/// Returns everything that the graph answers to queries.
async fn contents(graph: &dyn TasteGraph) -> Result<Vec<String>, StoreFailure> {
    let of_reader = |number| async move {
        let status = graph.reader_status(reader(number)).await?;
        let tastes = graph.labels_of(reader(number), 100).await?;
        let first: Vec<_> = graph.labels_of(reader(number), 2).await?;
        let visits = graph.visits_of(reader(number), None, 100).await?;
        Ok::<_, StoreFailure>(format!("{number}: {status:?} {tastes:?} {first:?} {visits:?}"))
    };
    let of_label = |label: &'static str| async move {
        let readers = graph.readers_of(&Label::parse(label).expect("a label"), 3).await?;
        Ok::<_, StoreFailure>(format!("{label}: {readers:?}"))
    };
    let mut all = try_join_all((1..=READERS).map(of_reader)).await?;
    all.extend(try_join_all(LABELS.into_iter().map(of_label)).await?);
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn after_any_operations_the_server_answers_as_the_embedded_graph_does() {
    for seed in 1..=20 {
        let folder = Folder::new();
        let model = SqliteTasteGraph::open(&folder.sqlite("model.db")).await.expect("opens");
        let graph = open_tenant().await;
        for (step, operation) in story(seed).iter().enumerate() {
            let expected = apply(&model, operation).await.expect("the model answers");
            let answer = apply(&*graph, operation).await.expect("the server answers");
            assert_eq!(answer, expected, "seed {seed}, step {step}: {operation:?}");
            if step % 8 == 0 {
                assert_same_contents(&model, &*graph, seed).await;
            }
        }
        assert_same_contents(&model, &*graph, seed).await;
    }
}

async fn assert_same_contents(model: &dyn TasteGraph, graph: &dyn TasteGraph, seed: u64) {
    let expected = contents(model).await.expect("the model answers");
    assert_eq!(contents(graph).await.expect("the server answers"), expected, "seed {seed}");
}
