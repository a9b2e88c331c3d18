//! The state after a crash between two steps. (The system tests kill the real process at random moments.)

use serde_json::json;

use crate::people::Users;

#[tokio::test]
async fn an_account_that_was_answered_201_exists_after_a_crash_before_the_worker() {
    let users = Users::new().await;
    let answer = users.register("Ann", "ann@example.org").await.is(201);
    let users = users.crash().await;
    let ann = users.person("ann@example.org").await;
    assert_eq!(users.ask("GET", "/me").by(&ann).send().await.json, answer.json);
    users.settle().await;
    assert_eq!(users.ask("GET", "/me").by(&ann).send().await.json, answer.json);
    users.register("Eve", "ann@example.org").await.refused(409, "email_taken");
}

#[tokio::test]
async fn a_crash_between_insert_and_settle_stores_the_account_once() {
    let users = Users::new().await;
    let answer = users.register("Ann", "ann@example.org").await.is(201);
    let path = users.folder.join("users-intake.db");
    let copy = users.folder.join("copy.db");
    // The current content of the intake is its content after a crash directly after the insert.
    let statement = sqlx::AssertSqlSafe(format!("vacuum into '{}'", copy.display()));
    let pool = users.file("users-intake.db").await;
    sqlx::query(statement).execute(&pool).await.expect("copies");
    pool.close().await;
    users.settle().await;

    let users = users.crash_with(|folder| {
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(folder.join(&format!("users-intake.db{end}")));
        }
        std::fs::rename(&copy, &path).expect("is put in place");
    });
    let users = users.await;
    users.settle().await;
    let ann = users.person("ann@example.org").await;
    assert_eq!(users.ask("GET", "/me").by(&ann).send().await.json, answer.json);
    let list = users.ask("GET", "/all").by(&users.admin().await).send().await.is(200);
    assert_eq!(list.header("x-total-count"), "2");
}

#[tokio::test]
async fn a_crash_between_reserve_and_append_does_not_block_the_email() {
    let users = Users::new().await;
    let reserve = "insert into reservations (email_key, user_id, expires_at) values ('ann@example.net', x'00', 1763712010123)";
    users.sql("users-intake.db", reserve).await;
    users.register("Ann", "ann@example.net").await.refused(409, "email_taken");
    let users = users.crash().await;
    users.register("Ann", "ann@example.net").await.is(201);
}

#[tokio::test]
async fn an_unavailable_store_loses_nothing_and_is_answered_503_with_retry_after() {
    let mut users = Users::new().await;
    users.register("Ann", "ann@example.org").await.is(201);
    let id = users.register("Bob", "bob@example.org").await.is(201).json["id"].clone();
    users.close_store(0).await;
    assert!(users.service.workers[0].step().await.is_err());
    assert_eq!(users.rows("users-intake.db", "select max(attempts) from registrations").await, 0);
    let answer = users.register("Eve", "eve@example.org").await.refused(503, "store_unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(
        users.ask("GET", &format!("/{}", id.as_str().expect("an id"))).send().await.is(200).json["id"],
        id
    );
    let users = users.crash().await;
    users.settle().await;
    for email in ["ann@example.org", "bob@example.org"] {
        users.person(email).await;
    }
    // The refused registration left only a lease, which has expired or was released.
    users.pass(10);
    users.register("Eve", "eve@example.org").await.is(201);
}

#[tokio::test]
async fn events_are_published_through_the_outbox_and_survive_a_crash() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let on = json!({"personalisation": true, "history": false});
    users.ask("PUT", &format!("/{}/consent", ann.id)).by(&ann).json(&on).send().await.is(200);
    users.ask("DELETE", &format!("/{}", ann.id)).by(&ann).send().await.is(202);
    let users = users.crash().await;
    assert_eq!(users.rows("users.db", "select count(*) from outbox").await, 2);
    users.settle().await;
    assert_eq!(users.rows("users.db", "select count(*) from outbox").await, 0);
}
