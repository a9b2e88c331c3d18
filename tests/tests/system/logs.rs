//! One trace id finds all lines of a request in every service, and no secret is in any line.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use testkit::{PATIENCE, wait_until};

use system_tests::{PASSWORD, Shape, World, login, scenarios};

scenarios! {
    on both shapes:
        the_creation_of_a_signing_key_is_logged_once_and_without_the_key,
        one_trace_id_finds_one_click_in_every_service_that_it_reached,
        a_canary_password_appears_in_no_response_no_log_and_no_file;
}

const CONSENT: &str = "0af7651916cd43dd8448eb211c80319c";
const READ: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The most detailed filter that production allows: everything of our own modules, warnings of libraries.
const TALKATIVE: &str =
    "info,chassis=debug,bus=debug,users=debug,news=debug,orchestrator=debug,recommendations=debug";

fn parent(trace: &str) -> String {
    format!("00-{trace}-00f067aa0ba902b7-01")
}

fn lines_of(world: &World, trace: &str) -> Vec<Value> {
    let output = world.output();
    let lines = output.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["trace_id"] == trace).collect()
}

/// Waits until each of these services has written this line in this trace. Returns all lines of the trace.
async fn found_in(world: &World, trace: &str, wanted: &[(&str, &str)]) -> Vec<Value> {
    let what = format!("the trace {trace} in {wanted:?}");
    wait_until(&what, PATIENCE, || async {
        let lines = lines_of(world, trace);
        let messages = |line: &Value| (text(line, "service"), text(line, "message"));
        let messages: BTreeSet<_> = lines.iter().map(messages).collect();
        let all =
            wanted.iter().all(|(who, what)| messages.contains(&((*who).to_owned(), (*what).to_owned())));
        all.then_some(lines)
    })
    .await
}

fn text(line: &Value, field: &str) -> String {
    line[field].as_str().unwrap_or_default().to_owned()
}

async fn the_creation_of_a_signing_key_is_logged_once_and_without_the_key(shape: Shape) {
    let mut world = World::new(shape).await;
    let made = |world: &World| -> Vec<Value> {
        let output = world.output();
        assert!(!output.iter().any(|line| line.contains("PRIVATE")), "a key is in the log");
        let lines = output.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| text(line, "message").contains("a new one was created")).collect()
    };
    let [line] = &made(&world)[..] else { panic!("{:?}", made(&world)) };
    assert_eq!(line["service"], if shape == Shape::Fleet { "users" } else { "portal" });
    assert!(text(line, "file").ends_with("signing-key.pem") && text(line, "key").len() == 16, "{line}");
    world.stop().await;
    world.restart().await;
    assert!(made(&world).iter().all(|again| again == line), "{:?}", made(&world));
}

async fn one_trace_id_finds_one_click_in_every_service_that_it_reached(shape: Shape) {
    let mut world = World::with(shape, &[("PROCESS__LOG", TALKATIVE)]).await;
    let admin = world.admin().await;
    let reader = world.reader("ida").await;
    let path = format!("/users/v1/{}/consent", reader.id);
    let consent = json!({"personalisation": true, "history": true});
    let call = world.client().put(&path).token(&reader.token).json(&consent);
    call.header("traceparent", parent(CONSENT)).send().await.expect_status(200);
    // Over HTTP, through the outbox, and over the bus.
    let wanted = [("users", "answered"), ("recommendations", "a consent was stored")];
    found_in(&world, CONSENT, &wanted).await;

    // recommendations asks users again for a consent that it does not have.
    world.lose_tastes().await;
    let reader = login(world.client(), &reader.email, PASSWORD).await;
    let id = world.published("politics", "A vote", &["vote"], &admin).await;
    let read = world.client().get(&format!("/news/v1/politics/{id}?min_version=2")).token(&reader.token);
    read.header("traceparent", parent(READ)).send().await.expect_status(200);
    // Over HTTP, by a call and a message on the bus, and over gRPC.
    let wanted = [
        ("orchestrator", "answered"),
        ("politics-news", "a call was served"),
        ("recommendations", "a reading was handled"),
        ("users", "answered a call"),
    ];
    let lines = found_in(&world, READ, &wanted).await;
    let access = lines.iter().find(|it| it["target"] == "access" && it["service"] == "orchestrator");
    let access = access.expect("an access line");
    assert_eq!((&access["route"], &access["status"]), (&"/{type}/{id}".into(), &200.into()));
    assert_eq!(access["actor"], format!("{} reader", reader.id));
}

async fn a_canary_password_appears_in_no_response_no_log_and_no_file(shape: Shape) {
    const CANARY: &str = "canary-7Qz-in-a-coal-mine";
    let mut world = World::new(shape).await;
    let body = json!({"name": "Cora", "email": "cora@example.org", "password": CANARY});
    let answer = world.client().post("/users/v1/").json(&body).send().await.expect_status(201);
    assert!(!answer.text().contains(CANARY) && !answer.text().contains("argon2"));
    let reader = login(world.client(), "cora@example.org", CANARY).await;
    let wrong = json!({"email": "cora@example.org", "password": format!("{CANARY}!")});
    let refused = world.client().post("/users/v1/sessions").json(&wrong).send().await.expect_status(401);
    assert!(!refused.text().contains(CANARY));
    let odd = json!({"name": "Cora", "email": "no-address", "password": CANARY, "unknown": CANARY});
    world.client().post("/users/v1/").json(&odd).send().await.expect_status(422);
    world.stop().await;
    let messages = world.output().join("\n");
    for secret in [CANARY, "cora@example.org", &reader.token] {
        assert!(!messages.contains(secret), "a log line holds {secret}");
    }
    // In a fleet, the servers contain the data; the contract suites test what the stores write.
    if shape == Shape::OneProcess {
        no_file_holds(world.portal().data(), CANARY.as_bytes());
    }
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
