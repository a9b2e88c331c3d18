//! Feeds: what they contain, and that a strict and independent reader reads them.

use std::io::Write;
use std::process::{Command, Stdio};

use http_body_util::BodyExt;
use kernel::Section;
use proto::news::v1::{Article, Correction, ListArticlesRequest};
use serde_json::{Value, json};

use crate::fake_section::{Behaviour, article};
use crate::service::TestService;

const FORMATS: [(&str, &str); 3] =
    [("rss", "application/rss+xml"), ("atom", "application/atom+xml"), ("json", "application/feed+json")];

/// A title with everything that breaks careless writers of XML, and 200 characters long.
fn hostile_title() -> String {
    let start = "]]> </title> &nbsp; <b>\"'\u{202e} \u{fffe}\u{1b} Müller שלום 日本 ";
    start.chars().chain(std::iter::repeat('x')).take(200).collect()
}

fn hostile() -> Article {
    let mut hostile = article(Section::Sports, 1, 100, "published");
    hostile.title = hostile_title();
    hostile.content = Some("One ]]> <script>alert(1)</script>\n\nTwo &amp; three\u{0}.".to_owned());
    hostile.tags = vec!["a & b".to_owned(), "<c>".to_owned()];
    hostile.revised_at_ms = Some(150_000);
    hostile.corrections = vec![Correction {
        kind: "correction".to_owned(),
        text: "It was <Tuesday>.".to_owned(),
        at_ms: 150_000,
        version: 3,
    }];
    hostile
}

/// Returns the body of a feed.
async fn feed(service: &TestService, path: &str) -> Vec<u8> {
    let response = service.get(path).send_unread().await;
    assert_eq!(response.status(), 200, "{path}");
    response.into_body().collect().await.expect("a body").to_bytes().to_vec()
}

/// Returns what the independent reader reads.
fn read(feed: &[u8]) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/read_feed.py");
    let python = Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut python = python.expect("this test needs Python 3 (`python3`), the independent reader of feeds");
    python.stdin.take().expect("a pipe").write_all(feed).expect("the script reads it");
    let output = python.wait_with_output().expect("the script ends");
    assert!(output.status.success(), "not well formed: {}", String::from_utf8_lossy(feed));
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

#[tokio::test]
async fn a_strict_reader_reads_the_most_hostile_article_as_it_was_written() {
    let service = TestService::new().await;
    let id = service.section(Section::Sports).put(hostile());
    let title: String =
        hostile_title().chars().filter(|it| !matches!(it, '\u{202e}' | '\u{fffe}' | '\u{1b}')).collect();
    let html = "<p>One ]]&gt; &lt;script&gt;alert(1)&lt;/script&gt;</p><p>Two &amp;amp; three.</p>\
                <p>Correction, 1970-01-01: It was &lt;Tuesday&gt;.</p>";
    for (format, published) in [("rss", json!(100)), ("atom", json!("1970-01-01T00:01:40+00:00"))] {
        let read = read(&feed(&service, &format!("/feed.{format}?include=content")).await);
        assert_eq!(read["self"], format!("https://news.example/news/v1/feed.{format}"));
        assert_eq!(read["title"], "The Gazette");
        let entry = &read["entries"][0];
        assert_eq!(entry["title"], title, "{format}");
        assert_eq!(entry["html"], html, "{format}");
        assert_eq!(entry["id"], format!("tag:news-portal,2026:article/{id}"));
        assert_eq!(entry["url"], format!("https://news.example/news/v1/sports/{id}"));
        assert_eq!((&entry["author"], &entry["labels"]), (&json!("Ada Byron"), &json!(["a & b", "<c>"])));
        assert_eq!(entry["published"], published, "{format}");
        let updated = entry["updated"].as_str().expect("a time");
        assert!(updated.starts_with("1970-01-01T00:02:30"), "{updated}");
    }
    let json: Value =
        serde_json::from_slice(&feed(&service, "/feed.json?include=content").await).expect("JSON");
    let item = &json["items"][0];
    assert_eq!((&item["title"], &item["content_html"]), (&json!(title), &json!(html)));
    assert_eq!(
        (&json["version"], &item["date_modified"]),
        (&json!("https://jsonfeed.org/version/1.1"), &json!("1970-01-01T00:02:30.000Z"))
    );
    let correction = json!({"kind": "correction", "text": "It was <Tuesday>.", "at": "1970-01-01T00:02:30.000Z", "version": 3});
    assert_eq!(item["_corrections"], json!([correction]));
}

#[tokio::test]
async fn every_feed_has_its_entries_its_type_and_its_conditions() {
    let service = TestService::new().await;
    for section in Section::ALL {
        service.section(section).put(hostile_of(section));
    }
    let author = "00000000-0000-0000-0000-000000000001";
    for (path, entries) in [
        ("", 3),
        ("/sports", 1),
        ("/labels/A%20%26%20B", 3),
        (&*format!("/authors/{author}"), 3),
        ("/corrections", 3),
    ] {
        for (format, media_type) in FORMATS {
            let path = format!("{path}/feed.{format}");
            let answer = service.get(&path).send().await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, media_type), "{path}");
            assert_eq!(answer.header("last-modified"), "Thu, 01 Jan 1970 00:02:30 GMT", "{path}");
            let bytes = feed(&service, &path).await;
            let count = match format {
                "json" => answer.json["items"].as_array().map(Vec::len),
                _ => read(&bytes)["entries"].as_array().map(Vec::len),
            };
            assert_eq!(count, Some(entries), "{path}");
            let known = service.get(&path).header("if-none-match", answer.header("etag")).send().await;
            assert_eq!(known.status, 304, "{path}");
            // An entry that leaves takes the moment back, so a client that names a moment gets the feed.
            let since = service.get(&path).header("if-modified-since", "Thu, 01 Jan 1970 00:02:30 GMT");
            assert_eq!(since.send().await.status, 200, "{path}");
        }
    }
}

fn hostile_of(section: Section) -> Article {
    let id = article(section, 1, 100, "published").id;
    Article { id, section: section.to_string(), ..hostile() }
}

#[tokio::test]
async fn a_feed_asks_for_thirty_public_articles_and_says_what_is_wrong_with_a_request() {
    let service = TestService::new().await;
    feed(&service, "/sports/feed.rss").await;
    let request: ListArticlesRequest = service.section(Section::Sports).last("ListArticles");
    assert_eq!((request.limit, request.states), (30, Vec::new()));
    assert_eq!(service.get("/feed.rss?include=all").send().await.problem(), (422, "invalid"));
    assert_eq!(service.get("/gossip/feed.rss").send().await.problem(), (404, "unknown_type"));
    assert_eq!(service.get("/labels/%20/feed.rss").send().await.problem(), (422, "invalid"));
    assert_eq!(service.get("/feed.xml").send().await.status, 404);
}

#[tokio::test]
async fn a_feed_without_a_section_is_whole_again_when_the_section_is() {
    let service = TestService::new().await;
    let away = kernel::Refusal::new(kernel::Kind::Unavailable, "section_unavailable", "It is down.");
    service.section(Section::Sports).put(hostile());
    service.section(Section::Sports).behave(Behaviour::Refuse(away));
    let partial = service.get("/feed.json").send().await;
    assert_eq!((partial.status.as_u16(), partial.header("cache-control")), (200, "no-store"));
    assert_eq!(partial.json["items"], json!([]));
    service.section(Section::Sports).behave(Behaviour::Answer);
    assert_eq!(service.get("/feed.json").send().await.json["items"].as_array().map(Vec::len), Some(1));
}
