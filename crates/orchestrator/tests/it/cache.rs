//! The read cache: articles and lists.

use std::time::Duration;

use bytes::Bytes;
use kernel::{ArticleId, Clock, Kind, MessageId, Refusal, Role, Section, Trace, UserId};
use orchestrator::Config;
use proto::news::v1::Article;
use proto::users::v1::UserErased;
use uuid::Uuid;

use crate::fake_section::{Behaviour, article};
use crate::service::{Answer, TestService, config, token};

pub fn caching() -> Config {
    let mut config = config();
    config.cache.bytes = 1 << 20;
    config.sections.section_deadline_ms = 60_000;
    config
}

pub async fn service() -> TestService {
    TestService::with(caching(), |bus| bus).await
}

pub fn unavailable() -> Refusal {
    Refusal::new(Kind::Unavailable, "store_unavailable", "The store is unavailable.")
}

/// Longer than the time in which lists are not stored.
pub fn settle(service: &TestService) {
    service.clock.advance(Duration::from_millis(600));
}

async fn announce(service: &TestService, key: &str, subject: &str, version: u32, body: Bytes) {
    let message = bus::Envelope {
        id: MessageId::new(Uuid::new_v4()),
        kind: "portal.news.v1.ArticleUpdated".to_owned(),
        key: key.to_owned(),
        source: "sports-news".to_owned(),
        subject: subject.to_owned(),
        version,
        time: service.clock.now(),
        trace: Trace::start(),
        body,
    };
    let before = service.app.shelf().invalidations();
    service.bus.publish(vec![message]).await.expect("the bus accepts it");
    while service.app.shelf().invalidations() == before {
        tokio::task::yield_now().await;
    }
}

pub async fn updated(service: &TestService, id: ArticleId, version: u32) {
    announce(service, "news.sports.updated", &id.to_string(), version, Bytes::new()).await;
}

pub fn calls(service: &TestService) -> usize {
    service.sections.iter().map(|section| section.calls().len()).sum()
}

pub fn title(answer: &Answer) -> &str {
    answer.json["news"]["title"].as_str().unwrap_or_else(|| panic!("no article: {answer:?}"))
}

pub fn newer(id: ArticleId, version: u32, title: &str) -> Article {
    Article {
        id: id.to_string(),
        version,
        title: title.to_owned(),
        ..article(Section::Sports, 1, 10, "published")
    }
}

#[tokio::test]
async fn an_article_and_a_list_are_requested_once_and_their_answers_name_the_source() {
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    for path in
        [format!("/sports/{id}"), "/all/1/10".to_owned(), "/sports?label=tax".to_owned(), "/home".to_owned()]
    {
        let first = service.get(&path).send().await;
        assert_eq!((first.header("cache-status"), first.header("age")), ("orchestrator; fwd=miss", ""));
        let calls_before = calls(&service);
        service.clock.advance(Duration::from_secs(3));
        let second = service.get(&path).send().await;
        assert_eq!((second.header("cache-status"), second.header("age")), ("orchestrator; hit", "3"));
        assert_eq!((&second.json, second.header("etag")), (&first.json, first.header("etag")));
        assert_eq!(
            (second.header("link"), second.header("x-total-count")),
            (first.header("link"), first.header("x-total-count"))
        );
        let known = service.get(&path).header("if-none-match", first.header("etag")).send().await;
        assert_eq!((known.status.as_u16(), known.header("cache-status")), (304, "orchestrator; hit"));
        assert_eq!(calls(&service), calls_before, "{path}");
        service.clock.advance(Duration::from_secs(32));
        assert_eq!(service.get(&path).send().await.header("cache-status"), "orchestrator; fwd=miss");
        assert!(calls(&service) > calls_before, "after 35 seconds the section is called again: {path}");
    }
}

