//! Bad input of every kind gets its status and code, and never a 500.

use serde_json::{Value, json};
use testkit::{PATIENCE, Response, wait_until};

use system_tests::{Account, PASSWORD, Shape, World, scenarios};

scenarios! {
    on both shapes:
        invalid_bodies_are_refused_with_the_name_of_the_fault,
        values_outside_their_rules_are_named_by_pointer,
        invalid_addresses_and_pages_are_refused_by_their_kind,
        a_write_that_names_no_version_or_an_old_one_is_refused,
        a_method_that_an_address_does_not_have_is_405_with_allow,
        operators_of_query_languages_are_plain_text;
}

async fn world_with_admin(shape: Shape) -> (World, Account) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    (world, admin)
}

fn pointers(answer: &Response) -> Vec<(String, String)> {
    let body = answer.json();
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    errors.iter().map(|error| (text(&error["pointer"]), text(&error["code"]))).collect()
}

async fn invalid_bodies_are_refused_with_the_name_of_the_fault(shape: Shape) {
    let (world, _) = world_with_admin(shape).await;
    let post = || world.client().post("/users/v1/");
    let json = |body: &str| post().header("content-type", "application/json").body(body.to_owned());
    json("{").send().await.expect_problem(400, "malformed_json");
    json("").send().await.expect_problem(400, "malformed_json");
    post().body("name=x").send().await.expect_problem(415, "unsupported_media_type");
    post()
        .header("content-type", "text/plain")
        .body("{}")
        .send()
        .await
        .expect_problem(415, "unsupported_media_type");
    let odd = json("{}").header("content-encoding", "br").send().await;
    odd.expect_problem(415, "unsupported_encoding");
    let large = json(&format!("{{\"name\":\"{}\"}}", "x".repeat(1_100_000))).send().await;
    large.expect_problem(413, "body_too_large");
    let deep = json(&format!("{}{}", "[".repeat(2_000), "]".repeat(2_000))).send().await.expect_status(422);
    assert_eq!(pointers(&deep), [(String::new(), "too_deep".to_owned())]);
    let body =
        json!({"name": "Ada", "email": "a@example.org", "password": PASSWORD, "role": "admin", "id": "1"});
    let unknown = post().json(&body).send().await.expect_status(422);
    let found = pointers(&unknown);
    assert!(found.contains(&("/role".to_owned(), "unknown_field".to_owned())), "{found:?}");
    assert!(found.contains(&("/id".to_owned(), "unknown_field".to_owned())), "{found:?}");
}

async fn values_outside_their_rules_are_named_by_pointer(shape: Shape) {
    let (world, admin) = world_with_admin(shape).await;
    let good = json!({"name": "Ada", "email": "ada@example.org", "password": PASSWORD});
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("a\u{0}b")),
        ("name", json!("x".repeat(101))),
        ("email", json!("no-address")),
        ("email", json!(format!("{}@example.org", "x".repeat(250)))),
        ("password", json!("short")),
        ("password", json!("12345678")),
        ("password", json!("x".repeat(129))),
        ("name", json!(5)),
    ] {
        let mut body = good.clone();
        body[field] = value.clone();
        let answer = world.client().post("/users/v1/").json(&body).send().await.expect_status(422);
        let found = pointers(&answer);
        assert!(
            found.iter().any(|(pointer, _)| *pointer == format!("/{field}")),
            "{field} {value} {found:?}"
        );
    }
    let good = json!({"title": "T", "content": "C", "tags": ["a"]});
    for (field, value) in [
        ("title", json!("")),
        ("title", json!("x".repeat(201))),
        ("title", json!("nul\u{0}")),
        ("content", json!("x".repeat(500_001))),
        ("tags", json!(["x".repeat(51)])),
        ("tags", json!((0..21).map(|n| n.to_string()).collect::<Vec<_>>())),
        ("author", json!("x".repeat(51))),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let call = world.client().post("/news/v1/sports").token(&admin.token).json(&body);
        let found = pointers(&call.send().await.expect_status(422));
        assert!(
            found.iter().any(|(pointer, _)| pointer.starts_with(&format!("/{field}"))),
            "{field} {found:?}"
        );
    }
}

