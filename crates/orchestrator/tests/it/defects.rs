//! Defects of the original that must visibly be gone (`product.md` §9), each a test named after it.

use std::sync::Arc;
use std::time::Duration;

use kernel::{Kind, Refusal, Role, Section};
use tokio::sync::Barrier;

use crate::desk::Mood;
use crate::readings::listen;
use crate::world::{World, config, consenting, token, user_of};

#[tokio::test]
async fn an_unknown_type_is_a_404_and_no_500() {
    let world = World::new().await;
    let admin = token(Role::Admin);
    for path in ["/labels/1/10", "/Sports/1/10", "/weather/00000000-0000-0000-0000-000000000001", "/all/1"] {
        let answer = world.get(path).send().await;
        assert_eq!(answer.problem(), (404, "unknown_type"), "{path}");
    }
    let body = serde_json::json!({"title": "t", "content": "c"});
    for (method, path) in [("POST", "/weather"), ("PUT", "/weather"), ("DELETE", "/weather/1")] {
        let answer = world.ask(method, path).by(&admin).json(&body).send().await;
        assert_eq!(answer.problem(), (404, "unknown_type"), "{method} {path}");
    }
    // All sections together are a list, and nothing that could be written to.
    let answer = world.ask("POST", "/all").by(&admin).json(&body).send().await;
    assert_eq!((answer.problem(), answer.header("allow")), ((405, "method_not_allowed"), "GET,HEAD"));
}

#[tokio::test]
async fn a_stale_version_is_a_412_that_tells_the_current_one_and_no_500() {
    let world = World::new().await;
    let refusal =
        Refusal::new(Kind::Stale, "stale_version", "The article has changed.").with("current_version", 9);
    world.desk(Section::Sports).set(Mood::Refusing(refusal));
    let path = "/sports/00000000-0000-0000-0000-000000000001";
    let body = serde_json::json!({"title": "t", "content": "c"});
    let put = world.ask("PUT", path).by(&token(Role::Editor)).header("if-match", "\"v7\"").json(&body);
    let answer = put.send().await;
    assert_eq!(answer.problem(), (412, "stale_version"));
    assert_eq!((&answer.json["current_version"], answer.header("etag")), (&9.into(), "\"v9\""));
}

#[tokio::test]
async fn all_returns_exactly_its_limit_in_one_order_with_a_total() {
    let mut config = config();
    config.desks.section_deadline_ms = 60_000;
    let world = World::with(config, |bus| bus).await;
    for n in 0..3 {
        world.desk(Section::Politics).published(n, 30 * i64::from(n));
    }
    for n in 0..500 {
        world.desk(Section::Sports).published(n, i64::from(n % 50));
    }
    let mut seen = Vec::new();
    for page in 1..=51 {
        let answer = world.get(&format!("/all/{page}/10")).send().await;
        assert_eq!(answer.json["page"]["total"], 503);
        let news = answer.json["news"].as_array().expect("news");
        assert_eq!(news.len(), if page == 51 { 3 } else { 10 }, "page {page}");
        let key = |name: &str, article: &serde_json::Value| article[name].as_str().expect("text").to_owned();
        seen.extend(news.iter().map(|article| (key("published_at", article), key("id", article))));
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.reverse();
    sorted.dedup();
    assert_eq!(seen, sorted, "one order over all pages, each article once");
}

#[tokio::test]
async fn all_asks_the_sections_at_once() {
    let mut config = config();
    config.desks.section_deadline_ms = 60_000;
    let world = World::with(config, |bus| bus).await;
    // No section answers before all three were asked: one after the other would wait for ever.
    let all = Arc::new(Barrier::new(3));
    world.desks.iter().for_each(|desk| desk.set(Mood::Together(all.clone())));
    let read = world.get("/all/1/10").send();
    let answer = tokio::time::timeout(Duration::from_secs(30), read).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), &answer.json["partial"]), (200, &false.into()));
}

#[tokio::test]
async fn the_publication_to_the_broker_is_never_inside_the_get() {
    let world = World::new().await;
    let (mut heard, _listening) = listen(&world).await;
    let id = world.desk(Section::Sports).published(1, 10);
    // The broker is gone before the GET; the answer is there all the same, and the reading waits.
    let answer = world.get(&format!("/sports/{id}")).by(&consenting(Role::Reader)).send().await;
    assert_eq!(answer.status, 200);
    assert!(heard.try_recv().is_err(), "nothing was published inside the GET");
    assert_eq!(world.app.readings.len(), 1);
    world.tell().await;
    assert!(heard.recv().await.is_some(), "the worker published it");
}

#[tokio::test]
async fn a_forged_cookie_or_header_changes_nothing_about_who_reads() {
    let world = World::new().await;
    let (mut heard, _listening) = listen(&world).await;
    let id = world.desk(Section::Sports).published(1, 10);
    let path = format!("/sports/{id}");
    let cookie = format!("user_id={}", user_of(Role::Admin));
    let forge = |method, path: &str| {
        let ask = world.ask(method, path).header("cookie", &cookie);
        ask.header("x-user-id", &user_of(Role::Admin).to_string()).header("x-role", "admin")
    };
    let (honest, forged) = (world.get(&path).send().await, forge("GET", &path).send().await);
    assert_eq!(
        (&honest.json, honest.header("cache-control")),
        (&forged.json, forged.header("cache-control"))
    );
    assert_eq!(world.app.readings.len(), 0, "nobody read");
    let body = serde_json::json!({"title": "t", "content": "c"});
    assert_eq!(forge("POST", "/sports").json(&body).send().await.problem(), (401, "unauthenticated"));

    forge("GET", &path).by(&consenting(Role::Reader)).send().await;
    world.tell().await;
    let message = heard.recv().await.expect("a message");
    let read: proto::events::v1::ArticleRead = prost::Message::decode(message.body).expect("a reading");
    assert_eq!(read.reader_id, user_of(Role::Reader).to_string());
}

#[tokio::test]
async fn a_get_publishes_nothing_it_answers_405_with_what_is_allowed() {
    let world = World::new().await;
    let id = world.desk(Section::Sports).published(1, 10);
    let answer = world.get(&format!("/sports/{id}/publish")).by(&token(Role::Admin)).send().await;
    assert_eq!(answer.problem(), (405, "method_not_allowed"));
    assert_eq!(answer.header("allow"), "POST");
    assert!(world.desk(Section::Sports).calls().is_empty());
}
