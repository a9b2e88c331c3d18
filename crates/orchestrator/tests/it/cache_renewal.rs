//! The read cache: an answer that is no longer fresh is served while a new one is made behind the request.

use std::sync::Arc;
use std::time::Duration;

use kernel::{ArticleId, Kind, Refusal, Section};
use testkit::wait_until;
use tokio::sync::Barrier;

use crate::cache::{calls, newer, service, unavailable, updated};
use crate::fake_section::Behaviour;
use crate::service::{Answer, TestService};

const CACHE_HIT: &str = "orchestrator; hit";
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns a service with a stored article that is no longer fresh.
async fn grown_old() -> (TestService, ArticleId, String) {
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let path = format!("/sports/{id}");
    service.get(&path).send().await;
    service.clock.advance(Duration::from_secs(6));
    (service, id, path)
}

/// Waits for an answer that fulfils a condition.
async fn until(service: &TestService, path: &str, what: &str, is: impl Fn(&Answer) -> bool) -> Answer {
    wait_until(what, PATIENCE, async || Some(service.get(path).send().await).filter(&is)).await
}

fn title(answer: &Answer) -> &str {
    answer.json["news"]["title"].as_str().unwrap_or_else(|| panic!("no article: {answer:?}"))
}

#[tokio::test]
async fn no_request_waits_for_the_section_when_an_answer_is_no_longer_fresh() {
    let (service, id, path) = grown_old().await;
    // The section revised the article, and the event was lost.
    service.section(Section::Sports).replace(newer(id, 8, "Revised"));
    let barrier = Arc::new(Barrier::new(2));
    service.section(Section::Sports).behave(Behaviour::HoldAnswers(barrier.clone()));
    for _ in 0..20 {
        let answer = service.get(&path).send().await;
        assert_eq!((answer.header("cache-status"), answer.header("age")), (CACHE_HIT, "6"));
    }
    barrier.wait().await;
    assert_eq!(calls(&service), 2, "one asks for all");
    barrier.wait().await;
    let answer = until(&service, &path, "a new answer", |answer| answer.header("age") == "0").await;
    assert_eq!((answer.header("cache-status"), title(&answer)), (CACHE_HIT, "Revised"));
    assert_eq!(calls(&service), 2);
}

#[tokio::test]
async fn after_another_half_minute_a_request_gets_the_current_answer() {
    let (service, id, path) = grown_old().await;
    service.section(Section::Sports).replace(newer(id, 8, "Revised"));
    service.clock.advance(Duration::from_secs(30));
    let answer = service.get(&path).send().await;
    assert_eq!(answer.header("cache-status"), "orchestrator; fwd=miss");
    assert_eq!(title(&answer), "Revised");
}

#[tokio::test]
async fn an_evicted_answer_is_never_served_while_it_is_renewed() {
    let (service, id, path) = grown_old().await;
    service.section(Section::Sports).replace(newer(id, 8, "Revised"));
    updated(&service, id, 8).await;
    assert_eq!(title(&service.get(&path).send().await), "Revised");
}

#[tokio::test]
async fn if_a_renewal_fails_the_next_request_gets_a_stale_answer_that_says_so() {
    let (service, _, path) = grown_old().await;
    service.section(Section::Sports).behave(Behaviour::Refuse(unavailable()));
    assert_eq!(service.get(&path).send().await.header("cache-status"), CACHE_HIT);
    until(&service, &path, "a stale or partial answer", |answer| {
        answer.header("cache-status").ends_with("detail=stale")
    })
    .await;
    // When the section has recovered, a request gets a new answer as soon as the breaker allows a call.
    service.section(Section::Sports).behave(Behaviour::Answer);
    until(&service, &path, "a new one", |answer| answer.header("cache-status").ends_with("fwd=miss")).await;
}

#[tokio::test]
async fn a_list_is_not_renewed_without_a_section_and_the_next_request_gets_the_partial_one() {
    let service = service().await;
    service.section(Section::Famous).add_published(1, 10);
    service.section(Section::Sports).add_published(2, 20);
    let path = "/all/1/10";
    service.get(path).send().await;
    service.clock.advance(Duration::from_secs(6));
    service.section(Section::Sports).behave(Behaviour::Refuse(unavailable()));
    assert_eq!(service.get(path).send().await.json["partial"], false);
    let answer =
        until(&service, path, "a stale or partial answer", |answer| answer.json["partial"] == true).await;
    assert_eq!(answer.json["missing"], serde_json::json!(["sports"]));
    service.section(Section::Sports).behave(Behaviour::Answer);
    until(&service, path, "it is whole again", |answer| answer.json["partial"] == false).await;
}

#[tokio::test]
async fn an_unpublished_article_is_evicted_by_the_first_renewal() {
    let (service, _, path) = grown_old().await;
    let gone = Refusal::new(Kind::Gone, "retracted", "The figures were wrong.");
    service.section(Section::Sports).behave(Behaviour::Refuse(gone));
    assert_eq!(service.get(&path).send().await.header("cache-status"), CACHE_HIT);
    until(&service, &path, "it is gone", |answer| answer.status == 410).await;
    service.section(Section::Sports).behave(Behaviour::Refuse(unavailable()));
    assert_eq!(
        service.get(&path).send().await.problem().0,
        503,
        "and does not come back when the section is unavailable"
    );
}

#[tokio::test]
async fn answers_that_expire_together_are_renewed_eight_at_a_time() {
    let service = service().await;
    let section = service.section(Section::Sports);
    let paths: Vec<_> =
        (1..=40).map(|number| format!("/sports/{}", section.add_published(number, 10))).collect();
    for path in &paths {
        service.get(path).send().await;
    }
    service.clock.advance(Duration::from_secs(6));
    section.clear_calls();
    section.behave(Behaviour::Hang);
    for path in &paths {
        assert_eq!(service.get(path).send().await.header("cache-status"), CACHE_HIT);
    }
    wait_until("eight calls", PATIENCE, async || (calls(&service) == 8).then_some(())).await;
    assert_eq!(
        service.get(&paths[39]).send().await.header("cache-status"),
        CACHE_HIT,
        "the others serve as they are"
    );
    assert_eq!(calls(&service), 8);
}
