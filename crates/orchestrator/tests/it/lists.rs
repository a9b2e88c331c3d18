use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kernel::{Kind, Refusal, Role, Section};
use proto::news::v1::{GetArticlesRequest, ListArticlesRequest};
use serde_json::Value;
use tokio::sync::Barrier;

use crate::fake_section::{Behaviour, article};
use crate::service::{Answer, TestService, config, token};

fn unavailable() -> Refusal {
    Refusal::new(Kind::Unavailable, "store_unavailable", "The store is unavailable.")
}

/// Returns a service whose sections may take so long that none is missing on a slow machine.
async fn patient() -> TestService {
    let mut config = config();
    config.sections.section_deadline_ms = 60_000;
    TestService::with(config, |bus| bus).await
}

fn ids(answer: &Answer) -> Vec<&str> {
    let news = answer.json["news"].as_array().expect("news");
    news.iter().map(|article| article["id"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn a_page_of_one_section_is_newest_first_with_totals_and_links() {
    let service = TestService::new().await;
    let section = service.section(Section::Famous);
    let all: Vec<_> = (0..5).map(|n| section.add_published(n, i64::from(n)).to_string()).collect();
    section.put(article(Section::Famous, 9, 0, "draft"));
    let answer = service.get("/famous/2/2").send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(ids(&answer), [&all[2], &all[1]]);
    let cursor = answer.json["page"]["next_cursor"].as_str().expect("a cursor");
    assert_eq!(
        answer.json["page"],
        serde_json::json!({"number": 2, "limit": 2, "total": 5, "pages": 3, "next_cursor": cursor})
    );
    assert_eq!(answer.header("x-total-count"), "5");
    let on = service.get(&format!("/famous?limit=2&cursor={cursor}")).send().await;
    assert_eq!((ids(&on), &on.json["page"]["next_cursor"]), (vec![all[0].as_str()], &Value::Null));
    assert_eq!((&answer.json["partial"], &answer.json["missing"]), (&false.into(), &serde_json::json!([])));
    assert_eq!(
        answer.header("link"),
        "</news/v1/famous/1/2>; rel=\"first\", </news/v1/famous/1/2>; rel=\"prev\", \
         </news/v1/famous/3/2>; rel=\"next\", </news/v1/famous/3/2>; rel=\"last\""
    );
    assert!(answer.header("cache-control").starts_with("public"));
}

#[tokio::test]
async fn a_page_past_the_end_is_empty_and_an_empty_portal_has_a_first_page() {
    let service = patient().await;
    let answer = service.get("/all/1/10").send().await;
    assert_eq!((answer.status.as_u16(), ids(&answer).len()), (200, 0));
    assert_eq!(answer.json["page"]["pages"], 0);
    let answer = service.get("/all/50/10").send().await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("link").contains("</news/v1/all/1/10>; rel=\"prev\""));
}

#[tokio::test]
async fn lists_have_texts_only_if_the_client_includes_them() {
    let service = patient().await;
    let politics = service.section(Section::Politics).add_published(1, 10).to_string();
    let sports = service.section(Section::Sports).add_published(2, 20).to_string();
    for path in ["/all/1/10", "/sports/1/10"] {
        let answer = service.get(path).send().await;
        assert!(answer.json["news"][0].get("content").is_none(), "{path}");
        let answer = service.get(&format!("{path}?include=content")).send().await;
        assert_eq!(answer.json["news"][0]["content"], "The text of article 2.", "{path}");
        assert!(answer.header("link").contains("/1/10?include=content>"));
    }
    let answer = service.get("/all/1/10?include=content").send().await;
    assert_eq!(ids(&answer), [&sports, &politics]);
    // The section `famous` had no article on the page, so it got no second call.
    assert!(!service.section(Section::Famous).methods().contains(&"GetArticles".to_owned()));
    let request = service.section(Section::Politics).last::<GetArticlesRequest>("GetArticles");
    assert_eq!(request.ids, [politics]);
    let answer = service.get("/all/1/10?include=authors").send().await;
    assert_eq!((answer.problem(), answer.errors()), ((422, "invalid"), vec![("/include", "unknown_name")]));
}

#[tokio::test]
async fn texts_before_a_later_page_are_never_transferred() {
    let service = patient().await;
    for n in 0..50 {
        service.section(Section::Sports).add_published(n, i64::from(n));
    }
    let answer = service.get("/all/4/10?include=content").send().await;
    assert_eq!(ids(&answer).len(), 10);
    let section = service.section(Section::Sports);
    assert_eq!(section.methods(), ["ListArticles", "GetArticles", "GetArticles"]);
    let order = section.calls().remove(0);
    let order: ListArticlesRequest = prost::Message::decode(order.body).expect("a request");
    assert_eq!((order.offset, order.limit, order.include_content, order.keys_only), (0, 40, false, true));
    let whole: GetArticlesRequest = section.last("GetArticles");
    assert_eq!((whole.ids.len(), whole.without_content), (10, false));
    service.get("/all/4/10").send().await;
    assert!(section.last::<GetArticlesRequest>("GetArticles").without_content);
}

#[tokio::test]
async fn a_list_that_the_client_already_has_is_a_304_until_it_changes() {
    let service = patient().await;
    service.section(Section::Sports).add_published(1, 10);
    for path in ["/all/1/10", "/sports/1/10"] {
        let tag = service.get(path).send().await.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.len() > 10, "{tag}");
        let answer = service.get(path).header("if-none-match", &tag).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (304, tag.as_str()));
        service.section(Section::Sports).add_published(2 + path.len() as u32, 20);
        assert_eq!(service.get(path).header("if-none-match", &tag).send().await.status, 200);
    }
}

