//! The proof of an article's history, as an answer.

use kernel::Section;
use proto::news::v1::GetProofRequest;
use serde_json::{Value, json};

use crate::fake_section::article;
use crate::service::{TestService, token};

fn published(service: &TestService) -> String {
    service.section(Section::Sports).put(article(Section::Sports, 1, 5, "published")).to_string()
}

#[tokio::test]
async fn a_proof_comes_in_pages_that_name_the_next_one() {
    let service = TestService::new().await;
    let id = published(&service);
    let mut path = format!("/sports/{id}/proof?limit=3&include=record");
    let first = format!("</news/v1{path}>; rel=\"first\"");
    let mut versions = Vec::new();
    loop {
        let page = service.get(&path).send().await;
        assert_eq!((page.status.as_u16(), &page.json["page"]["limit"]), (200, &json!(3)));
        versions
            .extend(page.json["proof"].as_array().expect("links").iter().map(|link| link["version"].clone()));
        assert!(page.header("link").starts_with(&first), "{}", page.header("link"));
        let Value::String(cursor) = &page.json["page"]["next_cursor"] else { break };
        path = format!("/sports/{id}/proof?limit=3&include=record&cursor={cursor}");
        assert_eq!(page.header("link"), format!("{first}, </news/v1{path}>; rel=\"next\""));
    }
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7]);
    let request: GetProofRequest = service.section(Section::Sports).last("GetProof");
    assert_eq!((request.after, request.include_records), (Some(6), true));
}

#[tokio::test]
async fn records_come_only_on_request_and_a_hash_that_is_kept_back_is_null() {
    let service = TestService::new().await;
    let id = published(&service);
    let answer = service.get(&format!("/sports/{id}/proof")).send().await;
    let request: GetProofRequest = service.section(Section::Sports).last("GetProof");
    assert_eq!((request.limit, request.after, request.include_records), (20, None, false));
    let digits = |version: u32| format!("{version:064x}");
    assert_eq!(answer.json["proof"][0], json!({"version": 1, "hash": null, "previous": digits(0)}));
    assert_eq!(answer.json["proof"][1], json!({"version": 2, "hash": digits(2), "previous": null}));
    assert_eq!(answer.json["proof"][2], json!({"version": 3, "hash": digits(3), "previous": digits(2)}));
    let public = "public, max-age=5, stale-while-revalidate=30, stale-if-error=3600";
    assert_eq!(answer.header("cache-control"), public);
    let path = format!("/sports/{id}/proof?include=record");
    let with = service.get(&path).bearer(&token(kernel::Role::Editor)).send().await;
    assert_eq!(with.json["proof"][2]["record"], "{\"version\":3}");
    assert_eq!(with.json["proof"][1].get("record"), None);
    assert_eq!(with.header("cache-control"), "private, no-cache");
    let known = service.get(&path).header("if-none-match", with.header("etag")).send().await;
    assert_eq!(known.status, 304);
}

#[tokio::test]
async fn an_invalid_cursor_and_an_unknown_name_are_refused_before_the_section_is_asked() {
    let service = TestService::new().await;
    let id = published(&service);
    let history = service.get(&format!("/sports/{id}/history?limit=1")).send().await;
    let of_history = history.json["page"]["next_cursor"].as_str().expect("a cursor").to_owned();
    service.section(Section::Sports).clear_calls();
    for bad in ["x", "", "YWZ0ZXI", of_history.as_str()] {
        let answer = service.get(&format!("/sports/{id}/proof?cursor={bad}")).send().await;
        assert_eq!(answer.problem(), (422, "bad_cursor"), "{bad}");
    }
    let answer = service.get(&format!("/sports/{id}/proof?include=content")).send().await;
    assert_eq!((answer.problem(), answer.errors()), ((422, "invalid"), vec![("/include", "unknown_name")]));
    assert!(service.section(Section::Sports).calls().is_empty());
    let unknown = service.get("/sports/00000000-0000-0000-0000-0000000000ff/proof").send().await;
    assert_eq!(unknown.problem(), (404, "not_found"));
}
