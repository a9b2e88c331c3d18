//! The rules that hold on every route, for the routes of this service.

use ::http::Method;
use kernel::Role;

use crate::fake_users::Behaviour;
use crate::service::{MINUTE, TestService, user};

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_invalid_input_has_its_status_and_code() {
    let service = TestService::new().await;
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
        let answer = service.get_as_admin(path).await;
        assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (status, Some(code)), "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{path}");
        assert!(answer.headers.contains_key("x-request-id"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_label_is_refused_with_the_fault() {
    let service = TestService::new().await;
    let long = "x".repeat(51);
    for (label, code) in [("a%00b", "control_character"), ("%20", "empty"), (long.as_str(), "too_long")] {
        let errors = service.get_as_admin(&format!("/label/{label}")).await.body["errors"].clone();
        assert_eq!((&errors[0]["pointer"], &errors[0]["code"]), (&"/label".into(), &code.into()), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_sees_the_labels_of_another_reader_only_if_users_has_recorded_it() {
    let service = TestService::new().await;
    let token = service.token(user(2), Role::Admin);
    let look =
        async |reader| service.request(Method::GET, &format!("/user/{}", user(reader)), Some(&token)).await;
    assert_eq!(look(1).await.status, 200);
    assert_eq!(service.users.views().len(), 1);
    // One's own labels are nothing to record.
    assert_eq!(look(2).await.status, 200);
    assert_eq!(service.users.views().len(), 1);
    service.users.behave(Behaviour::Unavailable);
    let refused = look(1).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (503, &"users_unavailable".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_method_is_405_and_names_the_allowed_methods() {
    let service = TestService::new().await;
    let token = service.token(user(1), Role::Admin);
    let answer = service.request(Method::POST, "/label/budget", Some(&token)).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (405, &"method_not_allowed".into()));
    assert_eq!(answer.headers["allow"], "GET,HEAD");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_or_forged_token_is_401_and_no_cookie_or_header_replaces_a_token() {
    let service = TestService::new().await;
    let (anna, path) = (user(1), format!("/user/{}", user(1)));
    let token = service.token(anna, Role::Reader);
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    let answer = service.request(Method::GET, &path, Some(&forged)).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (401, &"invalid_token".into()));
    for (name, value) in [("cookie", format!("user_id={anna}")), ("x-user-id", anna.to_string())] {
        let answer = service.request_with(Method::GET, &path, &[(name, &value)]).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["code"]),
            (401, &"unauthenticated".into()),
            "{name}"
        );
    }
    service.advance(MINUTE * 15);
    let answer = service.request(Method::GET, &path, Some(&token)).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (401, &"invalid_token".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_in_any_script_and_with_any_punctuation_are_found() {
    let service = TestService::new().await;
    let anna = user(1);
    service.deliver(vec![service.consent_event(anna, true, 1, 0)]).await;
    let labels = ["Fußball/Bundesliga", "選挙", "100 %", "' or 1=1 --"];
    service.deliver(vec![service.reading_event(anna, 1, 0, &labels)]).await;
    assert_eq!(service.labels(anna).await.len(), labels.len());
    for path in ["Fu%C3%9Fball%2FBundesliga", "%E9%81%B8%E6%8C%99", "100%20%25", "'%20or%201=1%20--"] {
        let answer = service.get_as_admin(&format!("/label/{path}")).await;
        assert_eq!(answer.body, serde_json::json!([{ "id": anna }]), "{path}");
    }
    assert_eq!(service.get_as_admin("/label/%27%20or%20%271").await.body, serde_json::json!([]));
}
