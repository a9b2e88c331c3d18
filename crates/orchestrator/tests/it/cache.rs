//! What is kept of answers, and what never is.

use std::time::Duration;

use bytes::Bytes;
use kernel::{ArticleId, Clock, Kind, MessageId, Refusal, Role, Section, Trace, UserId};
use orchestrator::Config;
use proto::news::v1::Article;
use proto::users::v1::UserErased;
use uuid::Uuid;

use crate::desk::{Mood, article};
use crate::world::{Answer, World, config, token};

pub fn caching() -> Config {
    let mut config = config();
    config.cache.bytes = 1 << 20;
    config.desks.section_deadline_ms = 60_000;
    config
}

pub async fn world() -> World {
    World::with(caching(), |bus| bus).await
}

pub fn away() -> Refusal {
    Refusal::new(Kind::Unavailable, "store_unavailable", "The store is away.")
}

/// Past the time in which lists are not kept.
pub fn settle(world: &World) {
    world.clock.advance(Duration::from_millis(600));
}

async fn announce(world: &World, key: &str, subject: &str, version: u32, body: Bytes) {
    let message = bus::Envelope {
        id: MessageId::new(Uuid::new_v4()),
        kind: "portal.news.v1.ArticleUpdated".to_owned(),
        key: key.to_owned(),
        source: "sports-news".to_owned(),
        subject: subject.to_owned(),
        version,
        time: world.clock.now(),
        trace: Trace::start(),
        body,
    };
    let heard = world.app.shelf.heard();
    world.bus.publish(vec![message]).await.expect("the bus takes it");
    while world.app.shelf.heard() == heard {
        tokio::task::yield_now().await;
    }
}

pub async fn updated(world: &World, id: ArticleId, version: u32) {
    announce(world, "news.sports.updated", &id.to_string(), version, Bytes::new()).await;
}

