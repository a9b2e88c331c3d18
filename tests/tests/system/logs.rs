//! One trace finds one click in every service, and no secret is found anywhere.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use testkit::{PATIENCE, wait_until};

use crate::world::{PASSWORD, World, login};

fn lines_of(world: &World, trace: &str) -> Vec<Value> {
    let output = world.portal.process().output();
    let lines = output.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["trace_id"] == trace).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_id_finds_one_click_in_every_service_that_it_reached() {
    let folder = testkit::Folder::new();
    let portal = testkit::Portal::start_with(testkit::portal_binary(), folder.path(), |program| {
        program.env("PORTAL__PROCESS__LOG_FORMAT", "json").env("PORTAL__PROCESS__LOG", "debug")
    })
    .await;
    let world = World { portal, _folder: folder };
    let admin = world.admin().await;
    let reader = world.reader("ida").await;
    let path = format!("/users/v1/{}/consent", reader.id);
    let consent = json!({"personalisation": true, "history": true});
    world.client().put(&path).token(&reader.token).json(&consent).send().await.expect_status(200);
    let reader = login(world.client(), &reader.email, PASSWORD).await;
    let id = world.published("politics", "A vote", &["vote"], &admin).await;

    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let read = world.client().get(&format!("/news/v1/politics/{id}?min_version=2")).token(&reader.token);
    read.header("traceparent", &parent).send().await.expect_status(200);
    let wanted = ["orchestrator", "politics-news", "recommendations"];
    wait_until("the trace in every service", PATIENCE, || async {
        let lines = lines_of(&world, trace);
        let services: BTreeSet<&str> = lines.iter().filter_map(|line| line["service"].as_str()).collect();
        wanted.iter().all(|service| services.contains(service)).then_some(())
    })
    .await;
    let lines = lines_of(&world, trace);
    let access = lines.iter().find(|line| line["target"] == "access").expect("an access line");
    assert_eq!((&access["route"], &access["status"]), (&"/{type}/{id}".into(), &200.into()));
    assert_eq!(access["actor"], format!("{} reader", reader.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_password_is_in_no_answer_no_log_and_no_file() {
    const CANARY: &str = "canary-7Qz-in-a-coal-mine";
    let mut world = World::new().await;
    let body = json!({"name": "Cora", "email": "cora@example.org", "password": CANARY});
    let answer = world.client().post("/users/v1/").json(&body).send().await.expect_status(201);
    assert!(!answer.text().contains(CANARY) && !answer.text().contains("argon2"));
    let reader = login(world.client(), "cora@example.org", CANARY).await;
    let wrong = json!({"email": "cora@example.org", "password": format!("{CANARY}!")});
    let refused = world.client().post("/users/v1/sessions").json(&wrong).send().await.expect_status(401);
    assert!(!refused.text().contains(CANARY));
    let odd = json!({"name": "Cora", "email": "nobody", "password": CANARY, "unknown": CANARY});
    world.client().post("/users/v1/").json(&odd).send().await.expect_status(422);
    world.portal.stop().await;
    let said = world.portal.process().output().join("\n");
    for secret in [CANARY, "cora@example.org", &reader.token] {
        assert!(!said.contains(secret), "a log line holds {secret}");
    }
    no_file_holds(world.portal.data(), CANARY.as_bytes());
}

fn no_file_holds(folder: &Path, needle: &[u8]) {
    for entry in std::fs::read_dir(folder).expect("the data folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            no_file_holds(&path, needle);
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            let found = bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!found, "{} holds the canary", path.display());
        }
    }
}
