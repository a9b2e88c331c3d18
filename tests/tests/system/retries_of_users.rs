//! Registrations that are sent again because their answer was lost.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::{Response, at_once};

use system_tests::{PASSWORD, Shape, World, login, scenarios};

scenarios! {
    on both shapes:
        a_registration_that_is_sent_again_after_a_kill_creates_one_account_and_has_one_response,
        of_16_parallel_registrations_under_one_key_one_creates_an_account;
}

fn ann() -> Value {
    json!({"name": "Ann", "email": "ann@example.org", "password": PASSWORD})
}

async fn send(world: &World, body: &Value) -> Response {
    world.client().post("/users/v1/").header("idempotency-key", "a-key").json(body).send().await
}

#[track_caller]
fn same(again: &Response, first: &Response) {
    assert_eq!(
        (first.header("idempotency-replayed"), again.header("idempotency-replayed")),
        (None, Some("true"))
    );
    assert_eq!(again.body, first.body);
    for name in ["location", "etag"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
}

async fn a_registration_that_is_sent_again_after_a_kill_creates_one_account_and_has_one_response(
    shape: Shape,
) {
    let mut world = World::new(shape).await;
    let first = send(&world, &ann()).await.expect_status(201);
    world.kill9();
    world.restart().await;
    same(&send(&world, &ann()).await.expect_status(201), &first);
    let mut other = ann();
    other["password"] = json!("another battery");
    send(&world, &other).await.expect_problem(422, "idempotency_key_reused");
    world.client().post("/users/v1/").json(&ann()).send().await.expect_problem(409, "email_taken");

    let account = login(world.client(), "ann@example.org", PASSWORD).await;
    assert_eq!(first.json()["id"], account.id);
    let path = format!("/users/v1/{}", account.id);
    world.client().delete(&path).token(&account.token).send().await.expect_status(202);
    // Stored responses about an erased person are not returned. The request is a new registration.
    let anew = send(&world, &ann()).await.expect_status(201);
    assert_eq!(anew.header("idempotency-replayed"), None);
    assert_ne!(anew.json()["id"], account.id);
}

async fn of_16_parallel_registrations_under_one_key_one_creates_an_account(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let answers = at_once(16, |_| {
        let call = world.client().post("/users/v1/").header("idempotency-key", "one");
        call.json(&ann()).send()
    })
    .await;
    let mut ids = BTreeSet::new();
    for answer in answers {
        match answer.status {
            201 => drop(ids.insert(answer.json()["id"].to_string())),
            _ => drop(answer.expect_problem(409, "still_running")),
        }
    }
    assert_eq!(ids.len(), 1);
    login(world.client(), "ann@example.org", PASSWORD).await;
    let list = world.client().get("/users/v1/all").token(&admin.token).send().await.expect_status(200);
    // There is also the first admin. The login before has moved her account into the store.
    assert_eq!(list.header("x-total-count"), Some("2"));
}
