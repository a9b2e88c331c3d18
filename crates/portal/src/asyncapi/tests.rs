//! The document compared with the bus of a portal in which every event happens, and with the definitions of
//! the broker.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bus::{Bus, Call, Envelope, Handler, Pattern, Queue, Subscription};
use bytes::Bytes;
use chassis::{Host, Internal, spawn};
use kernel::{Clock, Fault, Section, SystemClock};
use regex::Regex;
use testkit::{Client, Folder, PATIENCE, wait_until};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::gateway;

const ADMIN: &str = "admin@example.org";
const PASSWORD: &str = "correct horse battery";

/// A message on the bus: its sender, its routing key, its type.
type Seen = (String, String, String);

#[derive(Default, Clone)]
struct Recorder(Arc<Mutex<BTreeSet<Seen>>>);

impl Recorder {
    fn seen(&self) -> BTreeSet<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Handler for Recorder {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        let seen = (message.source.clone(), message.key.clone(), message.kind.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(seen);
        Ok(())
    }
}

/// A portal of this test, with a record of all messages on its bus.
struct RecordedPortal {
    client: Client,
    bus: Arc<bus::LocalBus>,
    seen: Recorder,
    stop: CancellationToken,
    _folder: Folder,
}

impl RecordedPortal {
    async fn start() -> Self {
        let folder = Folder::new();
        let flags = Flags { data_dir: Some(folder.path().to_owned()), ..Flags::default() };
        let mut loaded = config::load_without_environment(&flags).expect("the default configuration");
        loaded.process.edge.throttle = chassis::http::ThrottleConfig::none();
        loaded.service.users.bootstrap_admin.email = ADMIN.to_owned();
        loaded.service.users.bootstrap_admin.password = PASSWORD.to_owned().into();
        let surroundings = Surroundings::one_process();
        let bus = bus::open_local(loaded.service.users.bus.url.expose(), &surroundings).await.expect("opens");
        let (seen, stop) = (Recorder::default(), CancellationToken::new());
        let listening =
            bus.subscribe(Subscription::broadcast("listener", ["#"]), Arc::new(seen.clone())).await;
        spawn("test.listener", listening.expect("listens").run(stop.clone()));
        let services = run::build(loaded.service, &surroundings).await.expect("builds");
        let router = gateway::router(&services).expect("a router");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let client = Client::new(&format!("http://{}", listener.local_addr().expect("an address")));
        let host = Host {
            name: "portal",
            services,
            process: loaded.process,
            fingerprint: loaded.fingerprint,
            internal: Internal::Disabled,
        };
        let ending = stop.clone();
        spawn("test.portal", async move { drop(host.run(listener, router, None, ending, |_| {}).await) });
        Self { client, bus, seen, stop, _folder: folder }
    }