#[tokio::test]
async fn a_signed_in_callers_list_is_private() {
    let service = patient().await;
    let answer = service.get("/all/1/10").bearer(&token(Role::Reader)).send().await;
    assert_eq!(answer.header("cache-control"), "private, no-cache");
}

#[tokio::test]
async fn a_page_out_of_range_is_422_and_text_instead_of_a_number_is_400() {
    let service = TestService::new().await;
    for list in ["all", "sports"] {
        for (page, pointer) in [
            ("0/10", "/page"),
            ("-1/10", "/page"),
            ("1/0", "/limit"),
            ("1/101", "/limit"),
            ("101/100", "/page"),
        ] {
            let answer = service.get(&format!("/{list}/{page}")).send().await;
            assert_eq!(answer.problem(), (422, "invalid"), "{page}");
            assert_eq!(answer.errors()[0].0, pointer, "{page}");
        }
        for page in ["one/10", "1/ten", "1.5/10", "1/%00"] {
            let answer = service.get(&format!("/{list}/{page}")).send().await;
            assert_eq!(answer.problem(), (400, "malformed_path"), "{page}");
        }
        assert_eq!(service.get(&format!("/{list}/99999999999999999999/1")).send().await.problem().0, 422);
    }
    assert!(service.sections.iter().all(|section| section.calls().is_empty()), "no section was called");
}

#[tokio::test]
async fn a_section_that_never_answers_is_missing_within_the_deadline_and_its_work_is_stopped() {
    let service = TestService::new().await;
    let id = service.section(Section::Sports).add_published(1, 10).to_string();
    let silent = service.section(Section::Politics);
    silent.behave(Behaviour::Hang);
    let started = Instant::now();
    let answer = service.get("/all/1/10").send().await;
    // The limit is 400 ms. A machine that is busy with other tests gets some grace, far below the deadline of
    // 2 s.
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    assert_eq!((answer.status.as_u16(), ids(&answer)), (200, vec![id.as_str()]));
    assert_eq!(
        (&answer.json["partial"], &answer.json["missing"]),
        (&true.into(), &serde_json::json!(["politics"]))
    );
    assert_eq!((answer.header("cache-control"), answer.header("etag")), ("no-store", ""));
    assert!(silent.cancelled.load(Ordering::SeqCst), "the cancelled handler stopped");
}

#[tokio::test]
async fn as_long_as_no_section_has_answered_only_the_deadline_of_the_request_counts() {
    let mut config = config();
    config.sections.section_deadline_ms = 1;
    let service = TestService::with(config, |bus| bus).await;
    let barrier = Arc::new(Barrier::new(4));
    for (number, section) in Section::ALL.into_iter().enumerate() {
        service.section(section).add_published(1, number as i64);
        service.section(section).behave(Behaviour::WaitForAll(barrier.clone()));
    }
    for path in ["/all/1/10", "/all", "/home"] {
        let (answer, ()) = tokio::join!(service.get(path).send(), async {
            while !service.sections.iter().all(|section| section.calls().len() == 1) {
                tokio::task::yield_now().await;
            }
            // All of them take far longer than a section may take if another one has answered.
            let started = Instant::now();
            while started.elapsed() < Duration::from_millis(20) {
                tokio::task::yield_now().await;
            }
            barrier.wait().await;
        });
        assert_eq!(answer.status, 200, "{path}: {}", answer.json);
        service.sections.iter().for_each(|section| section.clear_calls());
    }
}