pub fn calls(world: &World) -> usize {
    world.desks.iter().map(|desk| desk.calls().len()).sum()
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
async fn an_article_and_a_list_are_asked_for_once_and_say_where_they_come_from() {
    let world = world().await;
    let id = world.desk(Section::Sports).published(1, 10);
    for path in
        [format!("/sports/{id}"), "/all/1/10".to_owned(), "/sports?label=tax".to_owned(), "/home".to_owned()]
    {
        let first = world.get(&path).send().await;
        assert_eq!((first.header("cache-status"), first.header("age")), ("orchestrator; fwd=miss", ""));
        let asked = calls(&world);
        world.clock.advance(Duration::from_secs(3));
        let second = world.get(&path).send().await;
        assert_eq!((second.header("cache-status"), second.header("age")), ("orchestrator; hit", "3"));
        assert_eq!((&second.json, second.header("etag")), (&first.json, first.header("etag")));
        assert_eq!(
            (second.header("link"), second.header("x-total-count")),
            (first.header("link"), first.header("x-total-count"))
        );
        let known = world.get(&path).header("if-none-match", first.header("etag")).send().await;
        assert_eq!((known.status.as_u16(), known.header("cache-status")), (304, "orchestrator; hit"));
        assert_eq!(calls(&world), asked, "{path}");
        world.clock.advance(Duration::from_secs(32));
        assert_eq!(world.get(&path).send().await.header("cache-status"), "orchestrator; fwd=miss");
        assert!(calls(&world) > asked, "after 35 seconds the section is asked again: {path}");
    }
}

#[tokio::test]
async fn an_announcement_takes_out_the_article_and_every_list_of_its_section() {
    let world = world().await;
    let id = world.desk(Section::Sports).published(1, 10);
    let paths = [
        format!("/sports/{id}"),
        "/all/1/10".to_owned(),
        "/sports/1/10".to_owned(),
        "/all?limit=5".to_owned(),
        "/home".to_owned(),
    ];
    for path in &paths {
        world.get(path).send().await;
    }
    world.get("/famous/1/10").send().await;
    world.desk(Section::Sports).replace(newer(id, 8, "Another title"));
    updated(&world, id, 8).await;
    for path in &paths {
        let answer = world.get(path).send().await;
        assert_eq!(answer.header("cache-status"), "orchestrator; fwd=miss", "{path}");
        assert!(answer.json.to_string().contains("Another title"), "{path}");
    }
    assert_eq!(world.get("/famous/1/10").send().await.header("cache-status"), "orchestrator; hit");
    // A new article is in nobody's list yet, and makes them all outdated.
    settle(&world);
    world.get("/all/1/10").send().await;
    let new = world.desk(Section::Sports).published(2, 20);
    updated(&world, new, 2).await;
    assert_eq!(world.get("/all/1/10").send().await.json["page"]["total"], 2);
}

#[tokio::test]
async fn an_erasure_takes_out_whatever_shows_the_byline_and_keeps_it_out() {
    let world = world().await;
    let person = UserId::new(Uuid::from_u128(1));
    let id = world.desk(Section::Sports).published(1, 10);
    let paths = [format!("/sports/{id}"), "/all/1/10".to_owned(), "/home".to_owned()];
    for path in &paths {
        world.get(path).send().await;
    }
    let body = UserErased { user_id: person.to_string(), ..UserErased::default() };
    let body = Bytes::from(prost::Message::encode_to_vec(&body));
    announce(&world, "users.erased", &person.to_string(), 1, body).await;
    // The section has not heard of it yet: what it says now is not kept.
    for path in &paths {
        for _ in 0..2 {
            assert_eq!(
                world.get(path).send().await.header("cache-status"),
                "orchestrator; fwd=miss",
                "{path}"
            );
        }
    }
    world.desk(Section::Sports).replace(Article { author: String::new(), ..newer(id, 7, "Article 1") });
    for path in &paths {
        assert_eq!(world.get(path).send().await.header("cache-status"), "orchestrator; fwd=miss", "{path}");
        let kept = world.get(path).send().await;
        assert_eq!(kept.header("cache-status"), "orchestrator; hit", "{path}");
        assert!(!kept.json.to_string().contains("Ada"), "{path}");
    }
}

#[tokio::test]
async fn an_erasure_takes_out_what_shows_the_name_and_nothing_that_the_person_only_wrote() {
    let world = world().await;
    let (author, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let desk = world.desk(Section::Sports);
    let (text, named) = (desk.published(1, 10), desk.published(2, 10));
    desk.replace(Article { byline_of: Some(String::new()), ..newer(text, 7, "Under a text") });
    desk.replace(Article { byline_of: Some(other.to_string()), ..newer(named, 7, "Under another name") });
    let status = async |id: &ArticleId| {
        world.get(&format!("/sports/{id}")).send().await.header("cache-status").to_owned()
    };
    let erase = async |person: Uuid| {
        let body = UserErased { user_id: person.to_string(), ..UserErased::default() };
        let body = Bytes::from(prost::Message::encode_to_vec(&body));
        announce(&world, "users.erased", &person.to_string(), 1, body).await;
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
async fn while_a_section_is_away_the_last_good_answer_serves_for_a_day_and_says_so() {
    let world = world().await;
    let id = world.desk(Section::Sports).published(1, 10);
    let paths = [format!("/sports/{id}"), "/sports/1/10".to_owned(), "/sports?label=tax".to_owned()];
    for path in &paths {
        world.get(path).send().await;
    }
    let unknown = "/sports/2/10";
    world.desk(Section::Sports).set(Mood::Refusing(away()));
    world.clock.advance(Duration::from_secs(3600));
    for path in &paths {
        let answer = world.get(path).send().await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("cache-status"), "orchestrator; hit; detail=stale", "{path}");
        assert_eq!(answer.header("age"), "3600", "{path}");
    }
    assert_eq!(world.get(unknown).send().await.problem().0, 503, "without one the error as ever");
    world.clock.advance(Duration::from_secs(24 * 3600));
    for path in &paths {
        assert_eq!(world.get(path).send().await.problem().0, 503, "{path}");
    }
}

#[tokio::test]
async fn what_was_taken_back_is_not_served_stale_and_a_new_article_elsewhere_takes_no_list_away() {
    let world = world().await;
    let id = world.desk(Section::Sports).published(1, 10);
    for path in ["/sports/1/10".to_owned(), format!("/sports/{id}")] {
        world.get(&path).send().await;
    }
    // Another article is announced, and then the section goes: the list may lack that one, and is still better than none.
    updated(&world, ArticleId::new(Uuid::from_u128(99)), 2).await;
    world.desk(Section::Sports).set(Mood::Refusing(away()));
    let answer = world.get("/sports/1/10").send().await;
    assert_eq!(answer.header("cache-status"), "orchestrator; hit; detail=stale");
    world.clock.advance(Duration::from_secs(10));
    // But what shows an article that has changed is gone.
    updated(&world, id, 8).await;
    for path in ["/sports/1/10".to_owned(), format!("/sports/{id}")] {
        assert_eq!(world.get(&path).send().await.problem().0, 503, "{path}");
    }
}

#[tokio::test]
async fn a_refusal_is_passed_on_and_nothing_old_is_shown_in_its_place() {
    let world = world().await;
    let id = world.desk(Section::Sports).published(1, 10);
    let path = format!("/sports/{id}");
    world.get(&path).send().await;
    world.clock.advance(Duration::from_secs(36));
    let gone = Refusal::new(Kind::Gone, "retracted", "The figures were wrong.");
    world.desk(Section::Sports).set(Mood::Refusing(gone));
    assert_eq!(world.get(&path).send().await.problem(), (410, "retracted"));
}

#[tokio::test]
async fn a_partial_answer_is_not_kept() {
    let world = world().await;
    world.desk(Section::Famous).published(1, 10);
    world.desk(Section::Sports).set(Mood::Refusing(away()));
    let answer = world.get("/all/1/10").send().await;
    assert_eq!((&answer.json["partial"], answer.header("cache-control")), (&true.into(), "no-store"));
    world.desk(Section::Sports).set(Mood::Well);
    assert_eq!(world.get("/all/1/10").send().await.json["partial"], false);
}

#[tokio::test]
async fn whoever_writes_here_reads_it_here_at_once() {
    let world = world().await;
    let id = world.desk(Section::Sports).published(1, 10);
    let path = format!("/sports/{id}");
    world.get(&path).send().await;
    world.desk(Section::Sports).replace(newer(id, 8, "Another title"));
    let body = serde_json::json!({"title": "t", "content": "c"});
    let put = world
        .ask("PUT", &path)
        .by(&token(Role::Editor))
        .header("if-match", "\"v7\"")
        .json(&body)
        .send()
        .await;
    assert_eq!(put.status, 200, "{put:?}");
    assert_eq!(title(&world.get(&path).send().await), "Another title");
}

#[tokio::test]
async fn the_cache_holds_no_more_than_it_may() {
    let mut config = caching();
    config.cache.bytes = 200_000;
    let world = World::with(config, |bus| bus).await;
    for n in 0..400 {
        let id = world.desk(Section::Sports).published(n, i64::from(n));
        assert_eq!(world.get(&format!("/sports/{id}")).send().await.status, 200);
    }
    let bytes = world.app.shelf.bytes();
    assert!((50_000..=200_000).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn a_hit_of_a_reader_who_consented_is_a_reading_too() {
    let world = world().await;
    let id = world.desk(Section::Sports).published(1, 10);
    for _ in 0..2 {
        world.get(&format!("/sports/{id}")).by(&crate::world::consenting(Role::Reader)).send().await;
    }
    world.ask("HEAD", &format!("/sports/{id}")).by(&crate::world::consenting(Role::Reader)).send().await;
    world.get(&format!("/sports/{id}")).send().await;
    assert_eq!((world.app.readings.len(), calls(&world)), (2, 1));
}
