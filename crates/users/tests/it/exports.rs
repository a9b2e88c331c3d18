//! Exports over HTTP, with other services that the test answers for.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::Bytes;
use bus::{Bus, Call, CallHandler};
use kernel::{Fault, Kind, Refusal};
use prost::Message;
use proto::exports::v1::{ExportReply, ExportRequest};
use serde_json::{Value, json};
use testkit::{PATIENCE, Proxy, Vhost, wait_until};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::people::{Answer, Person, Users};

const SECTIONS: [&str; 3] = ["exports.famous-news", "exports.politics-news", "exports.sports-news"];
const RECOMMENDATIONS: &str = "exports.recommendations";
const ALL: [&str; 4] = [SECTIONS[0], SECTIONS[1], SECTIONS[2], RECOMMENDATIONS];

/// A service with two pages for each part.
struct Source {
    /// The part and the position of each call.
    calls: Mutex<Vec<(String, String)>>,
    /// True if the second page of a part can't be read now.
    is_failing: AtomicBool,
    /// Closed if calls wait.
    gate: Semaphore,
    /// A page that never ends, in the place of the two.
    endless: Option<String>,
}

impl Source {
    fn new() -> Self {
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        Self { calls: Mutex::default(), is_failing: AtomicBool::new(false), gate, endless: None }
    }

    fn failing(self) -> Self {
        self.is_failing.store(true, Ordering::SeqCst);
        self
    }

    fn gated(self) -> Self {
        Self { gate: Semaphore::new(0), ..self }
    }

    fn calls(&self) -> Vec<(String, String)> {
        self.calls.lock().expect("no panic").clone()
    }

    fn unavailable() -> Box<dyn Fault> {
        Box::new(Refusal::new(Kind::Unavailable, "unavailable", "The store does not answer."))
    }
}

#[async_trait]
impl CallHandler for Source {
    async fn call(&self, call: &Call) -> Result<Bytes, Box<dyn Fault>> {
        assert_eq!(call.method, "Export");
        assert!(call.token.is_some(), "the service can't verify who asks");
        let ExportRequest { part, after } = ExportRequest::decode(call.body.clone()).expect("a request");
        self.calls.lock().expect("no panic").push((part.clone(), after.clone()));
        let _permit = self.gate.acquire().await.expect("the gate is never closed for good");
        let item = |number: u32| json!({"part": part, "number": number}).to_string();
        if let Some(item) = &self.endless {
            let next = Some(format!("{after}x"));
            return Ok(ExportReply { items: vec![item.clone()], next, cut: false }.encode_to_vec().into());
        }
        let reply = match after.as_str() {
            "" => ExportReply { items: vec![item(1), item(2)], next: Some("2".to_owned()), cut: false },
            "2" if self.is_failing.load(Ordering::SeqCst) => return Err(Self::unavailable()),
            "2" => ExportReply { items: vec![item(3)], next: None, cut: part == "labels" },
            other => panic!("{other:?} is not a position of this service"),
        };
        Ok(reply.encode_to_vec().into())
    }
}

/// Serves these addresses until the returned token is cancelled.
async fn serve(users: &Users, addresses: &[&str], source: &Arc<Source>) -> CancellationToken {
    let url = format!("local:{}", users.folder.join("bus.db").display());
    let bus = bus::open_local(&url, &users.surroundings).await.expect("the bus is open");
    serve_on(&*bus, addresses, source).await
}

async fn serve_on(bus: &dyn Bus, addresses: &[&str], source: &Arc<Source>) -> CancellationToken {
    let stop = CancellationToken::new();
    for address in addresses {
        let serving = bus.serve("other", address, source.clone()).await.expect("is served");
        chassis::spawn("test.source", serving.run(stop.clone()));
    }
    stop
}

/// Lets every other service answer every request, for tests of something else.
pub async fn serve_every_part(users: &Users) {
    // The services run until the test ends.
    let _stop = serve(users, &ALL, &Arc::new(Source::new())).await;
}

async fn export(users: &Users, person: &Person) -> Answer {
    users.ask("GET", &format!("/{}/export", person.id)).by(person).send().await
}

fn numbers(part: &Value) -> Vec<i64> {
    let data = part["data"].as_array().expect("a list");
    data.iter().map(|item| item["number"].as_i64().expect("a number")).collect()
}

