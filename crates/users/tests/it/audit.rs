//! The audit over HTTP and gRPC.

use serde_json::{Value, json};

use crate::people::{ADMIN, PASSWORD, Person, Users};

fn kinds(answer: &Value) -> Vec<&str> {
    let entries = answer["entries"].as_array().expect("entries");
    entries.iter().rev().map(|entry| entry["kind"].as_str().expect("a kind")).collect()
}

async fn own(users: &Users, person: &Person) -> Value {
    users.ask("GET", &format!("/{}/audit", person.id)).by(person).send().await.is(200).json
}

#[tokio::test]
async fn a_person_sees_what_was_done_to_the_account_by_whom_and_from_which_network() {
    let users = Users::new().await;
    let admin = users.admin().await;
    users.register("Ann", "ann@example.org").await.is(201);
    let login = json!({"email": "ann@example.org", "password": PASSWORD});
    let login = users.ask("POST", "/sessions").from("203.0.113.77").json(&login).send().await.is(201);
    let ann = Person::of(&login);
    let roles = users.ask("PUT", &format!("/{}/roles", ann.id)).by(&admin).from("2001:db8:7:8::9");
    roles.json(&json!({"role": "author"})).send().await.is(200);
    let consent = json!({"personalisation": true, "history": false});
    users.ask("PUT", &format!("/{}/consent", ann.id)).by(&ann).json(&consent).send().await.is(200);
    let change =
        json!({"email": "anna@example.org", "password": "another battery", "current_password": PASSWORD});
    let path = format!("/{}", ann.id);
    users.ask("PATCH", &path).by(&ann).header("if-match", "*").json(&change).send().await.is(200);
    let answer = own(&users, &ann).await;
    let expected =
        ["session_begun", "role_author", "personalisation_allowed", "email_changed", "password_changed"];
    assert_eq!(kinds(&answer), expected);
    let entries = answer["entries"].as_array().expect("entries");
    let (begun, role) = (&entries[4], &entries[3]);
    assert_eq!((&begun["actor"], &begun["address"]), (&json!(ann.id), &json!("203.0.113.0/24")));
    assert_eq!((&role["actor"], &role["address"]), (&json!(admin.id), &json!("2001:db8:7::/48")));
    assert_eq!((&role["subject"], &role["at"]), (&json!(ann.id), &json!("2025-11-21T08:00:00.123Z")));
    assert_eq!(begun.as_object().expect("an object").len(), 5, "an entry has no free text: {begun}");
    assert_eq!(answer["next_cursor"], Value::Null);
}

#[tokio::test]
async fn each_way_to_end_a_session_leaves_an_entry() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    // By the cookie alone, by id, all of them, and by a token that is used twice.
    let by_cookie = users.person("ann@example.org").await;
    users.ask("DELETE", "/sessions/current").cookie(&by_cookie.cookie).send().await.is(204);
    let by_id = users.person("ann@example.org").await;
    let session = by_id.claims()["sid"].as_str().expect("a session").to_owned();
    users.ask("DELETE", &format!("/{}/sessions/{session}", ann.id)).by(&ann).send().await.is(204);
    users.ask("DELETE", &format!("/{}/sessions", ann.id)).by(&ann).send().await.is(204);
    let stolen = users.person("ann@example.org").await;
    users.refresh(&stolen.cookie).await.is(200);
    users.pass(11);
    users.refresh(&stolen.cookie).await.refused(401, "invalid_refresh_token");
    let ann = users.person("ann@example.org").await;
    let answer = own(&users, &ann).await;
    let ended: Vec<&Value> = answer["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .filter(|entry| entry["kind"] == "session_ended")
        .map(|entry| &entry["actor"])
        .collect();
    let ann = json!(ann.id);
    assert_eq!(ended, [&Value::Null, &ann, &ann, &ann]);
}

#[tokio::test]
async fn an_admin_filters_the_audit_and_walks_through_it() {
    let users = Users::new().await;
    let admin = users.admin().await;
    let (ann, _bob) =
        (users.reader("ann@example.org").await, users.with_role("bob@example.org", "author").await);
    let get = async |query: &str| users.ask("GET", &format!("/audit{query}")).by(&admin).send().await;
    assert_eq!(get("?kind=role_author").await.is(200).json["entries"].as_array().expect("entries").len(), 1);
    let about = get(&format!("?subject={}&kind=session_begun", ann.id)).await.is(200).json;
    assert_eq!(kinds(&about), ["session_begun"]);
    let of = get(&format!("?actor={}&kind=role_author", admin.id)).await.is(200).json;
    assert_eq!(kinds(&of), ["role_author"]);
    let all = get("?limit=100").await.is(200).json;
    let total = all["entries"].as_array().expect("entries").len();
    let (mut walked, mut page) = (Vec::new(), get("?limit=2").await.is(200));
    loop {
        walked.extend(page.json["entries"].as_array().expect("entries").clone());
        let Some(cursor) = page.json["next_cursor"].as_str().map(str::to_owned) else { break };
        let next = format!("</users/v1/audit?limit=2&cursor={cursor}>; rel=\"next\"");
        assert!(page.header("link").ends_with(&next), "{}", page.header("link"));
        page = get(&format!("?limit=2&cursor={cursor}")).await.is(200);
    }
    assert_eq!((json!(walked), walked.len()), (all["entries"].clone(), total));
    let cursor = get("?limit=1").await.json["next_cursor"].as_str().expect("a cursor").to_owned();
    get(&format!("?kind=erased&cursor={cursor}")).await.refused(422, "bad_cursor");
    get("?cursor=nonsense").await.refused(422, "bad_cursor");
    let faults = get("?limit=0&kind=king&actor=x&from=yesterday").await.refused(422, "invalid").faults();
    let pointers: Vec<&str> = faults.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/limit", "/actor", "/from", "/kind"]);
    users.ask("GET", &format!("/{}/audit?limit=101", ann.id)).by(&ann).send().await.refused(422, "invalid");
}

#[tokio::test]
async fn entries_are_deleted_after_400_days() {
    let users = Users::new().await;
    let admin = users.admin().await;
    users.reader("ann@example.org").await;
    users.pass(399 * 86_400);
    users.settle().await;
    users.reader("bob@example.org").await;
    assert_eq!(users.rows("users.db", "select count(*) from audit").await, 4);
    users.pass(2 * 86_400);
    users.settle().await;
    assert_eq!(users.rows("users.db", "select count(*) from audit").await, 1);
    users.ask("GET", &format!("/{}/audit", admin.id)).by(&users.admin().await).send().await.is(200);
    assert_eq!(ADMIN, "admin@example.org");
}

#[tokio::test]
async fn an_erased_person_leaves_entries_without_a_network() {
    let users = Users::new().await;
    let admin = users.admin().await;
    users.register("Ann", "ann@example.org").await.is(201);
    let login = json!({"email": "ann@example.org", "password": PASSWORD});
    let login = users.ask("POST", "/sessions").from("203.0.113.77").json(&login).send().await.is(201);
    let ann = Person::of(&login);
    users.ask("DELETE", &format!("/{}", ann.id)).by(&ann).from("203.0.113.77").send().await.is(202);
    let path = format!("/{}/audit", ann.id);
    let answer = users.ask("GET", &path).by(&admin).send().await.is(200);
    assert_eq!(kinds(&answer.json), ["session_begun", "erased"]);
    assert!(!answer.text.contains("203.0.113"), "{}", answer.text);
    // The account is gone, and so is its right to read.
    users.ask("GET", &path).by(&ann).send().await.refused(401, "invalid_token");
}
