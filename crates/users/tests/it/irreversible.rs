//! Operations that can't be undone need more than an access token: a live session, and for an erasure the
//! password.

use serde_json::{Value, json};

use crate::people::{ADMIN, Answer, PASSWORD, Person, Users};

const NEW: &str = "another battery";

async fn erase(users: &Users, id: &str, by: &Person, body: Option<Value>) -> Answer {
    let ask = users.ask("DELETE", &format!("/{id}")).by(by);
    body.iter().fold(ask, |ask, body| ask.json(body)).send().await
}

#[tokio::test]
async fn a_token_whose_session_has_ended_can_do_nothing_irreversible() {
    let users = Users::new().await;
    let (thief, ann) = (users.reader("ann@example.org").await, users.person("ann@example.org").await);
    let own = format!("/{}", ann.id);
    let body = json!({"current_password": PASSWORD, "password": NEW});
    users.ask("PUT", &format!("{own}/password")).by(&ann).json(&body).send().await.is(204);
    let consent = json!({"personalisation": true, "history": true});
    let email = json!({"email": "eve@example.org", "current_password": NEW});
    let whole = json!({"name": "Eve", "email": "eve@example.org", "current_password": NEW});
    let password = json!({"current_password": NEW, "password": "a third battery"});
    for (method, path, body) in [
        ("DELETE", own.clone(), json!({"current_password": NEW})),
        ("PATCH", own.clone(), email),
        ("PUT", own.clone(), whole),
        ("PUT", format!("{own}/password"), password),
        ("PUT", format!("{own}/consent"), consent),
    ] {
        let ask = users.ask(method, &path).by(&thief).header("if-match", "*").json(&body);
        let refused = ask.send().await.refused(401, "invalid_token");
        assert_eq!(refused.header("www-authenticate"), "Bearer error=\"invalid_token\"", "{method} {path}");
    }
    erase(&users, &ann.id, &thief, None).await.refused(401, "invalid_token");
    // Reads work until the token expires, and a live session may do everything.
    users.ask("GET", "/me").by(&thief).send().await.is(200);
    assert_eq!(users.ask("GET", "/me").by(&ann).send().await.json["version"], 2);
    erase(&users, &ann.id, &ann, None).await.is(202);
}

#[tokio::test]
async fn an_admin_who_has_logged_out_can_give_no_roles_and_erase_no_account() {
    let users = Users::new().await;
    let (admin, ann) = (users.admin().await, users.reader("ann@example.org").await);
    users.ask("DELETE", "/sessions/current").by(&admin).send().await.is(204);
    let roles = users.ask("PUT", &format!("/{}/roles", ann.id)).by(&admin).json(&json!({"role": "admin"}));
    roles.send().await.refused(401, "invalid_token");
    erase(&users, &ann.id, &admin, None).await.refused(401, "invalid_token");
    assert_eq!(users.ask("GET", "/me").by(&ann).send().await.is(200).json["role"], "reader");
}

#[tokio::test]
async fn an_erasure_requires_the_password_unless_the_login_is_recent() {
    let users = Users::new().await;
    let (ann, bob) = (users.reader("ann@example.org").await, users.reader("bob@example.org").await);
    users.pass(599);
    erase(&users, &bob.id, &bob, None).await.is(202);
    users.pass(1);
    for body in [None, Some(json!({}))] {
        let refused = erase(&users, &ann.id, &ann, body).await.refused(403, "current_password_required");
        assert!(refused.json["detail"].as_str().is_some_and(|detail| detail.contains("current_password")));
    }
    erase(&users, &ann.id, &ann, Some(json!({"password": PASSWORD}))).await.refused(422, "invalid");
    let wrong = json!({"current_password": "wrong horse"});
    erase(&users, &ann.id, &ann, Some(wrong)).await.refused(403, "wrong_password");
    // A refresh is not a login.
    let ann = Person::of(&users.refresh(&ann.cookie).await.is(200));
    erase(&users, &ann.id, &ann, None).await.refused(403, "current_password_required");
    erase(&users, &ann.id, &ann, Some(json!({"current_password": PASSWORD}))).await.is(202);
    users.log_in("ann@example.org", PASSWORD).await.is(401);
}

#[tokio::test]
async fn an_admin_confirms_an_erasure_by_their_own_password_and_a_wrong_one_is_always_refused() {
    let users = Users::new().await;
    let (admin, ann) = (users.admin().await, users.reader("ann@example.org").await);
    let wrong = json!({"current_password": "wrong horse"});
    erase(&users, &ann.id, &admin, Some(wrong)).await.refused(403, "wrong_password");
    users.pass(600);
    erase(&users, &ann.id, &admin, None).await.refused(403, "current_password_required");
    erase(&users, &ann.id, &admin, Some(json!({"current_password": PASSWORD}))).await.is(202);
    erase(&users, &ann.id, &users.person(ADMIN).await, None).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_stolen_access_token_does_not_help_to_guess_the_password_by_erasures() {
    let users = Users::with(|config| config.throttle.logins_per_account_and_address = 10).await;
    let ann = users.reader("ann@example.org").await;
    users.pass(600);
    let wrong = json!({"current_password": "wrong horse"});
    for _ in 0..10 {
        erase(&users, &ann.id, &ann, Some(wrong.clone())).await.refused(403, "wrong_password");
    }
    let refused = erase(&users, &ann.id, &ann, Some(wrong)).await.refused(429, "too_many_attempts");
    assert_eq!(refused.header("retry-after"), "60");
}
