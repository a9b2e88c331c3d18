use serde_json::json;

use crate::people::{PASSWORD, Users};

#[tokio::test]
async fn a_registration_is_answered_with_the_account_without_password() {
    let users = Users::new().await;
    let answer = users.register("Ann O’Hara", "Ann@Example.org").await.is(201);
    let id = answer.json["id"].as_str().expect("an id").to_owned();
    assert_eq!(answer.header("location"), format!("/users/v1/{id}"));
    assert_eq!(answer.header("etag"), "\"v1\"");
    let expected = json!({
        "id": id, "name": "Ann O’Hara", "email": "Ann@Example.org", "role": "reader", "sections": null,
        "created_at": "2025-11-21T08:00:00.123Z", "version": 1,
    });
    assert_eq!(answer.json, expected);
    assert_eq!(id.as_bytes()[14], b'7', "ids are UUIDs of version 7");
}

#[tokio::test]
async fn an_account_can_log_in_and_be_read_before_and_after_the_worker() {
    let users = Users::new().await;
    let id = users.register("Ann", "ann@example.org").await.is(201).json["id"].clone();
    for _ in 0..2 {
        let ann = users.person("ANN@example.org").await;
        assert_eq!(id, ann.id);
        let me = users.ask("GET", "/me").by(&ann).send().await.is(200);
        assert_eq!((&me.json["id"], &me.json["version"]), (&id, &json!(1)));
        users.settle().await;
    }
}

#[tokio::test]
async fn an_email_is_taken_from_the_moment_of_the_answer_in_any_case_of_letters() {
    let users = Users::new().await;
    users.register("Ann", "ann@example.org").await.is(201);
    users.register("Eve", "ANN@Example.ORG").await.refused(409, "email_taken");
    users.settle().await;
    users.register("Eve", "Ann@example.org").await.refused(409, "email_taken");
}

#[tokio::test]
async fn all_fields_that_break_a_rule_are_named_together() {
    let users = Users::new().await;
    let body = json!({"name": " ", "email": "not an address", "password": "short"});
    let answer = users.ask("POST", "/").json(&body).send().await.refused(422, "invalid");
    let pair = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
    let expected = [pair("/name", "empty"), pair("/email", "invalid_email"), pair("/password", "too_short")];
    assert_eq!(answer.faults(), expected);
}

#[tokio::test]
async fn bad_input_of_every_kind_has_its_status_and_code_and_is_never_a_500() {
    let users = Users::new().await;
    let with = |field: &str, value: serde_json::Value| {
        let mut body = json!({"name": "Ann", "email": "ann@example.org", "password": PASSWORD});
        body[field] = value;
        body
    };
    let cases = [
        (with("role", json!("admin")), "/role", "unknown_field"),
        (with("id", json!(1)), "/id", "unknown_field"),
        (with("name", json!("a\u{0}b")), "/name", "control_character"),
        (with("name", json!("x".repeat(101))), "/name", "too_long"),
        (with("email", json!(format!("{}@example.org", "a".repeat(250)))), "/email", "too_long"),
        (with("email", json!({"$ne": null})), "/email", "invalid_value"),
        (with("password", json!("12345678")), "/password", "common_password"),
        (with("password", json!("x".repeat(129))), "/password", "too_long"),
        (with("password", json!("with\u{0}a null")), "/password", "control_character"),
    ];
    for (body, pointer, code) in cases {
        let answer = users.ask("POST", "/").json(&body).send().await.refused(422, "invalid");
        assert_eq!(answer.faults(), [(pointer.to_owned(), code.to_owned())], "{body}");
    }
    users.ask("POST", "/").header("content-type", "text/plain").send().await.is(415);
    users.ask("POST", "/").header("content-type", "application/json").send().await.is(400);
    users.ask("PUT", "/").send().await.is(405);
}

#[tokio::test]
async fn text_is_returned_exactly_as_it_was_sent() {
    let users = Users::new().await;
    let name = " <b>Robert'); drop table users;--</b> \u{202b}שלום\u{202c} ";
    let answer = users.register(name, "bobby.o'tables+x@example.org").await.is(201);
    assert_eq!(answer.json["name"], name);
    users.settle().await;
    let again = users.ask("GET", "/me").by(&users.person("bobby.o'tables+x@example.org").await).send().await;
    assert_eq!(again.is(200).json["name"], name);
}
