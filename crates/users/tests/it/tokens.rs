//! Access tokens: the routes that need one, and the routes that ignore one.

use serde_json::json;

use crate::people::{ADMIN, Ask, PASSWORD, Users};

const INVALID_TOKEN: &str = "Bearer error=\"invalid_token\"";

/// Returns every request that begins, renews or ends a session, or reads a public document, with its expected
/// status.
fn lenient_requests(users: &Users, cookie: &str) -> Vec<(Ask, u16)> {
    let login = json!({"email": ADMIN, "password": PASSWORD});
    vec![
        (users.ask("POST", "/sessions").json(&login), 201),
        (users.ask("POST", "/sessions/refresh").cookie(cookie), 200),
        (users.ask("GET", "/.well-known/jwks.json"), 200),
        (users.ask("HEAD", "/healthcheck"), 200),
        (users.ask("GET", "/healthcheck"), 200),
        (users.ask("DELETE", "/sessions/current").cookie(cookie), 204),
    ]
}

#[tokio::test]
async fn an_invalid_token_blocks_neither_session_routes_nor_public_documents() {
    let users = Users::new().await;
    let expired = users.admin().await.token;
    users.pass(900);
    let (head, _) = expired.rsplit_once('.').expect("three parts");
    for token in [expired.clone(), format!("{head}.AAAA"), "abc".to_owned(), String::new()] {
        let admin = users.admin().await;
        for (ask, status) in lenient_requests(&users, &admin.cookie) {
            ask.header("authorization", &format!("Bearer {token}")).send().await.is(status);
        }
        // Other routes refuse it, public ones too, and the answer says that the token is the reason.
        let ann = json!({"name": "Ann", "email": "ann@example.org", "password": PASSWORD});
        for ask in [
            users.ask("GET", "/me"),
            users.ask("GET", &format!("/{}", admin.id)),
            users.ask("POST", "/").json(&ann),
            users.ask("DELETE", &format!("/{}/sessions", admin.id)),
        ] {
            let answer = ask.header("authorization", &format!("Bearer {token}")).send().await;
            assert_eq!(answer.refused(401, "invalid_token").header("www-authenticate"), INVALID_TOKEN);
        }
    }
}

#[tokio::test]
async fn a_scheme_other_than_bearer_counts_as_no_token() {
    let users = Users::new().await;
    let ann = json!({"name": "Ann", "email": "ann@example.org", "password": PASSWORD});
    let admin = users.admin().await;
    let basic = |ask: Ask| ask.header("authorization", "Basic dXNlcjpwYXNz");
    for (ask, status) in lenient_requests(&users, &admin.cookie) {
        basic(ask).send().await.is(status);
    }
    basic(users.ask("POST", "/").json(&ann)).send().await.is(201);
    let profile = basic(users.ask("GET", &format!("/{}", admin.id))).send().await.is(200);
    assert_eq!(profile.json["email"], serde_json::Value::Null, "only the public profile");
    let refused = basic(users.ask("GET", "/me")).send().await.refused(401, "unauthenticated");
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    // A token beside another scheme counts. Two tokens are refused.
    basic(users.ask("GET", "/me").by(&users.admin().await)).send().await.is(200);
    let (one, other) = (users.admin().await, users.admin().await);
    users.ask("GET", "/me").by(&one).by(&other).send().await.refused(401, "invalid_token");
}
