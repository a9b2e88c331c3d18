//! Traces that the portal exports to a collector. Metrics are in `counts.rs`.

mod collector;

use serde_json::json;
use system_tests::{Account, PASSWORD, Shape, World, login, scenarios, text_of};
use testkit::{PATIENCE, Request, wait_until};

use self::collector::SpanKind::{Client, Consumer, Producer, Server};
use self::collector::{Collector, ExpectedSpan};

scenarios! {
    on both shapes:
        every_service_that_takes_part_in_a_click_exports_its_spans_over_http_and_grpc,
        the_trace_of_a_reading_leads_from_the_click_to_the_service_that_counts_it,
        the_trace_of_a_publication_leads_from_the_click_through_the_outbox_to_every_consumer,
        a_change_of_consent_is_published_through_the_outbox_of_users,
        a_request_whose_caller_does_not_sample_is_not_exported,
        a_healthy_start_writes_no_error;
}

/// The span of the test: the parent of the spans of the portal.
const TEST: [u8; 8] = *b"thetests";

/// A call in this trace.
fn in_trace(call: Request, trace: &[u8; 16], flags: &str) -> Request {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    call.header("traceparent", format!("00-{}-{}-{flags}", hex(trace), hex(&TEST)))
}

async fn traced_world(shape: Shape) -> (Collector, World) {
    let collector = Collector::start().await;
    let world = World::with(shape, &collector.settings()).await;
    (collector, world)
}

async fn every_service_that_takes_part_in_a_click_exports_its_spans_over_http_and_grpc(shape: Shape) {
    const TRACE: [u8; 16] = *b"the front page..";
    const TASTE: &str = "portal.recommendations.v1.Recommendations/GetTaste";
    let (collector, world) = traced_world(shape).await;
    let reader = world.consenting_reader("odo").await;
    let home = || world.client().get("/news/v1/home").token(&reader.token);
    // The front page waits 300 ms for each section. On a busy machine, the first request of a new portal
    // takes longer.
    wait_until("a front page", PATIENCE, || async { home().send().await.is_success().then_some(()) }).await;
    in_trace(home(), &TRACE, "01").send().await.expect_status(200);
    let steps = [
        ("orchestrator", Server, "GET /home"),
        ("orchestrator", Client, TASTE),
        ("recommendations", Server, TASTE),
    ];
    collector.path(&TRACE, &TEST, &steps).await;
}

async fn the_trace_of_a_reading_leads_from_the_click_to_the_service_that_counts_it(shape: Shape) {
    const TRACE: [u8; 16] = *b"a reader's click";
    let (collector, world) = traced_world(shape).await;
    let admin = world.admin().await;
    let reader = world.consenting_reader("ida").await;
    let id = world.published("sports", "A match", &["match"], &admin).await;
    read(&world, &id, &reader, &TRACE).await;
    let page: ExpectedSpan = ("orchestrator", Server, "GET /{type}/{id}");
    let call: [ExpectedSpan; 2] = [
        ("orchestrator", Client, "news.sports.calls/GetArticle"),
        ("sports-news", Server, "news.sports.calls/GetArticle"),
    ];
    collector.path(&TRACE, &TEST, &[page, call[0], call[1]]).await;
    let publish = ("orchestrator", Producer, "publish reading.sports.read");
    let process = ("recommendations", Consumer, "process recommendations.reading");
    let counted = collector.path(&TRACE, &TEST, &[page, publish, process]).await;
    let text = |name: &str| counted.texts.get(name).map(String::as_str);
    let system = if shape == Shape::Fleet { "rabbitmq" } else { "portal.local" };
    assert_eq!(text("messaging.system"), Some(system));
    assert_eq!(text("messaging.operation.type"), Some("process"));
    assert_eq!(text("messaging.destination.name"), Some("reading.sports.read"));
    assert!(!counted.failed, "{counted:?}");
}

async fn read(world: &World, id: &str, reader: &Account, trace: &[u8; 16]) {
    let call = world.client().get(&format!("/news/v1/sports/{id}?min_version=2")).token(&reader.token);
    in_trace(call, trace, "01").send().await.expect_status(200);
}

async fn the_trace_of_a_publication_leads_from_the_click_through_the_outbox_to_every_consumer(shape: Shape) {
    const TRACE: [u8; 16] = *b"an editors click";
    let (collector, world) = traced_world(shape).await;
    let admin = world.admin().await;
    let draft = world.draft("politics", "A vote", &["vote"], &admin).await;
    let path = format!("/news/v1/politics/{}/publish", text_of(&draft["id"]));
    let publish = world.client().post(&path).token(&admin.token).header("if-match", "\"v1\"");
    in_trace(publish, &TRACE, "01").send().await.expect_status(200);
    let way: [ExpectedSpan; 4] = [
        ("orchestrator", Server, "POST /{type}/{id}/publish"),
        ("orchestrator", Client, "news.politics.calls/Command"),
        ("politics-news", Server, "news.politics.calls/Command"),
        ("politics-news", Producer, "publish news.politics.published"),
    ];
    for heard in [
        ("politics-news", Consumer, "process politics-news.projection"),
        ("orchestrator", Consumer, "process orchestrator.broadcast"),
    ] {
        let steps = [way[0], way[1], way[2], way[3], heard];
        collector.path(&TRACE, &TEST, &steps).await;
    }
}

async fn a_change_of_consent_is_published_through_the_outbox_of_users(shape: Shape) {
    const TRACE: [u8; 16] = *b"a change of mind";
    let (collector, world) = traced_world(shape).await;
    let reader = world.reader("odo").await;
    let reader = login(world.client(), &reader.email, PASSWORD).await;
    let consent = json!({"personalisation": true, "history": true});
    let call = world.client().put(&format!("/users/v1/{}/consent", reader.id)).token(&reader.token);
    in_trace(call.json(&consent), &TRACE, "01").send().await.expect_status(200);
    let steps = [
        ("users", Server, "PUT /{id}/consent"),
        ("users", Producer, "publish users.consent_changed"),
        ("recommendations", Consumer, "process recommendations.users"),
    ];
    collector.path(&TRACE, &TEST, &steps).await;
}

async fn a_request_whose_caller_does_not_sample_is_not_exported(shape: Shape) {
    const SILENT: [u8; 16] = *b"not to be record";
    const LOUD: [u8; 16] = *b"to be recorded..";
    let (collector, world) = traced_world(shape).await;
    let admin = world.admin().await;
    let reader = world.consenting_reader("ida").await;
    let id = world.published("sports", "A match", &["match"], &admin).await;
    let path = format!("/news/v1/sports/{id}?min_version=2");
    let silent = world.client().get(&path).token(&reader.token);
    in_trace(silent, &SILENT, "00").send().await.expect_status(200);
    read(&world, &id, &reader, &LOUD).await;
    let steps = [
        ("orchestrator", Server, "GET /{type}/{id}"),
        ("orchestrator", Producer, "publish reading.sports.read"),
        ("recommendations", Consumer, "process recommendations.reading"),
    ];
    collector.path(&LOUD, &TEST, &steps).await;
    assert!(collector.spans_of(&SILENT).is_empty(), "{:#?}", collector.spans_of(&SILENT));
}

async fn a_healthy_start_writes_no_error(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    world.published("sports", "A match", &["match"], &admin).await;
    let lines = world.output();
    assert!(lines.iter().any(|line| line.contains("\"message\":\"ready\"")), "{lines:#?}");
    let errors: Vec<_> = lines.iter().filter(|line| line.contains("\"level\":\"ERROR\"")).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}
