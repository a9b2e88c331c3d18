//! Roles that hold in one section.

use serde_json::{Value, json};
use testkit::Response;

use system_tests::{Account, Shape, World, scenarios, text_of};

scenarios! {
    on both shapes:
        an_editor_of_sports_does_everything_there_and_nothing_in_politics;
}

/// All changes of an article of another author, in an order in which each leads to the state that the next
/// one needs.
const TRANSITIONS: [&str; 7] = ["publish", "patch", "put", "unpublish", "restore", "delete", "undelete"];

async fn change(world: &World, what: &str, path: &str, version: u64, by: &Account) -> Response {
    let client = world.client();
    let text = json!({"title": "Another headline", "content": "And another text.", "tags": ["desk"]});
    let (call, body) = match what {
        "patch" => (client.patch(path), json!({"title": "Another headline"})),
        "put" => (client.put(path), text),
        "delete" => (client.delete(path), json!({})),
        "restore" => (client.post(&format!("{path}/restore")), json!({"version": 1})),
        step => (client.post(&format!("{path}/{step}")), json!({})),
    };
    call.token(&by.token).header("if-match", format!("\"v{version}\"")).json(&body).send().await
}

fn version(answer: &Response) -> Option<u64> {
    answer.header("etag")?.trim_matches(['"', 'v']).parse().ok()
}

/// Requests every transition of an article at this version. Each is refused with this status and code.
async fn refuses(world: &World, path: &str, at: u64, by: &Account, (status, code): (u16, &str)) {
    for what in TRANSITIONS {
        change(world, what, path, at, by).await.expect_problem(status, code);
    }
}

async fn an_editor_of_sports_does_everything_there_and_nothing_in_politics(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let editor = world.staff_of("sports", "vera", "editor", &admin).await;
    let path = |section: &str, draft: &Value| format!("/news/v1/{section}/{}", text_of(&draft["id"]));

    let sports = path("sports", &world.draft("sports", "A match", &["desk"], &admin).await);
    for (seen, what) in (1..).zip(TRANSITIONS) {
        let done = change(&world, what, &sports, seen, &editor).await.expect_status(200);
        assert_eq!(version(&done), Some(seen + 1), "{what}");
    }
    world.draft("sports", "Their own", &["desk"], &editor).await;

    let politics = path("politics", &world.draft("politics", "A law", &["desk"], &admin).await);
    let (there, hidden) = ((403, "role_required"), (404, "not_found"));
    // Staff of another section may not even know that an unpublished article exists.
    refuses(&world, &politics, 1, &editor, hidden).await;
    for (seen, what) in (1..).zip(TRANSITIONS) {
        change(&world, what, &politics, seen, &admin).await.expect_status(200);
        let is_public = ["publish", "patch", "put"].contains(&what);
        refuses(&world, &politics, seen + 1, &editor, if is_public { there } else { hidden }).await;
    }
    let body = json!({"title": "Their own", "content": "A text.", "tags": ["desk"]});
    for address in ["/news/v1/politics", "/news/v1/politics?publish=true"] {
        let call = world.client().post(address).token(&editor.token).json(&body);
        call.send().await.expect_problem(403, "role_required");
    }
    // Only the admin has changed the articles, and both are unpublished now.
    let last = TRANSITIONS.len() as u64 + 1;
    for path in [&politics, &sports] {
        let now = world.client().get(&format!("{path}?min_version={last}")).token(&admin.token).send().await;
        assert_eq!(version(&now.expect_status(200)), Some(last));
    }
    // Lists of unpublished articles contain those that they may change.
    let drafts = world.client().get("/news/v1/all?state=draft,unpublished&limit=100").token(&editor.token);
    let drafts = drafts.send().await.expect_status(200).json();
    let news = drafts["news"].as_array().expect("a list");
    assert!(!news.is_empty() && news.iter().all(|news| news["type"] == "sports"), "{drafts}");
}
