//! Public corrections: of one article, and of the whole portal.

use kernel::Section;
use proto::news::v1::{Article, Correction, ListCorrectionsRequest};
use serde_json::{Value, json};

use crate::fake_section::{Behaviour, article};
use crate::service::TestService;

/// A published article that was corrected at these seconds.
fn corrected(section: Section, number: u32, seconds: &[i64]) -> Article {
    let mut corrected = article(section, number, 5, "published");
    corrected.corrections = (3..)
        .zip(seconds)
        .map(|(version, second)| Correction {
            kind: "correction".to_owned(),
            text: format!("It was at {second}."),
            at_ms: second * 1_000,
            version,
        })
        .collect();
    corrected
}

async fn service() -> TestService {
    let service = TestService::new().await;
    for (section, number, seconds) in [
        (Section::Famous, 1, vec![10, 40]),
        (Section::Politics, 2, vec![20, 40]),
        (Section::Sports, 3, vec![30]),
    ] {
        service.section(section).put(corrected(section, number, &seconds));
    }
    service
}

fn texts(json: &Value) -> Vec<String> {
    let corrections = json["corrections"].as_array().expect("corrections");
    corrections.iter().map(|each| each["text"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn the_corrections_of_all_sections_come_in_one_order() {
    let service = service().await;
    let answer = service.get("/corrections").send().await;
    assert_eq!((answer.status.as_u16(), &answer.json["partial"]), (200, &json!(false)));
    let expected = ["It was at 40.", "It was at 40.", "It was at 30.", "It was at 20.", "It was at 10."];
    assert_eq!(texts(&answer.json), expected);
    let newest = &answer.json["corrections"][0];
    assert_eq!((&newest["type"], &newest["kind"]), (&json!("politics"), &json!("correction")));
    assert_eq!((&newest["at"], &newest["version"]), (&json!("1970-01-01T00:00:40.000Z"), &json!(4)));
    assert_eq!(answer.json["page"], json!({"limit": 10, "next_cursor": null}));
    let public = "public, max-age=5, stale-while-revalidate=30, stale-if-error=3600";
    assert_eq!(answer.header("cache-control"), public);
}

#[tokio::test]
async fn pages_join_without_a_gap_and_only_within_their_own_list() {
    let service = service().await;
    let all = texts(&service.get("/corrections").send().await.json);
    for limit in 1..=5 {
        let (mut joined, mut path) = (Vec::new(), format!("/corrections?limit={limit}"));
        loop {
            let page = service.get(&path).send().await;
            assert_eq!(page.status, 200);
            joined.extend(texts(&page.json));
            let Value::String(cursor) = &page.json["page"]["next_cursor"] else { break };
            path = format!("/corrections?limit={limit}&cursor={cursor}");
            assert!(page.header("link").ends_with(&format!("</news/v1{path}>; rel=\"next\"")));
        }
        assert_eq!(joined, all, "pages of {limit}");
    }
    let page = service.get("/corrections?limit=1").send().await;
    let cursor = page.json["page"]["next_cursor"].as_str().expect("a cursor");
    for other in ["type=famous", "kind=note", "from=2026-01-01T00:00:00Z"] {
        let answer = service.get(&format!("/corrections?{other}&cursor={cursor}")).send().await;
        assert_eq!(answer.problem(), (422, "bad_cursor"));
    }
}

#[tokio::test]
async fn a_filter_names_a_section_a_kind_and_times() {
    let service = service().await;
    let answer =
        service.get("/corrections?type=famous&kind=correction&from=1970-01-01T00:00:11Z").send().await;
    assert_eq!(answer.status, 200);
    let request: ListCorrectionsRequest = service.section(Section::Famous).last("ListCorrections");
    assert_eq!(
        (request.kind.as_deref(), request.from_ms, request.to_ms),
        (Some("correction"), Some(11_000), None)
    );
    assert!(service.section(Section::Sports).calls().is_empty());
    let answer = service.get("/corrections?type=gossip&limit=0&from=soon").send().await;
    assert_eq!(answer.problem(), (422, "invalid"));
    let expected = [("/limit", "out_of_range"), ("/type", "unknown_name"), ("/from", "not_a_time")];
    assert_eq!(answer.errors(), expected);
}

#[tokio::test]
async fn a_section_that_is_unavailable_is_missing_from_the_whole_walk() {
    let service = service().await;
    let away = kernel::Refusal::new(kernel::Kind::Unavailable, "section_unavailable", "It is down.");
    service.section(Section::Sports).behave(Behaviour::Refuse(away));
    let page = service.get("/corrections?limit=2").send().await;
    assert_eq!((&page.json["partial"], &page.json["missing"]), (&json!(true), &json!(["sports"])));
    assert_eq!(page.header("cache-control"), "no-store");
    service.section(Section::Sports).behave(Behaviour::Answer);
    let cursor = page.json["page"]["next_cursor"].as_str().expect("a cursor");
    let next = service.get(&format!("/corrections?limit=2&cursor={cursor}")).send().await;
    assert_eq!(next.json["missing"], json!(["sports"]));
    assert_eq!(texts(&next.json), ["It was at 20.", "It was at 10."]);
}

#[tokio::test]
async fn an_article_shows_its_corrections_oldest_first() {
    let service = TestService::new().await;
    let id = service.section(Section::Sports).put(corrected(Section::Sports, 1, &[10, 20]));
    let answer = service.get(&format!("/sports/{id}/corrections")).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(texts(&answer.json), ["It was at 10.", "It was at 20."]);
    let unknown = service.get("/sports/00000000-0000-0000-0000-0000000000ff/corrections").send().await;
    assert_eq!(unknown.problem(), (404, "not_found"));
}