    async fn login(&self, email: &str) -> (String, String) {
        let body = json!({"email": email, "password": PASSWORD});
        let session =
            self.client.post("/users/v1/sessions").json(&body).send().await.expect_status(201).json();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&session["user"]["id"]), text(&session["access_token"]))
    }

    /// Does a step with an article, and counts its version up.
    async fn step(&self, token: &str, method: &str, path: &str, version: &mut u32, body: Option<Value>) {
        let call = self.client.request(method.parse().expect("a method"), path).token(token);
        let call = body.iter().fold(call, |call, body| call.json(body));
        let answer = call.header("if-match", format!("\"v{version}\"")).send().await;
        assert!(answer.is_success(), "{answer}");
        *version += 1;
    }

    /// Lets everything happen that can happen to an article.
    async fn live_through(&self, section: Section, admin: &str, reader: &str) {
        let base = format!("/news/v1/{section}");
        let story =
            json!({"title": "A bridge opens", "content": "It was closed for years.", "tags": ["bridges"]});
        let drafted =
            self.client.post(&base).token(admin).json(&story).send().await.expect_status(201).json();
        let path = format!("{base}/{}", drafted["news"]["id"].as_str().expect("an id"));
        let mut version = 1;
        let patch = |title: &str| Some(json!({"title": title}));
        self.step(admin, "PATCH", &path, &mut version, patch("A bridge opens again")).await;
        self.step(admin, "POST", &format!("{path}/publish"), &mut version, None).await;
        self.step(admin, "PATCH", &path, &mut version, patch("The bridge is open")).await;
        self.client
            .get(&format!("{path}?min_version={version}"))
            .token(reader)
            .send()
            .await
            .expect_status(200);
        self.step(admin, "POST", &format!("{path}/restore"), &mut version, Some(json!({"version": 2}))).await;
        self.step(admin, "POST", &format!("{path}/unpublish"), &mut version, None).await;
        self.step(admin, "DELETE", &path, &mut version, None).await;
        self.step(admin, "POST", &format!("{path}/undelete"), &mut version, None).await;
        self.live_through_the_newsroom(&base, &story, admin).await;
    }

    /// Everything that happens to an article between its draft and its retraction.
    async fn live_through_the_newsroom(&self, base: &str, story: &Value, admin: &str) {
        let drafted = self.client.post(base).token(admin).json(story).send().await.expect_status(201).json();
        let path = format!("{base}/{}", drafted["news"]["id"].as_str().expect("an id"));
        let later = SystemClock.now().plus(std::time::Duration::from_secs(3_600));
        let mut version = 1;
        for (command, body) in [
            ("submit", None),
            ("return", Some(json!({"note": "Which bridge?"}))),
            ("submit", None),
            ("approve", None),
            ("schedule", Some(json!({"at": later.to_string()}))),
            ("unschedule", None),
            ("publish", None),
            ("correct", Some(json!({"kind": "note", "text": "It rained."}))),
            ("retract", Some(json!({"reason": "There is no bridge."}))),
            ("reinstate", None),
        ] {
            self.step(admin, "POST", &format!("{path}/{command}"), &mut version, body).await;
        }
    }

    /// Registers a reader, who allows everything. Both are events that other services receive.
    async fn consenting_reader(&self) -> (String, String) {
        let email = "vera@example.org";
        let body = json!({"name": "Vera", "email": email, "password": PASSWORD});
        self.client.post("/users/v1/").json(&body).send().await.expect_status(201);
        let (id, token) = self.login(email).await;
        let consent = json!({"personalisation": true, "history": true});
        let path = format!("/users/v1/{id}/consent");
        self.client.put(&path).token(&token).json(&consent).send().await.expect_status(200);
        self.login(email).await
    }
}

impl Drop for RecordedPortal {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn parsed_document() -> Value {
    serde_json::from_str(&document().await.expect("the document")).expect("it is JSON")
}

/// Returns the messages that the document describes, with their senders and keys.
fn published(document: &Value) -> BTreeSet<Seen> {
    let mut all = BTreeSet::new();
    for operation in document["operations"].as_object().expect("operations").values() {
        let channel = at(document, &operation["channel"]);
        let address = channel["address"].as_str().unwrap_or_default();
        let exchange = &channel["bindings"]["amqp"]["exchange"]["name"];
        if operation["action"] != "send" || exchange != EVENTS {
            continue;
        }
        let message = at(document, at(document, &operation["messages"][0]));
        let kind = message["name"].as_str().expect("a message has a name");
        let senders: Vec<&str> = texts(&operation["x-services"]);
        let values = |name: &str| channel["parameters"][name]["enum"].as_array().cloned();
        let filled = |name: &str| -> Option<Vec<String>> {
            let parameter = format!("{{{name}}}");
            let of = |value: &Value| address.replace(&parameter, value.as_str().expect("a text"));
            values(name).map(|values| values.iter().map(of).collect())
        };
        let keys =
            filled("section").or_else(|| filled("service")).unwrap_or_else(|| vec![address.to_owned()]);
        for (index, key) in keys.into_iter().enumerate() {
            let sender = if senders.len() == 1 { senders[0] } else { senders[index] };
            all.insert((sender.to_owned(), key, kind.to_owned()));
        }
    }
    all
}

/// Returns the target of a reference.
fn at<'a>(document: &'a Value, reference: &Value) -> &'a Value {
    let pointer = reference["$ref"].as_str().expect("a reference").trim_start_matches('#');
    document.pointer(pointer).unwrap_or_else(|| panic!("{pointer} has no target"))
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_messages_are_exactly_those_of_the_document() {
    let portal = RecordedPortal::start().await;
    let (_, admin) = portal.login(ADMIN).await;
    let (id, reader) = portal.consenting_reader().await;
    for section in Section::ALL {
        portal.live_through(section, &admin, &reader).await;
    }
    let path = format!("/users/v1/{id}");
    portal.client.delete(&path).token(&reader).send().await.expect_status(202);
    let expected = published(&parsed_document().await);
    assert!(expected.len() > 25, "the document has too few messages: {expected:#?}");
    wait_until("all messages of the document", PATIENCE, || {
        let seen = portal.seen.seen();
        std::future::ready(expected.is_subset(&seen).then_some(()))
    })
    .await;
    assert_eq!(portal.seen.seen(), expected);
}

