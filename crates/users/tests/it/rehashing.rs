//! A raise of the cost of hashing: each login hashes its password again.

use serde_json::json;
use testkit::at_once;

use crate::people::{PASSWORD, Person, Users};

const COSTLIER: &str = "select count(*) from users where password like '%$m=19456,t=3,p=1$%'";

async fn raise_cost(users: Users) -> Users {
    users.crash_into(|config| config.passwords.passes = 3).await
}

#[tokio::test]
async fn a_login_after_a_raise_of_the_cost_hashes_the_password_again_and_changes_nothing_else() {
    let users = Users::with_real_hashing(|_| ()).await;
    let before = users.reader("ann@example.org").await;
    users.settle().await;
    let users = raise_cost(users).await;
    users.log_in("ann@example.org", "wrong horse battery").await.refused(401, "wrong_credentials");
    assert_eq!(users.rows("users.db", COSTLIER).await, 0);
    users.person("ann@example.org").await;
    assert_eq!(users.rows("users.db", COSTLIER).await, 1);
    let ann = Person::of(&users.refresh(&before.cookie).await.is(200));
    assert_eq!(users.ask("GET", "/me").by(&ann).send().await.is(200).json["version"], 1);
    users.person("ann@example.org").await;
    users.log_in("ann@example.org", "wrong horse battery").await.refused(401, "wrong_credentials");
    assert_eq!(users.rows("users.db", COSTLIER).await, 1);
}

#[tokio::test]
async fn a_waiting_registration_is_hashed_again_too() {
    let users = Users::with_real_hashing(|_| ()).await;
    users.register("Ann", "ann@example.org").await.is(201);
    let users = raise_cost(users).await;
    users.person("ann@example.org").await;
    assert_eq!(users.rows("users.db", COSTLIER).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehash_by_a_login_refuses_neither_parallel_logins_nor_a_new_password() {
    let users = Users::with_real_hashing(|_| ()).await;
    let ann = users.reader("ann@example.org").await;
    users.settle().await;
    let users = users.crash_into(|config| {
        config.passwords.passes = 3;
        // In parallel, so that all logins read the old hash before one of them replaces it.
        config.passwords.threads = 8;
    });
    let users = users.await;
    let answers = at_once(6, |_| {
        let body = json!({"email": "ann@example.org", "password": PASSWORD});
        let ask = users.ask("POST", "/sessions").json(&body);
        async move { ask.send().await }
    });
    let logins: Vec<u16> = answers.await.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(logins, [201; 6]);
    assert_eq!(users.rows("users.db", COSTLIER).await, 1);

    // A change that was proven with the old hash, while a login replaces that hash.
    let users = users.crash_into(|config| config.passwords.threads = 8).await;
    let answers = at_once(2, |number| {
        let ask = if number == 0 {
            let body = json!({"current_password": PASSWORD, "password": "another battery"});
            users.ask("PUT", &format!("/{}/password", ann.id)).by(&ann).json(&body)
        } else {
            let body = json!({"email": "ann@example.org", "password": PASSWORD});
            users.ask("POST", "/sessions").json(&body)
        };
        async move { ask.send().await.status.as_u16() }
    });
    let answers = answers.await;
    // The login may come after the change; then its password is the old one.
    assert!(answers[0] == 204 && [201, 401].contains(&answers[1]), "{answers:?}");
    users.log_in("ann@example.org", "another battery").await.is(201);
}
