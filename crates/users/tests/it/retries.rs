//! Registrations that are repeated with an `Idempotency-Key`.

use serde_json::{Value, json};
use testkit::at_once;

use crate::people::{Answer, Ask, PASSWORD, Users};

const DAY: u64 = 24 * 60 * 60;
const COUNT_ANSWERS: &str = "select count(*) from answers";

fn ann() -> Value {
    json!({"name": "Ann", "email": "ann@example.org", "password": PASSWORD})
}

fn asking(users: &Users, key: &str, body: &Value) -> Ask {
    users.ask("POST", "/").header("idempotency-key", key).json(body)
}

async fn send(users: &Users, key: &str, body: &Value) -> Answer {
    asking(users, key, body).send().await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == "true"
}

/// Checks that an answer is the replay of the first one.
#[track_caller]
fn same(again: &Answer, first: &Answer) {
    assert!(is_replayed(again) && !is_replayed(first), "{}", again.text);
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    for name in ["location", "etag", "cache-control", "content-type"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
}

async fn accounts(users: &Users) -> i64 {
    users.settle().await;
    // The first admin is the other account.
    users.rows("users.db", "select count(*) from users").await - 1
}

#[tokio::test]
async fn a_repeated_registration_gets_the_same_answer_and_creates_no_second_account() {
    let users = Users::new().await;
    let first = send(&users, "a", &ann()).await.is(201);
    same(&send(&users, "a", &ann()).await, &first);
    assert_eq!(accounts(&users).await, 1);
    same(&send(&users, "a", &ann()).await, &first);
    // The first answer is repeated, even if the account has changed since.
    let person = users.person("ann@example.org").await;
    let path = format!("/{}", person.id);
    users.ask("PATCH", &path).by(&person).seen(1).json(&json!({"name": "Anna"})).send().await.is(200);
    same(&send(&users, "a", &ann()).await, &first);
    users.pass(DAY - 1);
    same(&send(&users, "a", &ann()).await, &first);
    assert_eq!(accounts(&users).await, 1);
}

#[tokio::test]
async fn a_registration_whose_answer_was_lost_in_a_crash_gets_the_same_answer() {
    let users = Users::new().await;
    let first = send(&users, "a", &ann()).await.is(201);
    let users = users.crash().await;
    same(&send(&users, "a", &ann()).await, &first);
    assert_eq!(accounts(&users).await, 1);
    let users = users.crash().await;
    same(&send(&users, "a", &ann()).await, &first);
}

#[tokio::test]
async fn a_key_that_a_dead_process_had_begun_is_free_after_its_restart() {
    let users = Users::new().await;
    let first = send(&users, "a", &ann()).await.is(201);
    // As after a crash between the beginning and the effect: an attempt lasts 15 seconds, an answer a day.
    let begun = "update answers set registered_at = null, expires_at = expires_at - 86390000";
    users.sql("users-intake.db", begun).await;
    users.sql("users-intake.db", "delete from registrations").await;
    send(&users, "a", &ann()).await.refused(409, "still_running");
    let users = users.crash().await;
    users.sql("users-intake.db", "delete from reservations").await;
    let second = send(&users, "a", &ann()).await.is(201);
    assert!(!is_replayed(&second));
    assert_ne!(second.json["id"], first.json["id"]);
}

#[tokio::test]
async fn one_key_for_two_requests_is_refused_whichever_field_differs() {
    let users = Users::new().await;
    send(&users, "a", &ann()).await.is(201);
    for (field, value) in [("name", "Eve"), ("email", "eve@example.org"), ("password", "another battery")] {
        let mut body = ann();
        body[field] = value.into();
        let refused = send(&users, "a", &body).await.refused(422, "idempotency_key_reused");
        assert!(!is_replayed(&refused), "{field}");
    }
    assert_eq!(accounts(&users).await, 1);
}

#[tokio::test]
async fn a_refusal_uses_up_no_key_and_the_corrected_request_succeeds_with_it() {
    let users = Users::new().await;
    let person = users.reader("ann@example.org").await;
    let invalid = json!({"name": "", "email": "not an address", "password": PASSWORD});
    for _ in 0..2 {
        let refused = send(&users, "a", &invalid).await.refused(422, "invalid");
        assert!(!is_replayed(&refused));
        send(&users, "a", &ann()).await.refused(409, "email_taken");
    }
    assert_eq!(users.rows("users-intake.db", COUNT_ANSWERS).await, 0);
    let other = json!({"name": "Anna", "email": "anna@example.org", "password": PASSWORD});
    let first = send(&users, "a", &other).await.is(201);
    same(&send(&users, "a", &other).await, &first);
    send(&users, "a", &ann()).await.refused(422, "idempotency_key_reused");
    // A request that was refused for the state of the portal is tried again after that state has changed.
    send(&users, "b", &ann()).await.refused(409, "email_taken");
    users.ask("DELETE", &format!("/{}", person.id)).by(&person).send().await.is(202);
    send(&users, "b", &ann()).await.is(201);
}

#[tokio::test]
async fn a_refusal_that_another_attempt_may_not_get_is_not_stored() {
    let mut users = Users::with(|config| config.throttle.registrations_per_address = 2).await;
    let body = json!({"name": "Ann", "email": "ann@example.net", "password": PASSWORD});
    let ask = |users: &Users| asking(users, "a", &body).from("203.0.113.9");
    // Another registration holds the e-mail for a moment.
    users
        .sql(
            "users-intake.db",
            "insert into reservations (email_key, user_id, expires_at) values ('ann@example.net', x'00', 1763712010123)",
        )
        .await;
    for _ in 0..2 {
        ask(&users).send().await.refused(409, "email_taken");
    }
    ask(&users).send().await.refused(429, "too_many_attempts");
    users.close_store(0).await;
    users.pass(60);
    ask(&users).send().await.refused(503, "store_unavailable");
    assert_eq!(users.rows("users-intake.db", COUNT_ANSWERS).await, 0);
    let users = users.crash().await;
    let first = ask(&users).send().await.is(201);
    assert!(!is_replayed(&first));
}

#[tokio::test]
async fn a_key_belongs_to_an_address_or_to_an_account() {
    let users = Users::new().await;
    let admin = users.admin().await;
    let body =
        |name: &str| json!({"name": name, "email": format!("{name}@example.org"), "password": PASSWORD});
    let ask = |address: &str, name: &str| asking(&users, "a", &body(name)).from(address);
    let first = ask("203.0.113.9", "ann").send().await.is(201);
    ask("203.0.113.10", "bob").send().await.is(201);
    ask("203.0.113.9", "cem").by(&admin).send().await.is(201);
    // The address makes no difference for a request with an account.
    assert!(is_replayed(&ask("203.0.113.10", "cem").by(&admin).send().await.is(201)));
    same(&ask("203.0.113.9", "ann").send().await, &first);
    ask("203.0.113.9", "bob").send().await.refused(422, "idempotency_key_reused");
}

#[tokio::test]
async fn after_a_day_a_key_is_free_and_nothing_of_it_is_stored() {
    let users = Users::new().await;
    send(&users, "a", &ann()).await.is(201);
    users.settle().await;
    assert_eq!(users.rows("users-intake.db", COUNT_ANSWERS).await, 1);
    users.pass(DAY);
    users.settle().await;
    assert_eq!(users.rows("users-intake.db", COUNT_ANSWERS).await, 0);
    send(&users, "a", &ann()).await.refused(409, "email_taken");
}

#[tokio::test]
async fn no_answer_about_an_erased_account_survives_the_erasure() {
    let users = Users::new().await;
    for settled in [false, true] {
        let first = send(&users, "a", &ann()).await.is(201);
        let person = users.person("ann@example.org").await;
        if settled {
            users.settle().await;
        }
        users.ask("DELETE", &format!("/{}", person.id)).by(&person).send().await.is(202);
        assert_eq!(users.rows("users-intake.db", COUNT_ANSWERS).await, 0);
        let next = send(&users, "a", &ann()).await.is(201);
        assert!(!is_replayed(&next));
        assert_ne!(next.json["id"], first.json["id"]);
        let person = users.person("ann@example.org").await;
        users.ask("DELETE", &format!("/{}", person.id)).by(&person).send().await.is(202);
    }
}

#[tokio::test]
async fn stored_answers_contain_no_content_of_the_request() {
    let users = Users::new().await;
    asking(&users, "my-own-key", &ann()).from("203.0.113.9").send().await.is(201);
    let pool = users.file("users-intake.db").await;
    let row: (Vec<u8>, String, Option<String>) =
        sqlx::query_as("select name, fingerprint, refusal from answers")
            .fetch_one(&pool)
            .await
            .expect("a row");
    pool.close().await;
    let stored = format!("{} {} {:?}", String::from_utf8_lossy(&row.0), row.1, row.2);
    for text in ["Ann", "ann@example.org", PASSWORD, "my-own-key", "203.0.113.9"] {
        assert!(!stored.contains(text), "{text} is in {stored}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_16_parallel_registrations_under_one_key_creates_an_account() {
    let users = Users::new().await;
    let answers = at_once(16, |_| {
        let ask = asking(&users, "a", &ann());
        async move { ask.send().await }
    })
    .await;
    let fresh = answers.iter().filter(|answer| answer.status == 201 && !is_replayed(answer)).count();
    assert_eq!(fresh, 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.json["code"], "still_running", "{}", answer.text);
    }
    assert_eq!(accounts(&users).await, 1);
    assert!(is_replayed(&send(&users, "a", &ann()).await.is(201)));
}

#[tokio::test]
async fn a_malformed_key_is_refused() {
    let users = Users::new().await;
    send(&users, "two words", &ann()).await.refused(400, "bad_request");
    assert_eq!(accounts(&users).await, 0);
}

#[tokio::test]
async fn a_login_with_a_key_is_a_normal_login_and_no_answer_with_tokens_is_stored() {
    let users = Users::new().await;
    users.register("Ann", "ann@example.org").await.is(201);
    let body = json!({"email": "ann@example.org", "password": PASSWORD});
    let log_in = async || {
        let ask = users.ask("POST", "/sessions").header("idempotency-key", "a").json(&body);
        ask.send().await.is(201)
    };
    let (first, second) = (log_in().await, log_in().await);
    assert!(!is_replayed(&second));
    assert_ne!(first.cookie(), second.cookie());
    assert_eq!(users.rows("users-intake.db", COUNT_ANSWERS).await, 0);
}