#[tokio::test]
async fn the_subscribed_queues_and_their_keys_are_exactly_those_of_the_document() {
    let portal = RecordedPortal::start().await;
    let document = parsed_document().await;
    let name = |subscription: &Subscription| match &subscription.queue {
        Queue::Durable(name) => name.clone(),
        Queue::Broadcast => format!("{}.broadcast", subscription.service),
    };
    let real = portal.bus.declarations().subscriptions.into_iter().filter(|it| it.service != "listener");
    let real: BTreeSet<_> = real.map(|it| (name(&it), it.service.to_owned(), it.keys)).collect();
    let operations = document["operations"].as_object().expect("operations");
    let received = operations.iter().filter(|(_, operation)| operation["action"] == "receive");
    let written: BTreeSet<_> = received
        .map(|(id, operation)| {
            let keys = texts(&at(&document, &operation["channel"])["x-bound-to"]["keys"]);
            let name = id.strip_suffix(".receive").expect("an operation that receives").to_owned();
            let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
            (name, texts(&operation["x-services"])[0].to_owned(), keys)
        })
        .collect();
    assert_eq!(written, real);
    assert!(written.len() >= 8, "{written:#?}");
}

#[tokio::test]
async fn the_served_calls_are_exactly_those_of_the_document() {
    let portal = RecordedPortal::start().await;
    let document = parsed_document().await;
    let addresses = ["news.calls", "exports.calls"]
        .iter()
        .flat_map(|channel| document["channels"][channel]["x-served-by"].as_object().expect("addresses"));
    let served: BTreeSet<_> =
        portal.bus.declarations().served.into_iter().map(|(by, at)| (at, by.to_owned())).collect();
    let described: BTreeSet<_> =
        addresses.map(|(at, by)| (at.clone(), by.as_str().expect("a service").to_owned())).collect();
    assert_eq!(described, served);
    let messages = document["channels"]["news.calls"]["messages"].as_object().expect("calls");
    let methods: BTreeSet<&str> = messages.keys().map(|name| name.trim_end_matches("Request")).collect();
    let source = include_str!("../../../news/src/calls.rs");
    let arms = source.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" => self."));
    assert_eq!(methods, arms.map(|(method, _)| method).collect());
    for method in methods {
        let call = Call { method: method.to_owned(), body: Bytes::new(), token: None, idempotency_key: None };
        let refused = portal.bus.call("news.sports.calls", call).await;
        let unknown = refused.as_ref().is_err_and(|it| it.detail.contains("no such method"));
        assert!(!unknown, "{method}: {refused:?}");
    }
    let messages = document["channels"]["exports.calls"]["messages"].as_object().expect("calls");
    assert_eq!(messages.keys().collect::<Vec<_>>(), ["ExportRequest"]);
    for address in served.iter().map(|(at, _)| at).filter(|at| at.starts_with("exports.")) {
        let call =
            Call { method: "Export".to_owned(), body: Bytes::new(), token: None, idempotency_key: None };
        let refusal = portal.bus.call(address, call).await.expect_err("it has no token");
        assert_eq!(refusal.code.as_str(), "unauthenticated", "{address}");
    }
}

#[tokio::test]
async fn every_reference_has_a_target_and_every_message_a_description() {
    let document = parsed_document().await;
    let mut open = vec![&document];
    let mut references = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Object(object) => {
                if object.contains_key("$ref") {
                    at(&document, value);
                    references += 1;
                }
                open.extend(object.values());
            }
            Value::Array(list) => open.extend(list),
            _ => {}
        }
    }
    assert!(references > 100, "only {references} references");
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        assert!(schema["description"].as_str().is_some_and(|it| !it.is_empty()), "{name} has no description");
    }
}

#[tokio::test]
async fn the_served_document_is_generated_from_the_code() {
    let now = document().await.expect("the document");
    assert!(
        now == crate::documents::ASYNCAPI,
        "nginx/html/asyncapi.json differs from the code. Generate it: cargo run -p portal -- documents nginx/html"
    );
}

