use std::collections::BTreeSet;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::Request;
use seed::Plan;
use serde_json::{Value, json};
use testkit::Folder;
use tower::ServiceExt;

use super::*;
use crate::{data_folder, gateway};

const SEED: u64 = 7;
const ARTICLES: usize = 24;

fn loaded(folder: &Folder) -> chassis::config::Loaded<Config> {
    let flags = config::Flags { data_dir: Some(folder.path().to_owned()), ..config::Flags::default() };
    config::load(&flags).expect("a good configuration")
}

/// Forty people register, and the cost of a password does not matter here: hashing takes the least memory and
/// one pass. The validation of settings refuses that, so this goes around it.
fn config(folder: &Folder) -> Config {
    let mut config = loaded(folder).service;
    (config.users.passwords.memory_kib, config.users.passwords.passes) = (8, 1);
    config
}

async fn filled(folder: &Folder, seed: u64) -> anyhow::Result<Summary> {
    fill(config(folder), seed, ARTICLES, &ProgressBar::hidden(), &CancellationToken::new()).await
}

/// The portal as readers see it, without sockets.
struct Reader {
    router: Router,
    edge: chassis::http::EdgeConfig,
    services: Vec<chassis::Service>,
}

impl Reader {
    async fn of(folder: &Folder) -> Self {
        let services = run::build(config(folder), &Surroundings::one_process()).await.expect("builds");
        let mut services = services;
        for consumer in services.iter_mut().flat_map(|service| std::mem::take(&mut service.consumers)) {
            spawn("test.consumer", consumer.run(CancellationToken::new()));
        }
        let edge = loaded(folder).process.edge;
        Self { router: gateway::router(&services).expect("a router"), edge, services }
    }

    async fn ask(&self, request: Request<Body>) -> (u16, Value) {
        let app = chassis::http::edge("test", self.router.clone(), self.edge.clone());
        let answer = app.oneshot(request).await.expect("answers");
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Request::get(path).body(Body::empty()).expect("a request")).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn close(self) {
        for closer in self.services.into_iter().flat_map(|service| service.closers) {
            closer.await;
        }
    }
}

/// Returns the content that readers see and that is the same in every run of a seed.
async fn content(folder: &Folder) -> Vec<Value> {
    let reader = Reader::of(folder).await;
    let page = reader.get("/news/v1/all/1/100?include=content").await;
    let news = page["news"].as_array().expect("a list").clone();
    assert!(news.iter().all(|article| article["published_at"].as_str() <= article["updated_at"].as_str()));
    let same = |article: Value| {
        json!([
            article["type"],
            article["title"],
            article["description"],
            article["content"],
            article["tags"],
            article["author"],
            article["version"]
        ])
    };
    reader.close().await;
    news.into_iter().map(same).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_fills_a_portal_that_reads_like_news_and_a_second_run_adds_nothing() {
    let (folder, other) = (Folder::new(), Folder::new());
    let summary = filled(&folder, SEED).await.expect("fills");
    assert!(!summary.is_old && summary.published + summary.drafts == ARTICLES);
    let first = content(&folder).await;
    assert_eq!(first.len(), summary.published);
    let sections: BTreeSet<&str> = first.iter().filter_map(|article| article[0].as_str()).collect();
    assert_eq!(sections.len(), 3);

    let again = filled(&folder, SEED).await.expect("does nothing");
    assert!(again.is_old);
    assert_eq!(content(&folder).await, first);

    filled(&other, SEED).await.expect("fills");
    assert_eq!(content(&other).await, first, "the same seed is the same content");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_a_seed_can_log_in_and_readers_have_the_labels_they_like() {
    let folder = Folder::new();
    let summary = filled(&folder, SEED).await.expect("fills");
    let plan = Plan::new(SEED, ARTICLES).expect("a plan");
    // The reader with the most readings, among those who consent.
    let reads = |index: usize| plan.readings.iter().filter(|reading| reading.reader == index).count();
    let allowed = (0..plan.people.len()).filter(|index| plan.people[*index].history);
    let index = allowed.max_by_key(|index| reads(*index)).expect("a reader");
    let account = &summary.accounts[index];
    let portal = Reader::of(&folder).await;
    let body = json!({"email": account.email, "password": account.password}).to_string();
    let login =
        Request::post("/users/v1/sessions").header("content-type", "application/json").body(Body::from(body));
    let (status, session) = portal.ask(login.expect("a request")).await;
    assert_eq!(status, 201, "{session}");
    let (token, id) =
        (session["access_token"].as_str().expect("a token"), session["user"]["id"].as_str().expect("an id"));
    let labels = Request::get(format!("/recommendation/v1/user/{id}"))
        .header("authorization", format!("Bearer {token}"));
    let (status, labels) = portal.ask(labels.body(Body::empty()).expect("a request")).await;
    assert_eq!(status, 200, "{labels}");
    let known: u64 =
        labels.as_array().expect("labels").iter().filter_map(|label| label["reads"].as_u64()).sum();
    let planned: usize = plan
        .readings
        .iter()
        .filter(|reading| reading.reader == index)
        .map(|reading| plan.articles[reading.article].tags.len())
        .sum();
    assert_eq!(known, planned as u64, "each reading counts once on each label");
    portal.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_that_was_interrupted_continues_where_it_ended() {
    let (folder, whole) = (Folder::new(), Folder::new());
    // Stopped once before the first step, and then after several numbers of steps.
    for after in [0, 30, 55, 90, 120] {
        let (stop, progress) = (CancellationToken::new(), ProgressBar::hidden());
        let (at, watched) = (stop.clone(), progress.clone());
        let watcher = spawn("test.stop", async move {
            let there = || std::future::ready((watched.position() >= after).then_some(()));
            testkit::wait_until("the place to stop", testkit::PATIENCE, there).await;
            at.cancel();
        });
        let stopped = fill(config(&folder), SEED, ARTICLES, &progress, &stop).await;
        watcher.await.expect("it was stopped");
        if let Err(error) = stopped {
            assert!(format!("{error:#}").contains("the same command continues"), "{error:#}");
        }
    }
    filled(&folder, SEED).await.expect("is completed");
    filled(&whole, SEED).await.expect("fills");
    assert_eq!(content(&folder).await, content(&whole).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_that_is_in_use_or_has_another_seed_is_refused() {
    let folder = Folder::new();
    let held = data_folder::lock(folder.path()).expect("the lock");
    let refused = filled(&folder, SEED).await.map(drop).expect_err("held").to_string();
    assert!(refused.contains("stop it first"), "{refused}");
    drop(held);
    filled(&folder, SEED).await.expect("fills");
    let refused = filled(&folder, SEED + 1).await.map(drop).expect_err("another seed").to_string();
    assert!(refused.contains("--seed 7 --articles 24"), "{refused}");
    std::fs::remove_file(seed::accounts_path(folder.path())).expect("removes");
    let refused = filled(&folder, SEED).await.map(drop).expect_err("nothing known").to_string();
    assert!(refused.contains("was filled before"), "{refused}");
}