#[tokio::test]
async fn an_event_evicts_the_article_and_outdates_every_list_of_its_section() {
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let paths = [
        format!("/sports/{id}"),
        "/all/1/10".to_owned(),
        "/sports/1/10".to_owned(),
        "/all?limit=5".to_owned(),
        "/home".to_owned(),
    ];
    for path in &paths {
        service.get(path).send().await;
    }
    service.get("/famous/1/10").send().await;
    service.section(Section::Sports).replace(newer(id, 8, "Another title"));
    updated(&service, id, 8).await;
    for path in &paths {
        let answer = service.get(path).send().await;
        assert_eq!(answer.header("cache-status"), "orchestrator; fwd=miss", "{path}");
        assert!(answer.json.to_string().contains("Another title"), "{path}");
    }
    assert_eq!(service.get("/famous/1/10").send().await.header("cache-status"), "orchestrator; hit");
    // A new article is in no list yet, and outdates all of them.
    settle(&service);
    service.get("/all/1/10").send().await;
    let new = service.section(Section::Sports).add_published(2, 20);
    updated(&service, new, 2).await;
    assert_eq!(service.get("/all/1/10").send().await.json["page"]["total"], 2);
}

#[tokio::test]
async fn an_erasure_evicts_every_answer_with_the_byline_and_none_is_stored_again() {
    let service = service().await;
    let person = UserId::new(Uuid::from_u128(1));
    let id = service.section(Section::Sports).add_published(1, 10);
    let paths = [format!("/sports/{id}"), "/all/1/10".to_owned(), "/home".to_owned()];
    for path in &paths {
        service.get(path).send().await;
    }
    let body = UserErased { user_id: person.to_string(), ..UserErased::default() };
    let body = Bytes::from(prost::Message::encode_to_vec(&body));
    announce(&service, "users.erased", &person.to_string(), 1, body).await;
    // The section has not before the event yet, so its answer is not stored.
    for path in &paths {
        for _ in 0..2 {
            assert_eq!(
                service.get(path).send().await.header("cache-status"),
                "orchestrator; fwd=miss",
                "{path}"
            );
        }
    }
    service.section(Section::Sports).replace(Article { author: String::new(), ..newer(id, 7, "Article 1") });
    for path in &paths {
        assert_eq!(service.get(path).send().await.header("cache-status"), "orchestrator; fwd=miss", "{path}");
        let hit = service.get(path).send().await;
        assert_eq!(hit.header("cache-status"), "orchestrator; hit", "{path}");
        assert!(!hit.json.to_string().contains("Ada"), "{path}");
    }
}

#[tokio::test]
async fn an_erasure_evicts_answers_that_show_the_name_and_none_that_the_person_only_wrote() {
    let service = service().await;
    let (author, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let section = service.section(Section::Sports);
    let (text, named) = (section.add_published(1, 10), section.add_published(2, 10));
    section.replace(Article { byline_of: Some(String::new()), ..newer(text, 7, "Under a text") });
    section.replace(Article { byline_of: Some(other.to_string()), ..newer(named, 7, "Under another name") });
    let status = async |id: &ArticleId| {
        service.get(&format!("/sports/{id}")).send().await.header("cache-status").to_owned()
    };
    let erase = async |person: Uuid| {
        let body = UserErased { user_id: person.to_string(), ..UserErased::default() };
        let body = Bytes::from(prost::Message::encode_to_vec(&body));
        announce(&service, "users.erased", &person.to_string(), 1, body).await;
    };
    for id in [&text, &named] {
        assert_eq!(status(id).await, "orchestrator; fwd=miss");
    }
    erase(author).await;
    for id in [&text, &named] {
        assert_eq!(status(id).await, "orchestrator; hit");
    }
    erase(other).await;
    assert_eq!(status(&text).await, "orchestrator; hit");
    assert_eq!(status(&named).await, "orchestrator; fwd=miss");
}

#[tokio::test]
async fn while_a_section_is_unavailable_the_last_valid_answer_is_served_as_stale_for_a_day() {
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let paths = [format!("/sports/{id}"), "/sports/1/10".to_owned(), "/sports?label=tax".to_owned()];
    for path in &paths {
        service.get(path).send().await;
    }
    let unknown = "/sports/2/10";
    service.section(Section::Sports).behave(Behaviour::Refuse(unavailable()));
    service.clock.advance(Duration::from_secs(3600));
    for path in &paths {
        let answer = service.get(path).send().await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("cache-status"), "orchestrator; hit; detail=stale", "{path}");
        assert_eq!(answer.header("age"), "3600", "{path}");
    }
    assert_eq!(service.get(unknown).send().await.problem().0, 503, "without one the error as ever");
    service.clock.advance(Duration::from_secs(24 * 3600));
    for path in &paths {
        assert_eq!(service.get(path).send().await.problem().0, 503, "{path}");
    }
}