#[tokio::test]
async fn the_definitions_of_the_broker_allow_what_the_document_describes() {
    let definitions: Value =
        serde_json::from_str(include_str!("../../../../queue/definitions.json")).expect("JSON");
    let rows = |name: &str| definitions[name].as_array().expect("a list").clone();
    let may = |user: &str, exchange: &str, what: &str, key: &str| {
        let permissions = rows("topic_permissions");
        let of = permissions.iter().find(|row| row["user"] == user && row["exchange"] == exchange);
        let pattern = of.and_then(|row| row[what].as_str()).unwrap_or("^$").to_owned();
        Regex::new(&pattern).expect("a pattern").is_match(key)
    };
    let document = parsed_document().await;
    let (mut publishing, mut forwarded) = (BTreeSet::new(), BTreeSet::new());
    for (service, key, _) in published(&document) {
        let exchange = format!("{service}.events");
        assert!(may(&service, &exchange, "write", &key), "{service} may not publish {key}");
        let binding = rows("bindings").into_iter().find(|row| {
            let pattern = row["routing_key"].as_str().expect("a key").parse::<Pattern>().expect("a pattern");
            row["source"] == exchange.as_str() && row["destination"] == EVENTS && pattern.matches(&key)
        });
        let binding = binding.unwrap_or_else(|| panic!("no binding forwards {key} of {service}"));
        forwarded.insert(binding["routing_key"].as_str().expect("a key").to_owned());
        publishing.insert(exchange);
    }
    let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
    let bound_to = |target: &str| -> BTreeSet<(String, String)> {
        let bindings = rows("bindings").into_iter().filter(|row| row["destination"] == target);
        bindings.map(|row| (text(&row, "source"), text(&row, "routing_key"))).collect()
    };
    let bound: BTreeSet<_> = bound_to(EVENTS).into_iter().map(|(_, key)| key).collect();
    assert_eq!(bound, forwarded, "a binding that no message uses");
    let calling = [("orchestrator.calls", "news.#"), ("users.calls", "exports.#")];
    let calling = calling.map(|(exchange, key)| (exchange.to_owned(), key.to_owned()));
    assert_eq!(bound_to(CALLS), BTreeSet::from(calling.clone()));
    publishing.extend(calling.map(|(exchange, _)| exchange));
    let exchanges: BTreeSet<_> = rows("exchanges")
        .iter()
        .map(|row| text(row, "name"))
        .filter(|it| !it.starts_with("portal."))
        .collect();
    assert_eq!(exchanges, publishing, "an exchange to which no service publishes");
    let channels = document["channels"].as_object().expect("channels");
    let operations = document["operations"].as_object().expect("operations");
    for (name, channel) in channels.iter().filter(|(_, channel)| channel["x-bound-to"].is_object()) {
        let service = texts(&operations[&format!("{name}.receive")]["x-services"])[0];
        for key in texts(&channel["x-bound-to"]["keys"]) {
            assert!(may(service, EVENTS, "read", key), "{service} may not subscribe to {key}");
        }
    }
    for (channel, caller) in [("news.calls", "orchestrator"), ("exports.calls", "users")] {
        assert_calls_are_allowed(&may, &document["channels"][channel]["x-served-by"], caller);
        for operation in operations
            .values()
            .filter(|it| it["channel"]["$ref"].as_str().expect("a channel").ends_with(channel))
        {
            assert_eq!(operation["x-services"], json!([caller]));
        }
    }
}

/// Checks that the services may serve these addresses, and that only `caller` may call them.
fn assert_calls_are_allowed(may: &impl Fn(&str, &str, &str, &str) -> bool, served: &Value, caller: &str) {
    for (address, service) in served.as_object().expect("addresses") {
        let service = service.as_str().expect("a service");
        assert!(may(service, CALLS, "read", address), "{service} may not serve {address}");
        assert!(
            may(service, "portal.replies", "write", &format!("{caller}.replies.x")),
            "{service} may not reply"
        );
        for sender in
            ["orchestrator", "users", "recommendations", "famous-news", "politics-news", "sports-news"]
        {
            assert!(!may(sender, CALLS, "write", address), "{sender} writes to {CALLS} itself");
            let own = format!("{sender}.calls");
            assert_eq!(may(sender, &own, "write", address), sender == caller, "{sender} calls {address}");
        }
    }
    assert!(may(caller, "portal.replies", "read", &format!("{caller}.replies.x")), "{caller} gets no reply");
}
