//! The defects of the original portal that concern accounts. Each test has the name of the defect, and shows
//! that it is gone.

use serde_json::json;

use crate::people::{PASSWORD, Users};

/// Returns the path of an account that is in the intake and not in the store, because there was no login to
/// it.
async fn waiting(users: &Users, email: &str) -> String {
    let answer = users.register("Reader", email).await.is(201);
    format!("/{}", answer.json["id"].as_str().expect("an id"))
}

// The defect "password in every answer, in Redis and in the logs" is tested in `secrets.rs`.

#[tokio::test]
async fn put_and_delete_leave_the_old_user_in_the_cache_for_ever() {
    let users = Users::new().await;
    let (ann, admin) = (users.reader("ann@example.org").await, users.admin().await);
    let path = format!("/{}", ann.id);
    let name = async || users.ask("GET", &path).send().await.json["name"].clone();
    assert_eq!(name().await, "Reader");
    let body = json!({"name": "Ann", "email": "ann@example.org"});
    users.ask("PUT", &path).by(&ann).seen(1).json(&body).send().await.is(200);
    assert_eq!(name().await, "Ann");
    users.ask("DELETE", &path).by(&admin).send().await.is(202);
    users.ask("GET", &path).send().await.refused(404, "not_found");
}

#[tokio::test]
async fn no_unique_email() {
    let users = Users::new().await;
    users.register("Ann", "ann@example.org").await.is(201);
    users.register("Eve", "ann@example.org").await.refused(409, "email_taken");
}

#[tokio::test]
async fn a_popped_message_is_lost_when_the_worker_dies() {
    let users = Users::new().await;
    users.register("Ann", "ann@example.org").await.is(201);
    // The worker takes it and dies before it stores anything.
    users.sql("users-intake.db", "update registrations set attempts = 1, free_at = 1763712030123").await;
    let users = users.crash().await;
    users.settle().await;
    assert_eq!(users.rows("users.db", "select count(*) from users").await, 1);
    users.person("ann@example.org").await;
    users.pass(30);
    users.settle().await;
    assert_eq!(users.rows("users.db", "select count(*) from users").await, 2);
    assert_eq!(users.rows("users-intake.db", "select count(*) from registrations").await, 0);
}

#[tokio::test]
async fn a_bad_message_is_retried_immediately_and_forever() {
    let users = Users::new().await;
    for number in 1..=3 {
        users.register("Reader", &format!("reader{number}@example.org")).await.is(201);
    }
    users.sql("users-intake.db", "update registrations set record = '{' where position = 2").await;
    users.settle().await;
    assert_eq!(users.rows("users.db", "select count(*) from users").await, 3, "its neighbours are stored");
    for pause in [1, 5, 30, 120, 600] {
        users.pass(pause - 1);
        users.settle().await;
        let attempts = users.rows("users-intake.db", "select attempts from registrations").await;
        users.pass(1);
        users.settle().await;
        let more =
            users.rows("users-intake.db", "select coalesce(max(attempts), 6) from registrations").await;
        assert_eq!(more, attempts + 1, "not before its pause of {pause} s, and then once");
    }
    assert_eq!(users.rows("users-intake.db", "select count(*) from registrations").await, 0);
    assert_eq!(
        users.rows("users-intake.db", "select count(*) from buried where reason like '%damaged%'").await,
        1
    );
    users.register("Eve", "reader2@example.org").await.refused(409, "email_taken");
}

#[tokio::test]
async fn each_error_leaks_a_connection_so_that_one_null_in_a_name_ends_the_process() {
    let users = Users::new().await;
    let admin = users.admin().await;
    for _ in 0..50 {
        users.register("a\u{0}b", "ann@example.org").await.refused(422, "invalid");
        users.register("Ann", "admin@example.org").await.refused(409, "email_taken");
        users.ask("GET", "/01901640-0000-7000-8000-000000000000").send().await.is(404);
        let missing = users.ask("PUT", "/01901640-0000-7000-8000-000000000000/roles").by(&admin);
        missing.json(&json!({"role": "author"})).send().await.is(404);
    }
    users.register("Ann", "ann@example.org").await.is(201);
}

#[tokio::test]
async fn a_put_or_delete_that_overtakes_the_worker_is_undone_by_it() {
    let users = Users::new().await;
    let admin = users.admin().await;
    let (ann, bob) = (waiting(&users, "ann@example.org").await, waiting(&users, "bob@example.org").await);
    assert_eq!(
        users.rows("users-intake.db", "select count(*) from registrations").await,
        2,
        "both still wait"
    );
    let body = json!({"name": "Ann", "email": "ann@example.org"});
    users.ask("PUT", &ann).by(&admin).seen(1).json(&body).send().await.is(200);
    users.ask("DELETE", &bob).by(&admin).send().await.is(202);
    users.settle().await;
    let users = users.crash().await;
    users.settle().await;
    assert_eq!(users.ask("GET", &ann).send().await.json["name"], "Ann");
    users.ask("GET", &bob).send().await.is(404);
}

#[tokio::test]
async fn an_erasure_is_undone_by_a_worker_that_holds_the_registration_already() {
    let users = Users::new().await;
    let (admin, bob) = (users.admin().await, waiting(&users, "bob@example.org").await);
    let copy = "create table held as select * from registrations";
    users.sql("users-intake.db", copy).await;
    assert_eq!(users.rows("users-intake.db", "select count(*) from held").await, 1);
    users.ask("DELETE", &bob).by(&admin).send().await.is(202);
    // A slow worker inserts the registration that it still holds.
    users.sql("users-intake.db", "insert into registrations select * from held").await;
    let users = users.crash().await;
    users.settle().await;
    users.ask("GET", &bob).send().await.is(404);
    assert_eq!(users.rows("users-intake.db", "select count(*) from registrations").await, 0);
}

#[tokio::test]
async fn the_health_check_overwrites_the_redis_error_with_the_postgres_one() {
    for which in [0, 1] {
        let mut users = Users::new().await;
        assert_eq!(users.ask("GET", "/healthcheck").send().await.is(200).text, "OK");
        users.close_store(which).await;
        let answer = users.ask("GET", "/healthcheck").send().await.is(503);
        assert_eq!((answer.text.as_str(), answer.header("content-type")), ("CRITICAL", "text/plain"));
    }
}

#[tokio::test]
async fn not_found_and_a_stale_version_are_a_500() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    users.ask("GET", "/01901640-0000-7000-8000-000000000000").send().await.refused(404, "not_found");
    let stale = users.ask("PATCH", &format!("/{}", ann.id)).by(&ann).seen(7).json(&json!({"name": "Ann"}));
    stale.send().await.refused(412, "stale_version");
}

#[tokio::test]
async fn nothing_is_authorised_and_the_identity_is_a_cookie_anyone_can_set() {
    let users = Users::new().await;
    let (ann, admin) = (users.reader("ann@example.org").await, users.admin().await);
    users.ask("GET", "/all").send().await.refused(401, "unauthenticated");
    users.ask("GET", "/all").header("cookie", &format!("user_id={}", admin.id)).send().await.is(401);
    users.ask("GET", "/all").by(&ann).send().await.refused(403, "role_required");
    users.ask("DELETE", &format!("/{}", admin.id)).by(&ann).send().await.refused(403, "role_required");
    users.log_in("ann@example.org", PASSWORD).await.is(201);
}
