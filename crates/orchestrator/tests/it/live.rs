//! Live events: what readers who follow them get, and what they never get.

use std::net::IpAddr;

use bytes::Bytes;
use kernel::{Clock, MessageId, Section, Trace};
use prost::Message;
use proto::news::v1::{ArticlePublished, Change};
use serde_json::{Value, json};
use testkit::ServerEvent;
use uuid::Uuid;

use crate::fake_section::article;
use crate::service::{TestService, config};

/// Publishes an event of article 1 of a section, and returns the id of the message.
async fn publish(service: &TestService, section: Section, event: &str, state: &str, version: u32) -> Uuid {
    let changed = article(section, 1, 5, state);
    let id = Uuid::new_v4();
    let message = bus::Envelope {
        id: MessageId::new(id),
        kind: "portal.news.v1.Article".to_owned(),
        key: format!("news.{section}.{event}"),
        source: section.service().to_owned(),
        subject: changed.id.clone(),
        version,
        time: service.clock.now(),
        trace: Trace::start(),
        body: Bytes::from(body(changed)),
    };
    service.bus.publish(vec![message]).await.expect("the bus accepts it");
    id
}

fn body(article: proto::news::v1::Article) -> Vec<u8> {
    let change = Change { article: Some(article), at_ms: 40_000, ..Change::default() };
    ArticlePublished { change: Some(change) }.encode_to_vec()
}

fn data(event: &ServerEvent) -> Value {
    serde_json::from_str(event.data.as_deref().expect("data")).expect("JSON")
}

#[tokio::test]
async fn a_reader_gets_the_public_life_of_an_article_and_nothing_before_it() {
    let service = TestService::new().await;
    let mut all = service.follow("/live").await;
    let mut famous = service.follow("/famous/live").await;
    for (event, state) in [("drafted", "draft"), ("submitted", "in_review"), ("restored", "draft")] {
        publish(&service, Section::Sports, event, state, 2).await;
    }
    let id = publish(&service, Section::Sports, "published", "published", 3).await;
    publish(&service, Section::Sports, "restored", "published", 4).await;
    publish(&service, Section::Sports, "retracted", "retracted", 5).await;
    publish(&service, Section::Famous, "corrected", "published", 3).await;

    let published = all.next().await.expect("an event");
    assert_eq!(
        (published.event.as_deref(), published.id.as_deref()),
        (Some("published"), Some(&*id.to_string()))
    );
    let article = article(Section::Sports, 1, 5, "published").id;
    let expected = json!({
        "type": "sports", "id": article, "version": 3, "title": "Article 1", "slug": "article-1", "at": "1970-01-01T00:00:40.000Z",
    });
    assert_eq!(data(&published), expected);
    assert_eq!(all.next().await.expect("an event").event.as_deref(), Some("updated"));
    let retracted = all.next().await.expect("an event");
    assert_eq!(retracted.event.as_deref(), Some("retracted"));
    assert_eq!((&data(&retracted)["title"], &data(&retracted)["slug"]), (&Value::Null, &Value::Null));
    for stream in [&mut all, &mut famous] {
        assert_eq!(stream.next().await.expect("an event").event.as_deref(), Some("corrected"));
    }
}

#[tokio::test]
async fn a_reader_who_comes_back_gets_what_was_missed_or_a_reset() {
    let service = TestService::new().await;
    let mut stream = service.follow("/live").await;
    let first = publish(&service, Section::Sports, "published", "published", 3).await;
    stream.next().await.expect("the first event");
    drop(stream);
    let second = publish(&service, Section::Sports, "updated", "published", 4).await;
    let mut again = service.follow_after("/live", &first.to_string()).await;
    assert_eq!(again.next().await.expect("an event").id, Some(second.to_string()));
    for unknown in ["", "7", "0190b2c4-0000-7000-8000-000000000009"] {
        let mut stream = service.follow_after("/live", unknown).await;
        assert_eq!(stream.next().await.expect("an event").event.as_deref(), Some("reset"), "{unknown:?}");
    }
}

#[tokio::test]
async fn a_client_has_a_share_of_the_streams_and_a_closed_one_makes_room() {
    let mut config = config();
    config.live.streams = 3;
    config.live.streams_per_address = 2;
    let service = TestService::with(config, |bus| bus).await;
    let [first, second]: [IpAddr; 2] =
        ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().expect("an address"));
    let open = |client| service.get("/live").from(client).send_unread();
    let (one, _two) = (open(first).await, open(first).await);
    assert_eq!(one.headers()["cache-control"], "no-store");
    let refused = service.get("/sports/live").from(first).send().await;
    assert_eq!((refused.problem(), refused.header("retry-after")), ((429, "too_many_requests"), "1"));
    let _three = open(second).await;
    assert_eq!(service.get("/live").from(second).send().await.status, 503);
    drop(one);
    assert_eq!(open(second).await.status(), 200);
    assert_eq!(service.get("/gossip/live").send().await.problem(), (404, "unknown_type"));
}
