//! The history of an article, its old versions, and the commands that go back to them.

use kernel::{Kind, Refusal, Role, Section};
use proto::news::v1::command_request::Action;
use proto::news::v1::*;
use serde_json::{Value, json};

use crate::fake_section::{Behaviour, article};
use crate::service::{TestService, token};

fn published(service: &TestService) -> String {
    let section = service.section(Section::Sports);
    section.put(article(Section::Sports, 1, 5, "published")).to_string()
}

#[tokio::test]
async fn a_history_comes_in_pages_that_name_the_next_one() {
    let service = TestService::new().await;
    let id = published(&service);
    let answer = service.get(&format!("/sports/{id}/history?limit=3")).send().await;
    assert_eq!((answer.status.as_u16(), &answer.json["status"]), (200, &json!("success")));
    let step = json!({
        "version": 7, "event": "restored", "by": "00000000-0000-0000-0000-000000000002",
        "at": "1970-01-01T00:00:01.000Z", "changed": ["title"], "from": 1
    });
    assert_eq!(answer.json["history"][0], step);
    assert_eq!(
        answer.header("cache-control"),
        "public, max-age=5, stale-while-revalidate=30, stale-if-error=3600"
    );
    let mut versions: Vec<u64> = Vec::new();
    let mut path = format!("/sports/{id}/history?limit=3");
    loop {
        let page = service.get(&path).send().await;
        let steps = page.json["history"].as_array().expect("steps");
        versions.extend(steps.iter().filter_map(|step| step["version"].as_u64()));
        let Value::String(cursor) = &page.json["page"]["next_cursor"] else {
            assert_eq!(page.header("link"), "");
            assert_eq!(steps.last().expect("the first version").get("from"), None);
            break;
        };
        path = format!("/sports/{id}/history?limit=3&cursor={cursor}");
        assert_eq!(page.header("link"), format!("</news/v1{path}>; rel=\"next\""));
    }
    assert_eq!(versions, [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(service.section(Section::Sports).last::<GetHistoryRequest>("GetHistory").before, Some(2));
}

#[tokio::test]
async fn a_history_without_a_limit_examines_twenty_versions_and_an_invalid_cursor_is_refused() {
    let service = TestService::new().await;
    let id = published(&service);
    let section = service.section(Section::Sports);
    assert_eq!(service.get(&format!("/sports/{id}/history")).send().await.status, 200);
    assert_eq!(section.last::<GetHistoryRequest>("GetHistory").limit, 20);
    section.clear_calls();
    for bad in ["x", "YmVmb3Jl", "", "YmVmb3JlIC0x"] {
        let answer = service.get(&format!("/sports/{id}/history?cursor={bad}")).send().await;
        assert_eq!(
            (answer.problem(), answer.errors()),
            ((422, "bad_cursor"), vec![("/cursor", "bad_cursor")])
        );
    }
    assert!(section.calls().is_empty());
}

#[tokio::test]
async fn a_version_is_shown_at_its_own_address_and_by_its_number_or_a_moment_of_the_article() {
    let service = TestService::new().await;
    let id = published(&service);
    let section = service.section(Section::Sports);
    for path in [format!("/sports/{id}/versions/3"), format!("/sports/{id}?version=3")] {
        let answer = service.get(&path).send().await;
        assert_eq!((answer.json["news"]["version"].as_u64(), answer.header("etag")), (Some(3), "\"v3\""));
        assert_eq!(
            answer.header("cache-control"),
            "public, max-age=5, stale-while-revalidate=30, stale-if-error=3600"
        );
        let request = section.last::<GetVersionRequest>("GetVersion");
        assert_eq!(request.which, Some(get_version_request::Which::Version(3)));
        let known = service.get(&path).header("if-none-match", "\"v3\"").send().await;
        assert_eq!(known.status, 304);
        // The answer to a signed-in reader is private.
        let own = service.get(&path).bearer(&token(Role::Reader)).send().await;
        assert_eq!(own.header("cache-control"), "private, no-cache");
    }
    let answer = service.get(&format!("/sports/{id}?at=2026-11-01T12:00:00.500Z")).send().await;
    assert_eq!(answer.json["news"]["version"], 5);
    let request = section.last::<GetVersionRequest>("GetVersion");
    assert_eq!(request.which, Some(get_version_request::Which::AtMs(1_793_534_400_500)));
    let both = service.get(&format!("/sports/{id}?version=3&at=2026-11-01T12:00:00Z")).send().await;
    assert_eq!((both.problem(), both.errors()), ((422, "invalid"), vec![("/at", "excluded")]));
    for bad in ["/versions/x", "/versions/-1", "?version=x", "?at=yesterday"] {
        let answer = service.get(&format!("/sports/{id}{bad}")).send().await;
        assert!(answer.status.is_client_error(), "{bad}: {}", answer.status);
    }
}

#[tokio::test]
async fn a_version_that_was_not_public_is_never_in_a_shared_cache() {
    let service = TestService::new().await;
    let id = service.section(Section::Sports).put(article(Section::Sports, 1, 0, "draft"));
    let answer = service.get(&format!("/sports/{id}/versions/3")).bearer(&token(Role::Editor)).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "private, no-cache"));
}