async fn invalid_addresses_and_pages_are_refused_by_their_kind(shape: Shape) {
    let (world, admin) = world_with_admin(shape).await;
    for (path, status, code) in [
        ("/nowhere", 404, "not_found"),
        ("/news/v1/labels/1/10", 404, "unknown_type"),
        ("/news/v1/weather/0190b2c4-0000-7000-8000-000000000000", 404, "unknown_type"),
        ("/news/v1/sports/0190b2c4-0000-7000-8000-000000000000", 404, "not_found"),
        ("/news/v1/sports/not-an-id", 404, "not_found"),
        ("/news/v1/all/0/10", 422, "invalid"),
        ("/news/v1/all/1/0", 422, "invalid"),
        ("/news/v1/all/1/101", 422, "invalid"),
        ("/news/v1/sports/101/100", 422, "invalid"),
        ("/news/v1/all/one/10", 400, "malformed_path"),
        ("/news/v1/all/-1/10", 422, "invalid"),
        ("/news/v1/all/99999999999999/10", 422, "invalid"),
        ("/users/v1/not-an-id", 404, "not_found"),
        ("/users/v1/all?count=many", 422, "invalid"),
        ("/users/v1/all?cuont=1", 422, "unknown_parameter"),
        ("/news/v1/all?limit=ten", 422, "invalid"),
        ("/news/v1/all?lable=x", 422, "unknown_parameter"),
        ("/news/v1/all?label=%FF", 400, "malformed_query"),
        ("/news/v1/all?from=2026-11-21T08:00:00+01:00&_=1&utm_source=x", 200, ""),
        ("/news/v1/sports/%7B0190b2c4-0000-7000-8000-000000000000%7D", 404, "not_found"),
        ("/recommendation/v1/label/x?view=odd", 422, "unknown_parameter"),
    ] {
        let answer = world.client().get(path).token(&admin.token).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}: {answer}");
    }
    let answer = world.client().get("/users/v1/all?count=101").token(&admin.token).send().await;
    answer.expect_status(422);
}

async fn a_write_that_names_no_version_or_an_old_one_is_refused(shape: Shape) {
    let (world, admin) = world_with_admin(shape).await;
    let draft = world.draft("famous", "A draft", &["film"], &admin).await;
    let path = format!("/news/v1/famous/{}", draft["id"].as_str().expect("an id"));
    let title = json!({"title": "Another"});
    let patch = || world.client().patch(&path).token(&admin.token).json(&title);
    patch().send().await.expect_problem(428, "precondition_required");
    patch().header("if-match", "W/\"v1\"").send().await.expect_status(200);
    let stale = patch().header("if-match", "\"v1\"").send().await.expect_status(412);
    assert_eq!((stale.header("etag"), &stale.json()["current_version"]), (Some("\"v2\""), &2.into()));
    patch().header("if-match", "*").send().await.expect_status(200);
    world
        .client()
        .delete(&path)
        .token(&admin.token)
        .send()
        .await
        .expect_problem(428, "precondition_required");
    let account = format!("/users/v1/{}", admin.id);
    let rename = world.client().patch(&account).token(&admin.token).json(&json!({"name": "A"}));
    rename.send().await.expect_problem(428, "precondition_required");
}

async fn a_method_that_an_address_does_not_have_is_405_with_allow(shape: Shape) {
    let (world, admin) = world_with_admin(shape).await;
    let id = world.published("sports", "A final", &["tennis"], &admin).await;
    let publish = world.client().get(&format!("/news/v1/sports/{id}/publish")).send().await;
    let publish = publish.expect_problem(405, "method_not_allowed");
    assert_eq!(publish.header("allow"), Some("POST"));
    world.client().patch("/users/v1/sessions").send().await.expect_status(405);
}

async fn operators_of_query_languages_are_plain_text(shape: Shape) {
    let (world, admin) = world_with_admin(shape).await;
    for odd in [
        "'; drop table users; --",
        "{\"$gt\": \"\"}",
        "') detach delete n //",
        "%00",
        "../../etc/passwd",
        "<script>",
    ] {
        let body = json!({"title": odd, "content": odd, "tags": [odd]});
        let answer = world.client().post("/news/v1/famous").token(&admin.token).json(&body).send().await;
        let answer = answer.expect_status(201).json();
        assert_eq!((&answer["news"]["title"], &answer["news"]["tags"][0]), (&odd.into(), &odd.into()));
        let path = format!("/recommendation/v1/label/{}", urlencoded(odd));
        // The first query of a server that has just started may take longer than its budget.
        let readers = wait_until("the readers of a label", PATIENCE, || async {
            let readers = world.client().get(&path).token(&admin.token).send().await;
            (readers.status != 503).then_some(readers)
        });
        let readers = readers.await;
        assert!(readers.status < 500, "{readers}");
    }
    let forged = world.client().get("/users/v1/all").header("authorization", "Bearer x.y.z").send().await;
    forged.expect_problem(401, "invalid_token");
    let cookie = world
        .client()
        .get("/users/v1/all")
        .header("cookie", "user_id=1")
        .header("x-user-id", "1")
        .send()
        .await;
    cookie.expect_problem(401, "unauthenticated");
}

fn urlencoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
