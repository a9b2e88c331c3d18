//! The limits of attempts.

use serde_json::json;
use users::Config;

use crate::people::{ADMIN, Answer, PASSWORD, Users};

/// Sets the default limits of the portal.
fn set_defaults(config: &mut Config) {
    config.throttle.logins_per_account_and_address = 10;
    config.throttle.logins_per_account = 100;
    config.throttle.logins_per_address = 30;
    config.throttle.registrations_per_address = 60;
}

async fn log_in(users: &Users, email: &str, password: &str, from: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    users.ask("POST", "/sessions").from(from).json(&body).send().await
}

#[tokio::test]
async fn an_account_admits_10_logins_a_minute_from_one_address() {
    let users = Users::with(set_defaults).await;
    let ann = users.reader("ann@example.org").await;
    for _ in 0..10 {
        log_in(&users, "ann@example.org", "wrong horse", "203.0.113.1").await.is(401);
    }
    users.pass(20);
    for email in ["ann@example.org", "ANN@Example.org"] {
        let answer = log_in(&users, email, PASSWORD, "203.0.113.1").await;
        assert_eq!(answer.refused(429, "too_many_attempts").header("retry-after"), "40");
    }
    // All addresses of one IPv6 network count as one.
    for number in 0..10 {
        log_in(&users, "ann@example.org", "wrong horse", &format!("2001:db8:1:2::{number}")).await.is(401);
    }
    log_in(&users, "ann@example.org", PASSWORD, "2001:db8:1:2:ffff::1").await.is(429);
    // Existing sessions and other accounts are not affected.
    users.ask("GET", "/me").by(&ann).send().await.is(200);
    users.refresh(&ann.cookie).await.is(200);
    log_in(&users, ADMIN, PASSWORD, "203.0.113.1").await.is(201);
    // A minute after the first attempt, whatever was tried in between.
    users.pass(39);
    log_in(&users, "ann@example.org", PASSWORD, "203.0.113.1").await.refused(429, "too_many_attempts");
    users.pass(1);
    log_in(&users, "ann@example.org", PASSWORD, "203.0.113.1").await.is(201);
}

#[tokio::test]
async fn guesses_from_other_addresses_never_lock_the_owner_out() {
    let users = Users::with(set_defaults).await;
    users.register("Ann", "ann@example.org").await.is(201);
    for second in 0..50 {
        // One address that obeys Retry-After, and two hundred others.
        log_in(&users, "ann@example.org", "wrong horse", "203.0.113.1").await;
        for number in 0..4 {
            let from = format!("198.51.100.{}", second * 4 + number);
            log_in(&users, "ann@example.org", "wrong horse", &from).await.is(401);
        }
        log_in(&users, "ann@example.org", PASSWORD, "192.0.2.7").await.is(201);
        users.pass(6);
    }
}

#[tokio::test]
async fn an_account_under_attack_admits_one_login_a_minute_from_an_address_that_has_failed() {
    let users = Users::with(set_defaults).await;
    users.register("Ann", "ann@example.org").await.is(201);
    let guess = async |from: &str| log_in(&users, "ann@example.org", "wrong horse", from).await;
    for number in 0..99 {
        guess(&format!("198.51.100.{number}")).await.is(401);
    }
    // Up to a hundred failures, an address that has failed is treated like all others.
    users.pass(60);
    log_in(&users, "ann@example.org", PASSWORD, "198.51.100.1").await.is(201);
    guess("203.0.113.1").await.is(401);
    // From here on it is slowed down; an address that has not failed is not.
    for _ in 0..3 {
        let answer = log_in(&users, "ann@example.org", PASSWORD, "203.0.113.1").await;
        assert_eq!(answer.refused(429, "too_many_attempts").header("retry-after"), "60");
        log_in(&users, "ann@example.org", PASSWORD, "192.0.2.7").await.is(201);
    }
    users.pass(60);
    guess("203.0.113.1").await.is(401);
    guess("203.0.113.1").await.is(429);
    users.pass(60);
    log_in(&users, "ann@example.org", PASSWORD, "203.0.113.1").await.is(201);
    // Ten minutes after the first failure, the window has ended.
    users.pass(420);
    for _ in 0..10 {
        guess("203.0.113.1").await.is(401);
    }
}

