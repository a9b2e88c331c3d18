//! Changes of the password.

use serde_json::json;
use testkit::at_once;

use crate::people::{PASSWORD, Person, Users};

const NEW: &str = "another battery";

async fn change(users: &Users, person: &Person, current: &str, new: &str) -> crate::people::Answer {
    let body = json!({"current_password": current, "password": new});
    users.ask("PUT", &format!("/{}/password", person.id)).by(person).json(&body).send().await
}

#[tokio::test]
async fn a_new_password_takes_effect_immediately_and_ends_the_other_sessions() {
    let users = Users::new().await;
    let (ann, thief) = (users.reader("ann@example.org").await, users.person("ann@example.org").await);
    assert_eq!(change(&users, &ann, PASSWORD, NEW).await.is(204).text, "");
    users.log_in("ann@example.org", PASSWORD).await.refused(401, "wrong_credentials");
    users.log_in("ann@example.org", NEW).await.is(201);
    users.refresh(&thief.cookie).await.refused(401, "invalid_refresh_token");
    users.refresh(&ann.cookie).await.is(200);
    // Every change of the account makes a new version.
    assert_eq!(users.ask("GET", "/me").by(&ann).send().await.json["version"], 2);
}

#[tokio::test]
async fn the_current_password_is_required_and_the_rules_are_those_of_a_registration() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    change(&users, &ann, "wrong horse battery", NEW).await.refused(403, "wrong_password");
    for (new, code) in [("short", "too_short"), ("12345678", "common_password")] {
        let answer = change(&users, &ann, PASSWORD, new).await.refused(422, "invalid");
        assert_eq!(answer.faults(), [("/password".to_owned(), code.to_owned())]);
    }
    let path = format!("/{}/password", ann.id);
    users.ask("PUT", &path).by(&ann).json(&json!({"password": NEW})).send().await.refused(422, "invalid");
    let admin = users.admin().await;
    let body = json!({"current_password": PASSWORD, "password": NEW});
    users.ask("PUT", &path).by(&admin).json(&body).send().await.refused(403, "role_required");
    users.refresh(&ann.cookie).await.is(200);
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_and_one_by_an_admin_ends_all() {
    let users = Users::new().await;
    let (ann, other) = (users.reader("ann@example.org").await, users.person("ann@example.org").await);
    let path = format!("/{}", ann.id);
    let body =
        json!({"name": "Ann", "email": "ann@example.org", "password": NEW, "current_password": PASSWORD});
    users.ask("PUT", &path).by(&ann).seen(1).json(&body).send().await.is(200);
    users.refresh(&other.cookie).await.refused(401, "invalid_refresh_token");
    let ann = Person::of(&users.refresh(&ann.cookie).await.is(200));
    let other = Person::of(&users.log_in("ann@example.org", NEW).await.is(201));
    users.ask("PATCH", &path).by(&ann).seen(2).json(&json!({"name": "Anna"})).send().await.is(200);
    users.refresh(&other.cookie).await.is(200);
    let body = json!({"password": "a third battery"});
    users.ask("PATCH", &path).by(&users.admin().await).seen(3).json(&body).send().await.is(200);
    users.refresh(&ann.cookie).await.refused(401, "invalid_refresh_token");
    users.log_in("ann@example.org", "a third battery").await.is(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_parallel_changes_of_a_password_succeeds() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let answers = at_once(2, |number| {
        let body = json!({"current_password": PASSWORD, "password": format!("battery number {number}")});
        let ask = users.ask("PUT", &format!("/{}/password", ann.id)).by(&ann).json(&body);
        async move { ask.send().await }
    });
    let answers = answers.await;
    let winner = answers.iter().position(|answer| answer.status == 204).expect("one succeeds");
    assert_eq!(answers[1 - winner].json["code"], "wrong_password");
    users.log_in("ann@example.org", &format!("battery number {winner}")).await.is(201);
}
