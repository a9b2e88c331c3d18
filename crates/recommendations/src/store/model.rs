//! The embedded graph as the model of the one on a server: after the same random operations both tell the same.

use std::sync::Arc;

use futures::future::try_join_all;
use kernel::{ArticleId, Label, MessageId, Timestamp, UserId};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use testkit::{Folder, random};
use uuid::Uuid;

use super::SqliteTasteGraph;
use super::neo4j::tests::with_a_tenant_of_its_own;
use crate::domain::{Consent, ConsentRecord, Reading};
use crate::ports::{TasteGraph, TasteGraphError};

const READERS: u128 = 4;
const ARTICLES: u128 = 3;
/// Labels that sort differently by code point, by UTF-16 and by language, and such as would end a statement.
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
    let who = reader(chance.random_range(1..=READERS));
    match chance.random_range(0..100) {
        0..70 => Operation::Read(reading(chance)),
        70..92 => {
            let consent =
                Consent { personalisation: chance.random_bool(0.9), history: chance.random_bool(0.9) };
            let version = chance.random_range(0..5);
            let since = at(chance.random_range(0..60) * MINUTE);
            Operation::Consent(who, ConsentRecord { consent, version, since })
        }
        92..95 => Operation::Erase(who, at(chance.random_range(0..200) * MINUTE)),
        _ => Operation::Forget(at(chance.random_range(0..80) * MINUTE), chance.random_range(1..4)),
    }
}

/// Random operations, some of them several times, in any order, after a consent of all readers but one.
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

/// What the graph answers. How many it forgot is part of it, and which ones shows in what is counted later.
async fn done(graph: &dyn TasteGraph, operation: &Operation) -> Result<String, TasteGraphError> {
    Ok(match operation {
        Operation::Read(reading) => format!("{:?}", graph.record_read(reading).await?),
        Operation::Consent(who, consent) => format!("{:?}", graph.set_consent(*who, consent).await?),
        Operation::Erase(who, at) => format!("{:?}", graph.erase(*who, *at).await?),
        Operation::Forget(before, limit) => format!("{:?}", graph.forget_visits(*before, *limit).await?),
    })
}

/// Everything that the graph tells.
async fn told(graph: &dyn TasteGraph) -> Result<Vec<String>, TasteGraphError> {
    let of_reader = |number| async move {
        let standing = graph.consent_of(reader(number)).await?;
        let tastes = graph.labels_of(reader(number), 100).await?;
        let first: Vec<_> = graph.labels_of(reader(number), 2).await?;
        Ok::<_, TasteGraphError>(format!("{number}: {standing:?} {tastes:?} {first:?}"))
    };
    let of_label = |label: &'static str| async move {
        let readers = graph.readers_of(&Label::parse(label).expect("a label"), 3).await?;
        Ok::<_, TasteGraphError>(format!("{label}: {readers:?}"))
    };
    let mut all = try_join_all((1..=READERS).map(of_reader)).await?;
    all.extend(try_join_all(LABELS.into_iter().map(of_label)).await?);
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neo4j"]
async fn after_any_operations_the_server_tells_what_the_embedded_graph_tells() {
    for seed in 1..=20 {
        let folder = Folder::new();
        let model = SqliteTasteGraph::open(&folder.sqlite("model.db")).await.expect("opens");
        let (graph, ()) = with_a_tenant_of_its_own().await;
        let graph: Arc<dyn TasteGraph> = graph;
        for (step, operation) in story(seed).iter().enumerate() {
            let expected = done(&model, operation).await.expect("the model answers");
            let answer = done(&*graph, operation).await.expect("the server answers");
            assert_eq!(answer, expected, "seed {seed}, step {step}: {operation:?}");
            if step % 8 == 0 {
                agree(&model, &*graph, seed).await;
            }
        }
        agree(&model, &*graph, seed).await;
    }
}

async fn agree(model: &dyn TasteGraph, graph: &dyn TasteGraph, seed: u64) {
    let expected = told(model).await.expect("the model answers");
    assert_eq!(told(graph).await.expect("the server answers"), expected, "seed {seed}");
}
