use std::time::{Duration, Instant};

use kernel::{ArticleId, Kind, Refusal, Role, Section};
use proto::news::v1::{Article, ListArticlesRequest};
use serde_json::{Value, json};
use testkit::{PATIENCE, wait_until};

use crate::fake_recommendations;
use crate::fake_section::{Behaviour, article};
use crate::service::{Answer, TestService, config, token, user_of};

const HOUR: i64 = 60 * 60;

fn unavailable() -> Refusal {
    Refusal::new(Kind::Unavailable, "store_unavailable", "The store is unavailable.")
}

/// Returns a service whose neighbours may take so long that none is missing on a slow machine.
async fn patient() -> TestService {
    let mut config = config();
    config.sections.section_deadline_ms = 60_000;
    config.recommendations.budget_ms = 60_000;
    TestService::with(config, |bus| bus).await
}

/// Publishes an article with these labels.
fn about(service: &TestService, section: Section, number: u32, hour: i64, tags: &[&str]) -> String {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    let article = Article { tags, ..article(section, number, hour * HOUR, "published") };
    service.section(section).put(article).to_string()
}

fn ids(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|article| article["id"].as_str().expect("an id")).collect()
}

fn block(answer: &Answer, section: Section) -> Vec<&str> {
    let blocks = answer.json["sections"].as_array().expect("sections");
    let block = blocks.iter().find(|block| block["type"] == section.as_str()).expect("a block");
    ids(&block["news"])
}

async fn home_of_a_reader(service: &TestService) -> Answer {
    let answer = service.get("/home").bearer(&token(Role::Reader)).send().await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    answer
}

#[tokio::test]
async fn the_front_page_has_top_stories_and_a_block_for_each_section_in_one_call() {
    let service = patient().await;
    let mut all = Vec::new();
    for (section, hour) in [(Section::Famous, 100), (Section::Politics, 101), (Section::Sports, 102)] {
        all.push(
            (0..12).map(|n| about(&service, section, n, hour - i64::from(n), &["x"])).collect::<Vec<_>>(),
        );
    }
    service.section(Section::Famous).put(article(Section::Famous, 99, 0, "draft"));
    let answer = service.get("/home").send().await;
    assert_eq!((answer.status.as_u16(), &answer.json["status"]), (200, &"success".into()));
    // 102, 101, 100; then each section's next one counts six hours less: 101 - 6, 100 - 6.
    assert_eq!(ids(&answer.json["top"]), [&all[2][0], &all[1][0], &all[0][0], &all[2][1], &all[1][1]]);
    for (section, first) in [(Section::Famous, 1), (Section::Politics, 2), (Section::Sports, 2)] {
        let expected: Vec<_> = all[section as usize][first..first + 6].iter().map(String::as_str).collect();
        assert_eq!(block(&answer, section), expected, "top stories are not repeated");
    }
    assert_eq!((&answer.json["for_you"], &answer.json["for_you_status"]), (&json!([]), &"anonymous".into()));
    assert_eq!((&answer.json["partial"], &answer.json["missing"]), (&false.into(), &json!([])));
    assert!(answer.json["top"][0].get("content").is_none());
    for section in &service.sections {
        assert_eq!(section.methods(), ["ListArticles"], "each section is called once");
    }
    assert!(service.recommendations.calls().is_empty(), "recommendations is not called");
}

#[tokio::test]
async fn an_anonymous_page_is_public_and_a_readers_page_is_private() {
    let service = patient().await;
    about(&service, Section::Sports, 1, 10, &["budget"]);
    service.recommendations.set_labels(user_of(Role::Reader), &[("budget", 2.0, 3)]);
    let open = service.get("/home").send().await;
    assert!(open.header("cache-control").starts_with("public, max-age=5"));
    let own = home_of_a_reader(&service).await;
    assert_eq!(own.header("cache-control"), "private, no-cache");
    for answer in [&open, &own] {
        assert!(answer.header("vary").to_lowercase().contains("authorization"));
    }
    assert_ne!(open.header("etag"), own.header("etag"));
    // Each entity tag is valid for its own page only.
    let known = |tag: &str| service.get("/home").header("if-none-match", tag);
    assert_eq!(known(open.header("etag")).send().await.status, 304);
    assert_eq!(known(own.header("etag")).send().await.status, 200);
    assert_eq!(known(own.header("etag")).bearer(&token(Role::Reader)).send().await.status, 304);
    about(&service, Section::Sports, 2, 11, &["tax"]);
    assert_eq!(known(open.header("etag")).send().await.status, 200);
    // The page of another reader is never made from this one.
    let other = service.get("/home").bearer(&token(Role::Editor)).send().await;
    assert_eq!((&other.json["for_you"], &other.json["for_you_status"]), (&json!([]), &"ready".into()));
}

