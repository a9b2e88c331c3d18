//! Defects of the original portal that must not come back (`product.md` §9), one test each.

use std::sync::Arc;
use std::time::Duration;

use kernel::{Kind, Refusal, Role, Section};
use tokio::sync::Barrier;

use crate::fake_section::Behaviour;
use crate::readings::listen;
use crate::service::{TestService, config, consenting_token, token, user_of};

#[tokio::test]
async fn an_unknown_type_is_a_404_and_not_a_500() {
    let service = TestService::new().await;
    let admin = token(Role::Admin);
    for path in ["/labels/1/10", "/Sports/1/10", "/weather/00000000-0000-0000-0000-000000000001", "/all/1"] {
        let answer = service.get(path).send().await;
        assert_eq!(answer.problem(), (404, "unknown_type"), "{path}");
    }
    let body = serde_json::json!({"title": "t", "content": "c"});
    for (method, path) in [("POST", "/weather"), ("PUT", "/weather"), ("DELETE", "/weather/1")] {
        let answer = service.request(method, path).bearer(&admin).json(&body).send().await;
        assert_eq!(answer.problem(), (404, "unknown_type"), "{method} {path}");
    }
    // All sections together are a list, which can't be written to.
    let answer = service.request("POST", "/all").bearer(&admin).json(&body).send().await;
    assert_eq!((answer.problem(), answer.header("allow")), ((405, "method_not_allowed"), "GET,HEAD"));
}

#[tokio::test]
async fn a_stale_version_is_a_412_with_the_current_one_and_not_a_500() {
    let service = TestService::new().await;
    let refusal =
        Refusal::new(Kind::Stale, "stale_version", "The article has changed.").with("current_version", 9);
    service.section(Section::Sports).behave(Behaviour::Refuse(refusal));
    let path = "/sports/00000000-0000-0000-0000-000000000001";
    let body = serde_json::json!({"title": "t", "content": "c"});
    let put =
        service.request("PUT", path).bearer(&token(Role::Editor)).header("if-match", "\"v7\"").json(&body);
    let answer = put.send().await;
    assert_eq!(answer.problem(), (412, "stale_version"));
    assert_eq!((&answer.json["current_version"], answer.header("etag")), (&9.into(), "\"v9\""));
}

#[tokio::test]
async fn all_returns_exactly_its_limit_in_one_order_with_a_total() {
    let mut config = config();
    config.sections.section_deadline_ms = 60_000;
    let service = TestService::with(config, |bus| bus).await;
    for n in 0..3 {
        service.section(Section::Politics).add_published(n, 30 * i64::from(n));
    }
    for n in 0..500 {
        service.section(Section::Sports).add_published(n, i64::from(n % 50));
    }
    let mut seen = Vec::new();
    for page in 1..=51 {
        let answer = service.get(&format!("/all/{page}/10")).send().await;
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
async fn a_list_of_all_calls_the_sections_in_parallel() {
    let mut config = config();
    config.sections.section_deadline_ms = 60_000;
    let service = TestService::with(config, |bus| bus).await;
    // No section answers before all three were called, so sequential calls would wait for ever.
    let all = Arc::new(Barrier::new(3));
    service.sections.iter().for_each(|section| section.behave(Behaviour::WaitForAll(all.clone())));
    let read = service.get("/all/1/10").send();
    let answer = tokio::time::timeout(Duration::from_secs(30), read).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), &answer.json["partial"]), (200, &false.into()));
}

#[tokio::test]
async fn the_publication_to_the_broker_is_never_inside_the_get() {
    let service = TestService::new().await;
    let (mut received, _listening) = listen(&service).await;
    let id = service.section(Section::Sports).add_published(1, 10);
    // The broker is down before the GET. The answer is complete, and the reading waits.
    let answer = service.get(&format!("/sports/{id}")).bearer(&consenting_token(Role::Reader)).send().await;
    assert_eq!(answer.status, 200);
    assert!(received.try_recv().is_err(), "nothing was published inside the GET");
    assert_eq!(service.app.waiting_readings().len(), 1);
    service.publish_readings().await;
    assert!(received.recv().await.is_some(), "the worker published it");
}

#[tokio::test]
async fn a_forged_cookie_or_header_does_not_change_the_reader() {
    let service = TestService::new().await;
    let (mut received, _listening) = listen(&service).await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let path = format!("/sports/{id}");
    let cookie = format!("user_id={}", user_of(Role::Admin));
    let forge = |method, path: &str| {
        let ask = service.request(method, path).header("cookie", &cookie);
        ask.header("x-user-id", &user_of(Role::Admin).to_string()).header("x-role", "admin")
    };
    let (honest, forged) = (service.get(&path).send().await, forge("GET", &path).send().await);
    assert_eq!(
        (&honest.json, honest.header("cache-control")),
        (&forged.json, forged.header("cache-control"))
    );
    assert_eq!(service.app.waiting_readings().len(), 0, "there is no reading");
    let body = serde_json::json!({"title": "t", "content": "c"});
    assert_eq!(forge("POST", "/sports").json(&body).send().await.problem(), (401, "unauthenticated"));

    forge("GET", &path).bearer(&consenting_token(Role::Reader)).send().await;
    service.publish_readings().await;
    let message = received.recv().await.expect("a message");
    let read: proto::events::v1::ArticleRead = prost::Message::decode(message.body).expect("a reading");
    assert_eq!(read.reader_id, user_of(Role::Reader).to_string());
}

#[tokio::test]
async fn a_get_of_a_command_is_405_with_the_allowed_methods() {
    let service = TestService::new().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let answer = service.get(&format!("/sports/{id}/publish")).bearer(&token(Role::Admin)).send().await;
    assert_eq!(answer.problem(), (405, "method_not_allowed"));
    assert_eq!(answer.header("allow"), "POST");
    assert!(service.section(Section::Sports).calls().is_empty());
}