#[tokio::test]
async fn two_unavailable_sections_are_both_named() {
    let mut service = patient().await;
    service.section(Section::Famous).add_published(1, 10);
    service.stop(Section::Sports);
    service.section(Section::Politics).behave(Behaviour::Refuse(unavailable()));
    let answer = service.get("/all/1/10").send().await;
    assert_eq!((answer.status.as_u16(), ids(&answer).len()), (200, 1));
    assert_eq!(answer.json["missing"], serde_json::json!(["politics", "sports"]));
    assert_eq!(answer.json["page"]["total"], 1);
}

#[tokio::test]
async fn if_no_section_answers_the_list_is_a_503_with_retry_after() {
    let mut service = TestService::new().await;
    service.stop(Section::Sports);
    service.section(Section::Politics).behave(Behaviour::Hang);
    service.section(Section::Famous).behave(Behaviour::Refuse(unavailable()));
    let answer = service.get("/all/1/10").send().await;
    assert_eq!(answer.problem(), (503, "section_unavailable"));
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.json["missing"], serde_json::json!(["famous", "politics", "sports"]));
}

#[tokio::test]
async fn a_section_that_fails_between_the_two_rounds_is_missing_with_its_articles() {
    let service = patient().await;
    let famous = service.section(Section::Famous).add_published(1, 10).to_string();
    service.section(Section::Sports).add_published(2, 20);
    let barrier = Arc::new(Barrier::new(2));
    service.section(Section::Sports).behave(Behaviour::WaitForAll(barrier.clone()));
    let (answer, ()) = tokio::join!(service.get("/all/1/10?include=content").send(), async {
        // The list is being answered; every later call fails.
        barrier.wait().await;
        service.section(Section::Sports).behave(Behaviour::Refuse(unavailable()));
    });
    assert_eq!((answer.status.as_u16(), ids(&answer)), (200, vec![famous.as_str()]));
    assert_eq!(answer.json["missing"], serde_json::json!(["sports"]));
}

#[tokio::test]
async fn an_article_that_is_unpublished_between_the_two_rounds_is_not_shown() {
    let service = patient().await;
    let stays = service.section(Section::Famous).add_published(1, 10).to_string();
    let goes = service.section(Section::Sports).add_published(2, 20);
    let barrier = Arc::new(Barrier::new(2));
    service.section(Section::Famous).behave(Behaviour::WaitForAll(barrier.clone()));
    let (answer, ()) = tokio::join!(service.get("/all/1/10?include=content").send(), async {
        while service.section(Section::Sports).calls().is_empty() {
            tokio::task::yield_now().await;
        }
        service.section(Section::Sports).remove(goes);
        barrier.wait().await;
        service.section(Section::Famous).behave(Behaviour::Answer);
    });
    assert_eq!((ids(&answer), &answer.json["partial"]), (vec![stays.as_str()], &Value::Bool(false)));
}

#[tokio::test]
async fn a_read_that_no_process_received_is_retried_and_a_refusal_is_not() {
    let service = patient().await;
    let section = service.section(Section::Sports);
    section.add_published(1, 10);
    section.behave(Behaviour::RefuseOnce(vec![unavailable()]));
    let answer = service.get("/all/1/10").send().await;
    assert_eq!((&answer.json["partial"], ids(&answer).len()), (&Value::Bool(false), 1));
    assert_eq!(section.calls().len(), 2);
    section.behave(Behaviour::Refuse(Refusal::new(Kind::Internal, "internal", "A defect.")));
    service.get("/all/1/10").send().await;
    assert_eq!(section.calls().len(), 3);
}

#[tokio::test]
async fn after_repeated_failures_a_section_is_not_called_and_the_others_are_not_affected() {
    let service = patient().await;
    service.section(Section::Famous).add_published(1, 10);
    let failing = service.section(Section::Sports);
    failing.behave(Behaviour::Refuse(Refusal::new(Kind::Internal, "internal", "A defect.")));
    for _ in 0..20 {
        let answer = service.get("/all/1/10").send().await;
        assert_eq!(answer.json["missing"], serde_json::json!(["sports"]));
    }
    assert_eq!(failing.calls().len(), 5, "the breaker opened after five failures in a row");
    let answer = service.get("/sports/1/10").send().await;
    assert_eq!(answer.problem(), (503, "section_unavailable"));
    assert_eq!(answer.json["missing"], serde_json::json!(["sports"]), "the others were not called");
    assert_eq!(service.section(Section::Famous).calls().len(), 20);
}

#[tokio::test]
async fn a_refusal_of_the_request_itself_is_passed_on_and_no_section_is_missing() {
    let service = patient().await;
    let refusal = Refusal::new(Kind::Unauthenticated, "invalid_token", "The access token is not valid.");
    service.section(Section::Politics).behave(Behaviour::Refuse(refusal));
    let answer = service.get("/all/1/10").bearer(&token(Role::Reader)).send().await;
    assert_eq!(answer.problem(), (401, "invalid_token"));
}