#[tokio::test]
async fn a_reader_gets_suggestions_for_their_labels_with_a_reason() {
    let service = patient().await;
    // There are far more articles than the newest of each section; the articles that the reader likes are
    // old.
    for number in 100..130 {
        about(&service, Section::Politics, number, i64::from(number), &["golf"]);
    }
    let budget = about(&service, Section::Politics, 1, 30, &["budget", "tax"]);
    let tennis = about(&service, Section::Sports, 2, 31, &["tennis"]);
    service.recommendations.set_labels(user_of(Role::Reader), &[("budget", 4.0, 5), ("tennis", 1.0, 1)]);
    let answer = home_of_a_reader(&service).await;
    assert_eq!(answer.json["for_you_status"], "ready");
    assert_eq!(ids(&answer.json["for_you"]), [&budget, &tennis]);
    assert_eq!(
        answer.json["for_you"][0]["reason"],
        json!({"code": "read_label", "label": "budget", "text": "You have read about budget 5 times."})
    );
    assert_eq!(answer.json["for_you"][1]["reason"]["text"], "You have read about tennis once.");
    assert_eq!(
        (&answer.json["for_you"][0]["type"], &answer.json["for_you"][0]["version"]),
        (&"politics".into(), &7.into())
    );
    let calls = service.recommendations.calls();
    assert_eq!((calls.len(), &calls[0].user_id), (1, &user_of(Role::Reader).to_string()));
}

#[tokio::test]
async fn the_sections_are_asked_for_labels_without_the_reader() {
    let service = patient().await;
    service
        .recommendations
        .set_labels(user_of(Role::Reader), &[("a", 5.0, 5), ("b", 4.0, 4), ("c", 3.0, 3), ("d", 2.0, 2)]);
    let lesser = about(&service, Section::Famous, 1, 10, &["d"]);
    let answer = home_of_a_reader(&service).await;
    for section in &service.sections {
        let calls = section.calls();
        assert!(calls.iter().all(|call| call.token.is_none()));
        let mut labels: Vec<_> = calls
            .into_iter()
            .map(|call| prost::Message::decode(call.body).map(|request: ListArticlesRequest| request.label))
            .collect::<Result<_, _>>()
            .expect("lists");
        labels.sort();
        let expected = [None, Some("a"), Some("b"), Some("c")].map(|label| label.map(str::to_owned));
        assert_eq!(labels, expected, "the three heaviest");
    }
    assert_eq!(ids(&answer.json["for_you"]), [lesser], "a lesser label counts among what is new");
}

#[tokio::test]
async fn a_reader_without_labels_gets_an_empty_list() {
    let service = patient().await;
    about(&service, Section::Sports, 1, 10, &["budget"]);
    let answer = home_of_a_reader(&service).await;
    assert_eq!((&answer.json["for_you"], &answer.json["for_you_status"]), (&json!([]), &"ready".into()));
    assert_eq!(ids(&answer.json["top"]).len(), 1);
    assert!(
        service.sections.iter().all(|section| section.calls().len() == 1),
        "there is no label to ask for"
    );
}

#[tokio::test]
async fn the_page_is_complete_if_recommendations_is_unavailable_or_refuses() {
    let service = patient().await;
    let id = about(&service, Section::Sports, 1, 10, &["budget"]);
    let refusals = [
        unavailable(),
        Refusal::new(Kind::Internal, "internal", "A defect."),
        Refusal::new(Kind::Unauthenticated, "unauthenticated", "No credential."),
    ];
    for refusal in refusals {
        service.recommendations.behave(fake_recommendations::Behaviour::Refuse(refusal));
        let answer = home_of_a_reader(&service).await;
        assert_eq!((ids(&answer.json["top"]), block(&answer, Section::Sports)), (vec![&*id], vec![&*id]));
        assert_eq!((&answer.json["for_you"], &answer.json["for_you_status"]), (&json!([]), &"away".into()));
        assert_eq!((&answer.json["partial"], &answer.json["missing"]), (&false.into(), &json!([])));
        assert_eq!(answer.header("cache-control"), "private, no-cache");
    }
}

