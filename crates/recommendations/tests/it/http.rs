//! The rules of every route, as far as they concern these two.

use ::http::Method;
use kernel::Role;

use crate::world::{MINUTE, World, user};

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_of_every_kind_has_its_status_and_code() {
    let world = World::new().await;
    let long = format!("/label/{}", "x".repeat(51));
    for (path, status, code) in [
        ("/user/7", 404, "not_found"),
        ("/user/00000000-0000-0000-0000-00000000000g", 404, "not_found"),
        ("/user/%ff", 400, "bad_request"),
        ("/label/a%00b", 422, "invalid"),
        ("/label/%20", 422, "invalid"),
        ("/label/%ff", 400, "bad_request"),
        (long.as_str(), 422, "invalid"),
        ("/label/", 404, "not_found"),
        ("/nowhere", 404, "not_found"),
    ] {
        let answer = world.admin_gets(path).await;
        assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (status, Some(code)), "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{path}");
        assert!(answer.headers.contains_key("x-request-id"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_label_is_told() {
    let world = World::new().await;
    let long = "x".repeat(51);
    for (label, code) in [("a%00b", "control_character"), ("%20", "empty"), (long.as_str(), "too_long")] {
        let errors = world.admin_gets(&format!("/label/{label}")).await.body["errors"].clone();
        assert_eq!((&errors[0]["pointer"], &errors[0]["code"]), (&"/label".into(), &code.into()), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_method_is_405_and_names_those_there_are() {
    let world = World::new().await;
    let token = world.token(user(1), Role::Admin);
    let answer = world.ask(Method::POST, "/label/budget", Some(&token)).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (405, &"method_not_allowed".into()));
    assert_eq!(answer.headers["allow"], "GET,HEAD");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_over_or_forged_is_401_and_no_cookie_or_header_stands_in_for_it() {
    let world = World::new().await;
    let (anna, path) = (user(1), format!("/user/{}", user(1)));
    let token = world.token(anna, Role::Reader);
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    let answer = world.ask(Method::GET, &path, Some(&forged)).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (401, &"invalid_token".into()));
    for (name, value) in [("cookie", format!("user_id={anna}")), ("x-user-id", anna.to_string())] {
        let answer = world.ask_with(Method::GET, &path, &[(name, &value)]).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["code"]),
            (401, &"unauthenticated".into()),
            "{name}"
        );
    }
    world.later(MINUTE * 15);
    let answer = world.ask(Method::GET, &path, Some(&token)).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (401, &"invalid_token".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_of_every_script_and_with_every_sign_are_found() {
    let world = World::new().await;
    let anna = user(1);
    world.hears(vec![world.said(anna, true, 1, 0)]).await;
    let labels = ["Fußball/Bundesliga", "選挙", "100 %", "' or 1=1 --"];
    world.hears(vec![world.read(anna, 1, 0, &labels)]).await;
    assert_eq!(world.labels(anna).await.len(), labels.len());
    for path in ["Fu%C3%9Fball%2FBundesliga", "%E9%81%B8%E6%8C%99", "100%20%25", "'%20or%201=1%20--"] {
        let answer = world.admin_gets(&format!("/label/{path}")).await;
        assert_eq!(answer.body, serde_json::json!([{ "id": anna }]), "{path}");
    }
    assert_eq!(world.admin_gets("/label/%27%20or%20%271").await.body, serde_json::json!([]));
}