#[tokio::test]
async fn an_unpublished_article_is_not_served_stale_but_an_outdated_list_is() {
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    for path in ["/sports/1/10".to_owned(), format!("/sports/{id}")] {
        service.get(&path).send().await;
    }
    // Another article changes, and then the section fails. The list may lack that article, and is still
    // better than none.
    updated(&service, ArticleId::new(Uuid::from_u128(99)), 2).await;
    service.section(Section::Sports).behave(Behaviour::Refuse(unavailable()));
    let answer = service.get("/sports/1/10").send().await;
    assert_eq!(answer.header("cache-status"), "orchestrator; hit; detail=stale");
    service.clock.advance(Duration::from_secs(10));
    // An answer that shows a changed article is evicted.
    updated(&service, id, 8).await;
    for path in ["/sports/1/10".to_owned(), format!("/sports/{id}")] {
        assert_eq!(service.get(&path).send().await.problem().0, 503, "{path}");
    }
}

#[tokio::test]
async fn a_refusal_is_passed_on_and_not_replaced_by_a_stored_answer() {
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let path = format!("/sports/{id}");
    service.get(&path).send().await;
    service.clock.advance(Duration::from_secs(36));
    let gone = Refusal::new(Kind::Gone, "retracted", "The figures were wrong.");
    service.section(Section::Sports).behave(Behaviour::Refuse(gone));
    assert_eq!(service.get(&path).send().await.problem(), (410, "retracted"));
}

#[tokio::test]
async fn a_partial_answer_is_not_stored() {
    let service = service().await;
    service.section(Section::Famous).add_published(1, 10);
    service.section(Section::Sports).behave(Behaviour::Refuse(unavailable()));
    let answer = service.get("/all/1/10").send().await;
    assert_eq!((&answer.json["partial"], answer.header("cache-control")), (&true.into(), "no-store"));
    service.section(Section::Sports).behave(Behaviour::Answer);
    assert_eq!(service.get("/all/1/10").send().await.json["partial"], false);
}

#[tokio::test]
async fn a_client_reads_its_own_write_immediately_from_the_same_process() {
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let path = format!("/sports/{id}");
    service.get(&path).send().await;
    service.section(Section::Sports).replace(newer(id, 8, "Another title"));
    let body = serde_json::json!({"title": "t", "content": "c"});
    let put = service
        .request("PUT", &path)
        .bearer(&token(Role::Editor))
        .header("if-match", "\"v7\"")
        .json(&body)
        .send()
        .await;
    assert_eq!(put.status, 200, "{put:?}");
    assert_eq!(title(&service.get(&path).send().await), "Another title");
}

#[tokio::test]
async fn the_cache_stays_within_its_bytes() {
    let mut config = caching();
    config.cache.bytes = 200_000;
    let service = TestService::with(config, |bus| bus).await;
    for n in 0..400 {
        let id = service.section(Section::Sports).add_published(n, i64::from(n));
        assert_eq!(service.get(&format!("/sports/{id}")).send().await.status, 200);
    }
    let bytes = service.app.shelf().bytes();
    assert!((50_000..=200_000).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn a_cache_hit_of_a_reader_who_consented_is_also_a_reading() {
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    for _ in 0..2 {
        service
            .get(&format!("/sports/{id}"))
            .bearer(&crate::service::consenting_token(Role::Reader))
            .send()
            .await;
    }
    service
        .request("HEAD", &format!("/sports/{id}"))
        .bearer(&crate::service::consenting_token(Role::Reader))
        .send()
        .await;
    service.get(&format!("/sports/{id}")).send().await;
    assert_eq!((service.app.waiting_readings().len(), calls(&service)), (2, 1));
}
