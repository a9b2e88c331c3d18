//! The work that waits for the staff, of all sections in one answer.

use std::sync::Arc;

use kernel::{Kind, Refusal, Role, Section};
use proto::news::v1::Article;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::fake_section::{Behaviour, article};
use crate::service::{TestService, config, token, token_in};

fn waiting(section: Section, number: u32, second: i64) -> Article {
    Article { state_since_ms: Some(second * 1_000), ..article(section, number, 0, "in_review") }
}

fn returned(section: Section, number: u32) -> Article {
    Article { review_note: Some("Who?".to_owned()), ..article(section, number, 0, "draft") }
}

fn scheduled(section: Section, number: u32, second: i64) -> Article {
    Article { scheduled_at_ms: Some(second * 1_000), ..article(section, number, 0, "scheduled") }
}

fn titles(group: &Value) -> Vec<&str> {
    let news = group["news"].as_array().expect("articles");
    news.iter().map(|article| article["title"].as_str().expect("a title")).collect()
}

async fn service() -> TestService {
    let mut config = config();
    // No section is missing on a slow machine.
    config.sections.section_deadline_ms = 60_000;
    TestService::with(config, |bus| bus).await
}

#[tokio::test]
async fn the_work_of_all_sections_is_one_answer_in_the_order_of_its_urgency() {
    let service = service().await;
    service.section(Section::Famous).put(waiting(Section::Famous, 1, 20));
    service.section(Section::Sports).put(waiting(Section::Sports, 2, 10));
    service.section(Section::Politics).put(returned(Section::Politics, 3));
    service.section(Section::Politics).put(scheduled(Section::Politics, 4, 200));
    service.section(Section::Sports).put(scheduled(Section::Sports, 5, 100));
    service.section(Section::Sports).add_published(6, 5);
    let answer = service.get("/desk").bearer(&token(Role::Editor)).send().await;
    assert_eq!((answer.status.as_u16(), &answer.json["status"]), (200, &json!("success")));
    assert_eq!((&answer.json["partial"], &answer.json["missing"]), (&json!(false), &json!([])));
    assert_eq!(titles(&answer.json["to_review"]), ["Article 2", "Article 1"]);
    assert_eq!(titles(&answer.json["scheduled"]), ["Article 5", "Article 4"]);
    let back = &answer.json["returned"];
    assert_eq!((titles(back), &back["news"][0]["review_note"]), (vec!["Article 3"], &json!("Who?")));
    assert_eq!((&answer.json["to_review"]["total"], &back["total"]), (&json!(2), &json!(1)));
    let sports =
        json!({"type": "sports", "states": {"draft": 0, "in_review": 1, "scheduled": 1, "published": 1}});
    assert_eq!(answer.json["sections"][2], sports);
    assert_eq!(answer.json["sections"].as_array().map(Vec::len), Some(3));
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    let tag = answer.header("etag").to_owned();
    let again = service.get("/desk").bearer(&token(Role::Editor)).header("if-none-match", &tag).send().await;
    assert_eq!(again.status, 304);
    for section in &service.sections {
        assert_eq!(section.methods(), ["GetDesk", "GetDesk"], "one call for each answer");
        assert_eq!(section.calls()[0].token, Some(token(Role::Editor)));
    }
}

#[tokio::test]
async fn the_sections_are_asked_at_the_same_time() {
    let service = service().await;
    // Each answers when all three have been asked.
    let barrier = Arc::new(Barrier::new(3));
    service.sections.iter().for_each(|section| section.behave(Behaviour::WaitForAll(barrier.clone())));
    assert_eq!(service.get("/desk").bearer(&token(Role::Author)).send().await.status, 200);
}

#[tokio::test]
async fn a_group_of_many_sections_has_at_most_twenty_articles_and_the_whole_total() {
    let service = service().await;
    for section in Section::ALL {
        for number in 0..15 {
            service.section(section).put(waiting(section, number, i64::from(number)));
        }
    }
    let answer = service.get("/desk").bearer(&token(Role::Admin)).send().await;
    let group = &answer.json["to_review"];
    assert_eq!((titles(group).len(), &group["total"]), (20, &json!(45)));
    assert_eq!(titles(group)[18..], ["Article 6", "Article 6"]);
}

#[tokio::test]
async fn a_section_that_is_unavailable_is_named_and_the_answer_is_not_cached() {
    let service = service().await;
    service.section(Section::Famous).put(waiting(Section::Famous, 1, 20));
    let away = Refusal::new(Kind::Unavailable, "section_unavailable", "It is down.");
    service.section(Section::Sports).behave(Behaviour::Refuse(away.clone()));
    let answer = service.get("/desk").bearer(&token(Role::Editor)).send().await;
    assert_eq!((&answer.json["partial"], &answer.json["missing"]), (&json!(true), &json!(["sports"])));
    assert_eq!((answer.header("cache-control"), answer.header("etag")), ("no-store", ""));
    assert_eq!(titles(&answer.json["to_review"]), ["Article 1"]);
    assert_eq!(answer.json["sections"].as_array().map(Vec::len), Some(2));
    service.sections.iter().for_each(|section| section.behave(Behaviour::Refuse(away.clone())));
    let answer = service.get("/desk").bearer(&token(Role::Editor)).send().await;
    assert_eq!(answer.problem(), (503, "section_unavailable"));
}

#[tokio::test]
async fn only_the_sections_in_which_the_caller_works_are_asked() {
    let service = service().await;
    service.section(Section::Politics).put(waiting(Section::Politics, 1, 20));
    let away = Refusal::new(Kind::Unavailable, "section_unavailable", "It is down.");
    service.section(Section::Sports).behave(Behaviour::Refuse(away));
    let answer = service.get("/desk").bearer(&token_in(Role::Editor, Section::Politics)).send().await;
    assert_eq!((answer.status.as_u16(), &answer.json["partial"]), (200, &json!(false)));
    assert_eq!(answer.json["sections"].as_array().map(Vec::len), Some(1));
    assert_eq!(titles(&answer.json["to_review"]), ["Article 1"]);
    assert!(service.section(Section::Sports).calls().is_empty());
}