#[tokio::test]
async fn the_page_is_complete_and_in_time_if_recommendations_never_answers() {
    let mut config = config();
    config.sections.section_deadline_ms = 60_000;
    let service = TestService::with(config, |bus| bus).await;
    let id = about(&service, Section::Sports, 1, 10, &["budget"]);
    service.recommendations.behave(fake_recommendations::Behaviour::Hang);
    let started = Instant::now();
    let answer = home_of_a_reader(&service).await;
    // The budget is 300 ms. A machine that is busy with other tests gets some grace, far below the deadline
    // of 2 s.
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    assert_eq!(ids(&answer.json["top"]), [&id]);
    assert_eq!((&answer.json["for_you_status"], &answer.json["partial"]), (&"away".into(), &false.into()));
    wait_until("the end of the callee", PATIENCE, || async {
        (service.recommendations.cancelled_calls() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn after_repeated_failures_recommendations_is_not_called_and_the_page_stays_complete() {
    let service = patient().await;
    about(&service, Section::Sports, 1, 10, &["budget"]);
    service.recommendations.behave(fake_recommendations::Behaviour::Refuse(Refusal::new(
        Kind::Internal,
        "internal",
        "A defect.",
    )));
    for _ in 0..10 {
        let answer = home_of_a_reader(&service).await;
        assert_eq!((ids(&answer.json["top"]).len(), &answer.json["for_you_status"]), (1, &"away".into()));
    }
    assert_eq!(service.recommendations.calls().len(), 5);
}

#[tokio::test]
async fn an_unavailable_section_is_missing_from_the_page_and_no_cache_keeps_it() {
    let mut service = patient().await;
    let id = about(&service, Section::Politics, 1, 10, &["budget"]);
    service.stop(Section::Sports);
    service.section(Section::Famous).behave(Behaviour::Refuse(unavailable()));
    service.recommendations.set_labels(user_of(Role::Reader), &[("budget", 1.0, 1)]);
    for caller in [None, Some(token(Role::Reader))] {
        let ask = service.get("/home");
        let answer = caller.iter().fold(ask, |ask, token| ask.bearer(token)).send().await;
        assert_eq!((answer.status.as_u16(), ids(&answer.json["top"])), (200, vec![&*id]));
        assert_eq!(
            (&answer.json["partial"], &answer.json["missing"]),
            (&true.into(), &json!(["famous", "sports"]))
        );
        assert_eq!(answer.json["sections"].as_array().map(Vec::len), Some(1));
        assert_eq!((answer.header("cache-control"), answer.header("etag")), ("no-store", ""));
        // Suggestions come from the sections that answer.
        let follows = if caller.is_some() { vec![&*id] } else { vec![] };
        assert_eq!(ids(&answer.json["for_you"]), follows);
    }
}

#[tokio::test]
async fn a_section_that_never_answers_is_missing_within_the_deadline() {
    // Longer than the default, so that the other sections answer in time on a busy machine.
    let mut config = config();
    config.sections.section_deadline_ms = 800;
    config.recommendations.budget_ms = 800;
    let service = TestService::with(config, |bus| bus).await;
    let id = about(&service, Section::Politics, 1, 10, &["budget"]);
    service.section(Section::Sports).behave(Behaviour::Hang);
    service.recommendations.set_labels(user_of(Role::Reader), &[("budget", 1.0, 1)]);
    let started = Instant::now();
    let answer = home_of_a_reader(&service).await;
    assert!(started.elapsed() < Duration::from_millis(1800), "{:?}", started.elapsed());
    assert_eq!(answer.json["missing"], json!(["sports"]));
    assert_eq!((ids(&answer.json["top"]), ids(&answer.json["for_you"])), (vec![&*id], vec![&*id]));
}

#[tokio::test]
async fn if_no_section_answers_the_front_page_is_a_503() {
    let mut service = TestService::new().await;
    Section::ALL.into_iter().for_each(|section| service.stop(section));
    for caller in [None, Some(token(Role::Reader))] {
        let ask = service.get("/home");
        let answer = caller.iter().fold(ask, |ask, token| ask.bearer(token)).send().await;
        assert_eq!((answer.problem(), answer.header("retry-after")), ((503, "section_unavailable"), "1"));
    }
}

#[tokio::test]
async fn home_is_not_a_section_and_is_read_only() {
    let service = patient().await;
    let answer = service.request("POST", "/home").bearer(&token(Role::Admin)).json(&json!({})).send().await;
    assert_eq!(answer.problem(), (405, "method_not_allowed"));
    let answer = service.request("HEAD", "/home").send().await;
    assert_eq!((answer.status.as_u16(), answer.json), (200, Value::Null));
    let id = ArticleId::new(uuid::Uuid::from_u128(1));
    let below = ["/home", &id.to_string()].join("/");
    assert_eq!(service.get(&below).send().await.problem(), (404, "unknown_type"));
}