fn missing_of(service: &str, parts: &[&str]) -> Vec<Value> {
    parts.iter().map(|part| json!({"part": part, "service": service})).collect()
}

async fn count_kept(users: &Users) -> i64 {
    users.rows("users.db", "select count(*) from export_parts").await
}

async fn count_requested(users: &Users) -> i64 {
    users.rows("users.db", "select count(*) from audit where kind = 'export_requested'").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_the_parts_of_every_service_with_their_names_and_times() {
    let users = Users::new().await;
    let source = Arc::new(Source::new());
    serve(&users, &ALL, &source).await;
    let ann = users.reader("ann@example.org").await;
    let answer = export(&users, &ann).await.is(200);
    let document = &answer.json;
    assert_eq!((&document["state"], &document["missing"]), (&json!("complete"), &json!([])));
    assert_eq!(document["account"]["data"]["email"], "ann@example.org");
    assert_eq!(document["sessions"]["data"].as_array().expect("sessions").len(), 1);
    assert_eq!(document["consent"]["data"], json!({"personalisation": false, "history": false}));
    let entries = document["audit"]["data"].as_array().expect("entries");
    let kinds: Vec<&str> = entries.iter().map(|entry| entry["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["export_requested", "session_begun"]);
    let articles = document["articles"].as_array().expect("the sections");
    let services: Vec<&str> =
        articles.iter().map(|part| part["service"].as_str().expect("a service")).collect();
    assert_eq!(services, ["famous-news", "politics-news", "sports-news"]);
    for name in ["account", "sessions", "consent", "audit"] {
        assert_eq!(document[name]["service"], "users", "{name}");
        assert_eq!(document[name]["at"], "2025-11-21T08:00:00.123Z", "{name}");
    }
    for name in ["readings", "labels", "settings"] {
        assert_eq!(document[name]["service"], "recommendations", "{name}");
        assert_eq!(document[name]["cut"], name == "labels", "{name}: its service left items out");
    }
    for part in articles.iter().chain([&document["readings"], &document["labels"], &document["settings"]]) {
        assert_eq!(numbers(part), [1, 2, 3]);
        assert_eq!(part["at"], "2025-11-21T08:00:00.123Z");
    }
    assert_eq!(source.calls().len(), 12);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(count_kept(&users).await, 0, "a complete export leaves nothing behind");
    assert!(!answer.text.contains("argon2"), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_exactly_the_members_of_its_schema() {
    let users = Users::new().await;
    serve_every_part(&users).await;
    let ann = users.reader("ann@example.org").await;
    let document = export(&users, &ann).await.is(200).json;
    let openapi = serde_json::to_value(&users.service.doc).expect("JSON");
    let schemas = &openapi["components"]["schemas"];
    let properties = |schema: &Value| -> BTreeSet<String> {
        let mut open = vec![schema.clone()];
        let mut names = BTreeSet::new();
        while let Some(schema) = open.pop() {
            names.extend(schema["properties"].as_object().into_iter().flat_map(|all| all.keys().cloned()));
            open.extend(schema["allOf"].as_array().into_iter().flatten().cloned());
            let name = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next());
            open.extend(name.map(|name| schemas[name].clone()));
        }
        names
    };
    let members = |value: &Value| -> BTreeSet<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    assert_eq!(members(&document), properties(&schemas["ExportDocument"]));
    assert_eq!(members(&document["readings"]), properties(&schemas["ForeignPartView"]));
    assert_eq!(members(&document["account"]), properties(&schemas["ForeignPartView"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_stopped_service_is_named_and_the_next_request_goes_on_where_the_export_was() {
    let users = Users::new().await;
    let sections = Arc::new(Source::new());
    serve(&users, &SECTIONS, &sections).await;
    let ann = users.reader("ann@example.org").await;
    let answer = export(&users, &ann).await.is(202);
    assert_eq!((&answer.json["state"], answer.header("retry-after")), (&json!("incomplete"), "1"));
    let missing = missing_of("recommendations", &["readings", "labels", "settings"]);
    assert_eq!(answer.json["missing"], json!(missing));
    assert_eq!(answer.json["articles"].as_array().expect("the sections").len(), 3);
    assert_eq!(answer.json["readings"], Value::Null);
    assert_eq!(count_kept(&users).await, 6);
    // After a crash too, what has arrived is not asked for again.
    let users = users.crash().await;
    let others = Arc::new(Source::new());
    serve(&users, &[RECOMMENDATIONS], &others).await;
    users.pass(60);
    let answer = export(&users, &ann).await.is(200);
    assert_eq!(answer.json["articles"].as_array().expect("the sections").len(), 3);
    assert_eq!(numbers(&answer.json["labels"]), [1, 2, 3]);
    assert_eq!(answer.json["labels"]["at"], "2025-11-21T08:01:00.123Z");
    assert_eq!(answer.json["articles"][0]["at"], "2025-11-21T08:00:00.123Z");
    assert_eq!((sections.calls().len(), others.calls().len()), (6, 6));
    assert_eq!(count_kept(&users).await, 0);
    assert_eq!(count_requested(&users).await, 1, "one export, one entry");
    // The next request begins a new export.
    let everything = Arc::new(Source::new());
    serve(&users, &SECTIONS, &everything).await;
    export(&users, &ann).await.is(200);
    assert_eq!(count_requested(&users).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stops_between_two_pages_is_asked_for_the_second_one_alone() {
    let users = Users::new().await;
    let source = Arc::new(Source::new().failing());
    serve(&users, &ALL, &source).await;
    let ann = users.reader("ann@example.org").await;
    let answer = export(&users, &ann).await.is(202);
    assert_eq!(answer.json["missing"].as_array().expect("parts").len(), 6);
    assert_eq!(answer.json["articles"], json!([]), "a part is shown when it is complete");
    source.is_failing.store(false, Ordering::SeqCst);
    let answer = export(&users, &ann).await.is(200);
    assert_eq!(numbers(&answer.json["readings"]), [1, 2, 3]);
    let first_pages = source.calls().into_iter().filter(|(_, after)| after.is_empty()).count();
    assert_eq!(first_pages, 6, "each part was begun once");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_at_once_lose_nothing_of_each_other() {
    let users = Users::new().await;
    serve(&users, &SECTIONS, &Arc::new(Source::new())).await;
    let ann = users.reader("ann@example.org").await;
    let (one, other) = tokio::join!(export(&users, &ann), export(&users, &ann));
    for answer in [one, other] {
        assert_eq!(answer.is(202).json["articles"].as_array().expect("the sections").len(), 3);
    }
    assert_eq!(count_kept(&users).await, 6, "they are one export");
    // Two requests that end it both get everything, even if one of them discards the parts before the other.
    serve(&users, &[RECOMMENDATIONS], &Arc::new(Source::new())).await;
    let (one, other) = tokio::join!(export(&users, &ann), export(&users, &ann));
    for answer in [one, other] {
        let document = answer.is(200).json;
        assert_eq!((&document["missing"], numbers(&document["labels"])), (&json!([]), vec![1, 2, 3]));
    }
    assert_eq!(count_kept(&users).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_is_stored_after_an_erasure_that_overtakes_the_export() {
    for kept_before in [false, true] {
        let users = Users::new().await;
        let ann = users.reader("ann@example.org").await;
        if kept_before {
            export(&users, &ann).await.is(202);
            assert_eq!(count_kept(&users).await, 6);
        }
        let slow = Arc::new(Source::new().gated());
        serve(&users, &ALL, &slow).await;
        let erase = async {
            wait_until("an export that waits for its parts", PATIENCE, || {
                std::future::ready((slow.calls().len() == 6).then_some(()))
            })
            .await;
            users.ask("DELETE", &format!("/{}", ann.id)).by(&ann).send().await.is(202);
            assert_eq!(count_kept(&users).await, 0, "an erasure deletes parts at once");
            slow.gate.add_permits(Semaphore::MAX_PERMITS);
        };
        let (answer, ()) = tokio::join!(export(&users, &ann), erase);
        let answer = answer.refused(404, "not_found");
        assert!(!answer.text.contains("ann@example.org"), "{}", answer.text);
        assert_eq!(count_kept(&users).await, 0);
        export(&users, &ann).await.refused(401, "invalid_token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_export_stores_nothing_after_an_erasure() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let slow = Arc::new(Source::new().gated());
    serve(&users, &ALL, &slow).await;
    let erase = async {
        wait_until("an export that waits for its parts", PATIENCE, || {
            std::future::ready((slow.calls().len() == 6).then_some(()))
        })
        .await;
        users.ask("DELETE", &format!("/{}", ann.id)).by(&ann).send().await.is(202);
    };
    // The gate stays closed, so the export ends with its deadline.
    let (answer, ()) = tokio::join!(export(&users, &ann), erase);
    answer.refused(404, "not_found");
    assert_eq!(count_kept(&users).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_too_large_ends_at_its_bound_and_says_so() {
    let users = Users::new().await;
    let item = json!({"number": 1, "text": "x".repeat(3 * 1024 * 1024)}).to_string();
    let source = Arc::new(Source { endless: Some(item), ..Source::new() });
    serve(&users, &SECTIONS[..1], &source).await;
    serve(&users, &ALL[1..], &Arc::new(Source::new())).await;
    let ann = users.reader("ann@example.org").await;
    let document = export(&users, &ann).await.is(200).json;
    assert_eq!(
        (&document["articles"][0]["cut"], &document["articles"][1]["cut"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(numbers(&document["articles"][0]), [1, 1]);
    assert_eq!(source.calls().len(), 3, "the service is not asked further");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_deleted_after_a_day_and_with_the_account() {
    let users = Users::new().await;
    let (ann, bob) = (users.reader("ann@example.org").await, users.reader("bob@example.org").await);
    for person in [&ann, &bob] {
        export(&users, person).await.is(202);
    }
    assert_eq!(count_kept(&users).await, 12);
    users.ask("DELETE", &format!("/{}", bob.id)).by(&bob).send().await.is(202);
    assert_eq!(count_kept(&users).await, 6);
    users.pass(23 * 60 * 60);
    users.settle().await;
    assert_eq!(count_kept(&users).await, 6);
    users.pass(61 * 60);
    users.settle().await;
    assert_eq!(count_kept(&users).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_person_exports_with_a_session_that_has_not_ended() {
    let users = Users::new().await;
    serve_every_part(&users).await;
    let (ann, bob, admin) =
        (users.reader("ann@example.org").await, users.reader("bob@example.org").await, users.admin().await);
    for other in [&bob, &admin] {
        let path = format!("/{}/export", ann.id);
        users.ask("GET", &path).by(other).send().await.refused(403, "role_required");
    }
    export(&users, &ann).await.is(200);
    users.ask("DELETE", &format!("/{}/sessions", ann.id)).by(&ann).send().await.is(204);
    export(&users, &ann).await.refused(401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_makes_two_exports_at_a_time() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    // No other service is there, so each export takes until the deadline.
    let answers = futures::future::join_all((0..4).map(|_| export(&users, &ann))).await;
    let busy: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert_eq!(busy.len(), 2);
    for answer in busy {
        assert_eq!((&answer.json["code"], answer.header("retry-after")), (&json!("busy"), "1"));
    }
    // The places are free again when the answers were sent.
    export(&users, &ann).await.is(202);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn an_export_while_the_broker_is_silent_or_down_names_every_part_and_goes_on_when_it_is_back() {
    let vhost = Vhost::new().await;
    let proxy = Proxy::of(vhost.address()).await;
    let url = vhost.url_through(proxy.address());
    let users = Users::with(|config| config.bus.url = url.into()).await;
    let ann = users.reader("ann@example.org").await;
    let services = bus::open(&vhost.url(), &users.surroundings).await.expect("the broker answers").bus;
    let source = Arc::new(Source::new());
    serve_on(&*services, &ALL, &source).await;
    export(&users, &ann).await.is(200);

    proxy.freeze();
    let answer = export(&users, &ann).await.is(202);
    assert_eq!(answer.json["missing"].as_array().expect("parts").len(), 6);
    assert_eq!(answer.json["account"]["data"]["email"], "ann@example.org");
    proxy.thaw();
    wait_until("a complete export", PATIENCE, || async {
        (export(&users, &ann).await.status == 200).then_some(())
    })
    .await;

    drop(proxy);
    let answer = export(&users, &ann).await.is(202);
    assert_eq!(answer.json["missing"].as_array().expect("parts").len(), 6);
    assert_eq!(count_kept(&users).await, 6);
}
