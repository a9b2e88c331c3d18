//! The section in a process of its own that is killed at any point. The acknowledgements that the writer got
//! are the oracle.

use std::collections::BTreeMap;

use kernel::ArticleId;
use proto::news::v1::Article;
use sqlx::SqliteConnection;
use testkit::{PATIENCE, Process, Program, wait_until};

use crate::people::{admin, author};
use crate::world::{Place, World, fields, shut};

/// The number of kills.
const ROUNDS: usize = 20;
const ACKNOWLEDGED: &str = "acknowledged ";

/// Writes as fast as possible and prints what was acknowledged, until it is killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a child of no_acknowledged_write_is_missing_after_twenty_kills"]
async fn a_writer_that_is_killed() {
    let Some(path) = Program::argument() else { return };
    let place = Place::at(path);
    let world = World::start(&place).await;
    println!("ready to die");
    let acknowledged = |article: &Article| println!("{ACKNOWLEDGED}{} {}", article.id, article.version);
    for number in 0.. {
        let draft = world.create(&author(), fields(&format!("Number {number}"))).await.expect("a draft");
        acknowledged(&draft);
        let published = world.publish(&admin(), &draft).await.expect("it is published");
        acknowledged(&published);
        let updated = world.revise(&admin(), &published, fields("Changed")).await.expect("it is updated");
        acknowledged(&updated);
    }
}

/// The newest version of each article that a child's output says was acknowledged.
fn acknowledged(output: &[String], oracle: &mut BTreeMap<String, u32>) {
    for line in output {
        let Some((_, words)) = line.split_once(ACKNOWLEDGED) else { continue };
        // The last line may have been cut off by the end of its process.
        let Some((id, version)) = words.split_once(' ') else { continue };
        let Ok(version) = version.parse::<u32>() else { continue };
        let newest = oracle.entry(id.to_owned()).or_default();
        *newest = (*newest).max(version);
    }
}

async fn count(connection: &mut SqliteConnection, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(connection).await.expect("it is counted")
}

/// Kills the writer at this place again and again. Returns what was acknowledged.
async fn after_many_kills(place: &Place) -> BTreeMap<String, u32> {
    let program = Program::this_test("crash::a_writer_that_is_killed", place.path(), "ready to die");
    let mut oracle = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut process = Process::start(&program).await;
        // 1 to 7 writes, so that it dies at another place each time.
        let writes = round * 5 % 7 + 1;
        wait_until("some acknowledged writes", PATIENCE, || {
            let acknowledged = process.output().iter().filter(|line| line.contains(ACKNOWLEDGED)).count();
            std::future::ready((acknowledged >= writes).then_some(()))
        })
        .await;
        process.kill9();
        acknowledged(&process.output(), &mut oracle);
    }
    assert!(oracle.len() >= ROUNDS);

    let world = World::start(place).await;
    for (id, version) in &oracle {
        let seen = Article { id: id.clone(), version: *version, ..Article::default() };
        let found = world.get_since(Some(&admin()), &seen).await.expect("an acknowledged write is there");
        assert!(found.version >= *version);
    }
    // Messages are taken in order: when the last is projected, all are.
    let last = world.create(&author(), fields("The last")).await.expect("a draft");
    world.get_since(Some(&admin()), &last).await.expect("it is projected");
    world.stop().await;
    oracle
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_missing_after_twenty_kills() {
    let place = Place::new();
    let oracle = after_many_kills(&place).await;
    everything_fits_together(&place, &oracle).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and mongodb"]
async fn no_acknowledged_write_is_missing_from_the_servers_after_twenty_kills() {
    let place = Place::on_servers().await;
    let oracle = after_many_kills(&place).await;
    let app = place.open().await;
    let outbox = app.0.outbox.clone();
    assert!(outbox.unsent(1).await.expect("the outbox answers").is_empty());
    let who = admin().identity();
    let mut before = Vec::new();
    for (id, version) in &oracle {
        let id: ArticleId = id.parse().expect("an id");
        let versions = app.verify(id).await.expect("the chain is whole").versions;
        assert!(versions >= *version as usize);
        let article = app.get(Some(&who), id, None).await.expect("it is in the view");
        assert_eq!(article.version.number() as usize, versions);
        before.push(article);
    }
    app.replay(|_| ()).await.expect("the view is rebuilt");
    for article in before {
        assert_eq!(app.get(Some(&who), article.id, None).await.expect("it is in the new view"), article);
    }
    shut(app).await;
}

/// Histories are whole, nothing waits in the outbox, and the view is what the events say.
async fn everything_fits_together(place: &Place, oracle: &BTreeMap<String, u32>) {
    assert_eq!(count(&mut place.connection("sports-news.db").await, "select count(*) from outbox").await, 0);
    let sum = "select coalesce(sum(version), 0) from articles";
    let projected = count(&mut place.connection("sports-news-view.db").await, sum).await;
    let stored = count(&mut place.connection("sports-news.db").await, "select count(*) from events").await;
    // Versions count from 1 without a gap, so the newest ones add up to the number of events.
    assert_eq!(projected, stored);
    let app = place.open().await;
    for (id, version) in oracle {
        let id: ArticleId = id.parse().expect("an id");
        assert!(app.verify(id).await.expect("the chain is whole").versions >= *version as usize);
    }
    app.replay(|_| ()).await.expect("the view is rebuilt");
    shut(app).await;
    assert_eq!(count(&mut place.connection("sports-news-view.db").await, sum).await, stored);
}
