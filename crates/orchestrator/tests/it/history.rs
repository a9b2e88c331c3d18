//! The past of an article, and the ways back to it.

use kernel::{Kind, Refusal, Role, Section};
use proto::news::v1::command_request::Action;
use proto::news::v1::*;
use serde_json::{Value, json};

use crate::desk::{Mood, article};
use crate::world::{World, token};

fn published(world: &World) -> String {
    let desk = world.desk(Section::Sports);
    desk.put(article(Section::Sports, 1, 5, "published")).to_string()
}

#[tokio::test]
async fn a_history_comes_in_pages_that_name_the_next_one() {
    let world = World::new().await;
    let id = published(&world);
    let answer = world.get(&format!("/sports/{id}/history?limit=3")).send().await;
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
        let page = world.get(&path).send().await;
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
    assert_eq!(world.desk(Section::Sports).last::<GetHistoryRequest>("GetHistory").before, Some(2));
}

#[tokio::test]
async fn a_history_without_a_limit_looks_at_twenty_versions_and_a_bad_cursor_is_refused() {
    let world = World::new().await;
    let id = published(&world);
    let desk = world.desk(Section::Sports);
    assert_eq!(world.get(&format!("/sports/{id}/history")).send().await.status, 200);
    assert_eq!(desk.last::<GetHistoryRequest>("GetHistory").limit, 20);
    desk.forget();
    for bad in ["x", "YmVmb3Jl", "", "YmVmb3JlIC0x"] {
        let answer = world.get(&format!("/sports/{id}/history?cursor={bad}")).send().await;
        assert_eq!(
            (answer.problem(), answer.errors()),
            ((422, "bad_cursor"), vec![("/cursor", "bad_cursor")])
        );
    }
    assert!(desk.calls().is_empty());
}

#[tokio::test]
async fn a_version_is_shown_at_its_own_address_and_by_its_number_or_a_moment_of_the_article() {
    let world = World::new().await;
    let id = published(&world);
    let desk = world.desk(Section::Sports);
    for path in [format!("/sports/{id}/versions/3"), format!("/sports/{id}?version=3")] {
        let answer = world.get(&path).send().await;
        assert_eq!((answer.json["news"]["version"].as_u64(), answer.header("etag")), (Some(3), "\"v3\""));
        assert_eq!(
            answer.header("cache-control"),
            "public, max-age=5, stale-while-revalidate=30, stale-if-error=3600"
        );
        let asked = desk.last::<GetVersionRequest>("GetVersion");
        assert_eq!(asked.which, Some(get_version_request::Which::Version(3)));
        let known = world.get(&path).header("if-none-match", "\"v3\"").send().await;
        assert_eq!(known.status, 304);
        // A signed-in reader's copy stays with them.
        let own = world.get(&path).by(&token(Role::Reader)).send().await;
        assert_eq!(own.header("cache-control"), "private, no-cache");
    }
    let answer = world.get(&format!("/sports/{id}?at=2026-11-01T12:00:00.500Z")).send().await;
    assert_eq!(answer.json["news"]["version"], 5);
    let asked = desk.last::<GetVersionRequest>("GetVersion");
    assert_eq!(asked.which, Some(get_version_request::Which::AtMs(1_793_534_400_500)));
    let both = world.get(&format!("/sports/{id}?version=3&at=2026-11-01T12:00:00Z")).send().await;
    assert_eq!((both.problem(), both.errors()), ((422, "invalid"), vec![("/at", "excluded")]));
    for bad in ["/versions/x", "/versions/-1", "?version=x", "?at=yesterday"] {
        let answer = world.get(&format!("/sports/{id}{bad}")).send().await;
        assert!(answer.status.is_client_error(), "{bad}: {}", answer.status);
    }
}

#[tokio::test]
async fn a_version_that_was_not_public_is_never_in_a_shared_cache() {
    let world = World::new().await;
    let id = world.desk(Section::Sports).put(article(Section::Sports, 1, 0, "draft"));
    let answer = world.get(&format!("/sports/{id}/versions/3")).by(&token(Role::Editor)).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "private, no-cache"));
}

#[tokio::test]
async fn a_difference_is_a_list_of_runs_of_words() {
    let world = World::new().await;
    let id = published(&world);
    let path = format!("/sports/{id}/diff?from=1&to=3");
    let answer = world.get(&path).send().await;
    let expected = json!([
        {"op": "equal", "text": "It was ", "field": "content"},
        {"op": "delete", "text": "Monday", "field": "content"},
        {"op": "insert", "text": "Tuesday", "field": "content"},
    ]);
    assert_eq!(answer.json, expected);
    let asked = world.desk(Section::Sports).last::<DiffVersionsRequest>("DiffVersions");
    assert_eq!((asked.from, asked.to), (1, 3));
    let known = world.get(&path).header("if-none-match", answer.header("etag")).send().await;
    assert_eq!(known.status, 304);
    let answer = world.get(&format!("/sports/{id}/diff?from=1")).send().await;
    assert!(answer.status.is_client_error(), "{}", answer.status);
}

#[tokio::test]
async fn the_ways_back_name_what_was_seen_and_are_answered_with_the_article() {
    let world = World::new().await;
    let editor = token(Role::Editor);
    let id = published(&world);
    let desk = world.desk(Section::Sports);
    for (step, state) in [("unpublish", "unpublished"), ("undelete", "draft")] {
        let path = format!("/sports/{id}/{step}");
        let answer = world.ask("POST", &path).by(&editor).send().await;
        assert_eq!(answer.problem(), (428, "precondition_required"));
        for answer in [
            world.ask("POST", &path).by(&editor).header("if-match", "W/\"v7\"").send().await,
            world.ask("POST", &path).by(&editor).json(&json!({"version": 7})).send().await,
        ] {
            assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "\"v8\""));
            assert_eq!(answer.json["news"]["state"], state);
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
    // The version in this body is the one that comes back.
    let path = format!("/sports/{id}/restore");
    let answer = world.ask("POST", &path).by(&editor).json(&json!({"version": 3})).send().await;
    assert_eq!(answer.problem(), (428, "precondition_required"));
    let restore = world.ask("POST", &path).by(&editor).header("if-match", "\"v7\"");
    let answer = restore.json(&json!({"version": 3})).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "\"v8\""));
    let restore = Action::Restore(RestoreArticle { version: 3 });
    let expected = Some(Expected { any: false, versions: vec![7] });
    let request = CommandRequest { id: id.to_string(), expected, action: Some(restore) };
    assert_eq!(desk.last_command(), request);
}

#[tokio::test]
async fn an_illegal_step_says_where_the_article_stands_and_what_is_allowed() {
    let world = World::new().await;
    let id = published(&world);
    let refusal = Refusal::new(Kind::Conflict, "illegal_transition", "It can't.")
        .with("state", "published")
        .with("allowed", json!(["revise", "unpublish", "restore"]));
    world.desk(Section::Sports).set(Mood::Refusing(refusal));
    let undelete = world.ask("POST", &format!("/sports/{id}/undelete")).by(&token(Role::Editor));
    let answer = undelete.header("if-match", "*").send().await;
    assert_eq!(answer.problem(), (409, "illegal_transition"));
    assert_eq!(answer.json["state"], "published");
    assert_eq!(answer.json["allowed"], json!(["revise", "unpublish", "restore"]));
}