#[tokio::test]
async fn a_comparison_is_a_list_of_runs_of_words() {
    let service = TestService::new().await;
    let id = published(&service);
    let path = format!("/sports/{id}/diff?from=1&to=3");
    let answer = service.get(&path).send().await;
    let expected = json!([
        {"op": "equal", "text": "It was ", "field": "content"},
        {"op": "delete", "text": "Monday", "field": "content"},
        {"op": "insert", "text": "Tuesday", "field": "content"},
    ]);
    assert_eq!(answer.json, expected);
    let request = service.section(Section::Sports).last::<DiffVersionsRequest>("DiffVersions");
    assert_eq!((request.from, request.to), (1, 3));
    let known = service.get(&path).header("if-none-match", answer.header("etag")).send().await;
    assert_eq!(known.status, 304);
    let answer = service.get(&format!("/sports/{id}/diff?from=1")).send().await;
    assert!(answer.status.is_client_error(), "{}", answer.status);
}

#[tokio::test]
async fn unpublish_restore_and_undelete_name_the_seen_version_and_return_the_article() {
    let service = TestService::new().await;
    let editor = token(Role::Editor);
    let id = published(&service);
    let section = service.section(Section::Sports);
    for (step, state) in [("unpublish", "unpublished"), ("undelete", "draft")] {
        let path = format!("/sports/{id}/{step}");
        let answer = service.request("POST", &path).bearer(&editor).send().await;
        assert_eq!(answer.problem(), (428, "precondition_required"));
        for answer in [
            service.request("POST", &path).bearer(&editor).header("if-match", "W/\"v7\"").send().await,
            service.request("POST", &path).bearer(&editor).json(&json!({"version": 7})).send().await,
        ] {
            assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "\"v8\""));
            assert_eq!(answer.json["news"]["state"], state);
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
    // The version in this body is the version to restore.
    let path = format!("/sports/{id}/restore");
    let answer = service.request("POST", &path).bearer(&editor).json(&json!({"version": 3})).send().await;
    assert_eq!(answer.problem(), (428, "precondition_required"));
    let restore = service.request("POST", &path).bearer(&editor).header("if-match", "\"v7\"");
    let answer = restore.json(&json!({"version": 3})).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "\"v8\""));
    let restore = Action::Restore(RestoreArticle { version: 3 });
    let expected = Some(Expected { any: false, versions: vec![7] });
    let request = CommandRequest { id: id.to_string(), expected, action: Some(restore) };
    assert_eq!(section.last_command(), request);
}

#[tokio::test]
async fn an_illegal_transition_names_the_state_and_the_allowed_commands() {
    let service = TestService::new().await;
    let id = published(&service);
    let refusal = Refusal::new(Kind::Conflict, "illegal_transition", "It can't.")
        .with("state", "published")
        .with("allowed", json!(["revise", "unpublish", "restore"]));
    service.section(Section::Sports).behave(Behaviour::Refuse(refusal));
    let undelete = service.request("POST", &format!("/sports/{id}/undelete")).bearer(&token(Role::Editor));
    let answer = undelete.header("if-match", "*").send().await;
    assert_eq!(answer.problem(), (409, "illegal_transition"));
    assert_eq!(answer.json["state"], "published");
    assert_eq!(answer.json["allowed"], json!(["revise", "unpublish", "restore"]));
}