#[tokio::test]
async fn a_browser_with_a_session_of_the_account_is_admitted_to_the_check() {
    let users = Users::with(set_defaults).await;
    let (ann, eve) = (users.reader("ann@example.org").await, users.reader("eve@example.org").await);
    let from = "203.0.113.9";
    for number in 0..30 {
        log_in(&users, &format!("reader{number}@example.org"), "wrong horse", from).await.is(401);
    }
    let log_in = async |cookie: &str, password: &str| {
        let body = json!({"email": "ann@example.org", "password": password});
        users.ask("POST", "/sessions").from(from).cookie(cookie).json(&body).send().await
    };
    // The owner may log in any number of times. Cookies of other accounts, old cookies and malformed ones do
    // not help.
    for _ in 0..15 {
        log_in(&ann.cookie, PASSWORD).await.is(201);
    }
    let old = ann.cookie.clone();
    let ann = users.refresh(&ann.cookie).await.is(200).cookie().expect("a cookie");
    users.pass(10);
    for cookie in [&eve.cookie, &old, &"A".repeat(64), ""] {
        log_in(cookie, PASSWORD).await.refused(429, "too_many_attempts");
    }
    // The cookie does not help to guess.
    for _ in 0..10 {
        log_in(&ann, "wrong horse").await.is(401);
    }
    log_in(&ann, PASSWORD).await.refused(429, "too_many_attempts");
}

#[tokio::test]
async fn an_email_without_an_account_is_counted_like_any_other() {
    let users = Users::with(set_defaults).await;
    users.register("Ann", "ann@example.org").await.is(201);
    let mut runs = Vec::new();
    for (index, email) in ["ann@example.org", "eve@example.org"].into_iter().enumerate() {
        let mut run = Vec::new();
        for number in 0..130 {
            let from = format!("203.0.{index}.{}", number / 12);
            let mut answer = log_in(&users, email, "wrong horse", &from).await;
            answer.json["request_id"].take();
            run.push((answer.status, answer.json, answer.headers.get("retry-after").cloned()));
        }
        runs.push(run);
    }
    assert!(runs.iter().all(|run| *run == runs[0]));
    let refused = runs[0].iter().filter(|(status, ..)| *status == 429).count();
    // Two of twelve attempts of each address; after a hundred failures, all except the first.
    assert_eq!(refused, 10 * 2 + 9);
}

#[tokio::test]
async fn an_address_tries_30_logins_a_minute_over_all_accounts() {
    let users = Users::with(set_defaults).await;
    let mut refused = 0;
    for number in 0..40 {
        let answer = log_in(&users, &format!("reader{number}@example.org"), PASSWORD, "203.0.113.9").await;
        if answer.status == 429 {
            refused += 1;
            assert_eq!(answer.refused(429, "too_many_attempts").header("retry-after"), "60");
        }
    }
    assert_eq!(refused, 10);
    // An attempt that is refused for its address does not count for the account.
    for _ in 0..10 {
        log_in(&users, ADMIN, PASSWORD, "203.0.113.9").await.is(429);
    }
    log_in(&users, ADMIN, PASSWORD, "203.0.113.10").await.is(201);
    // A household has one IPv6 network.
    for number in 0..30 {
        let from = format!("2001:db8:1:2::{number:x}");
        log_in(&users, &format!("other{number}@example.org"), PASSWORD, &from).await.is(401);
    }
    log_in(&users, ADMIN, PASSWORD, "2001:db8:1:2:ffff::1").await.is(429);
    log_in(&users, ADMIN, PASSWORD, "2001:db8:1:3::1").await.is(201);
}

#[tokio::test]
async fn an_address_registers_60_accounts_a_minute() {
    let users = Users::with(set_defaults).await;
    let register = async |number: u32, from: &str| {
        // An invalid body does not count as an attempt; a taken e-mail does.
        let body = json!({"name": "Reader", "email": ADMIN, "password": PASSWORD, "number": number});
        users.ask("POST", "/").from(from).json(&body).send().await.is(422);
        let body = json!({"name": "Reader", "email": ADMIN, "password": PASSWORD});
        users.ask("POST", "/").from(from).json(&body).send().await
    };
    for number in 0..60 {
        register(number, "203.0.113.9").await.refused(409, "email_taken");
    }
    let answer = register(60, "203.0.113.9").await.refused(429, "too_many_attempts");
    assert_eq!(answer.header("retry-after"), "60");
    register(61, "203.0.113.10").await.refused(409, "email_taken");
    users.pass(60);
    register(62, "203.0.113.9").await.refused(409, "email_taken");
}

#[tokio::test]
async fn a_stolen_access_token_does_not_help_to_guess_the_password() {
    let users = Users::with(set_defaults).await;
    let ann = users.reader("ann@example.org").await;
    let guess = |number: u32| {
        let (method, path) = match number % 2 {
            0 => ("PUT", format!("/{}/password", ann.id)),
            _ => ("PATCH", format!("/{}", ann.id)),
        };
        let body = json!({"current_password": "wrong horse", "password": "another battery"});
        users.ask(method, &path).by(&ann).header("if-match", "*").json(&body).send()
    };
    for number in 0..10 {
        guess(number).await.refused(403, "wrong_password");
    }
    for number in 10..12 {
        guess(number).await.refused(429, "too_many_attempts");
    }
    // The owner's logins are not affected.
    users.person("ann@example.org").await;
    users.pass(60);
    let right = json!({"current_password": PASSWORD, "password": "another battery"});
    users.ask("PUT", &format!("/{}/password", ann.id)).by(&ann).json(&right).send().await.is(204);
}
