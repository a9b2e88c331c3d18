//! The permissions of `queue/definitions.json`: each service can do its own work, and nothing of another's.

use lapin::ExchangeKind;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use super::*;

/// Services on a new virtual host, with the permissions that they have in the fleet.
struct Fleet {
    vhost: Vhost,
    suffix: String,
}

impl Fleet {
    async fn new() -> Self {
        let vhost = Vhost::new().await;
        // Users belong to the whole broker.
        let suffix = vhost.name().to_owned();
        let definitions = definitions();
        for exchange in definitions["exchanges"].as_array().expect("a list") {
            let path = format!("/api/exchanges/{}/{}", vhost.name(), text(exchange, "name"));
            vhost.manage(http::Method::PUT, &path, Some(exchange)).await;
        }
        for binding in definitions["bindings"].as_array().expect("a list") {
            let (from, to) = (text(binding, "source"), text(binding, "destination"));
            let path = format!("/api/bindings/{}/e/{from}/e/{to}", vhost.name());
            vhost.manage(http::Method::POST, &path, Some(binding)).await;
        }
        Self { vhost, suffix }
    }

    async fn service(&self, name: &str) -> AmqpBus {
        let definitions = definitions();
        let of = |list: &str| -> Vec<Value> {
            let all = definitions[list].as_array().expect("a list").clone();
            all.into_iter().filter(|grant| grant["user"] == name).collect()
        };
        let user = format!("{name}-{}", self.suffix);
        let permissions = of("permissions");
        let [grant] = permissions.as_slice() else { panic!("one grant for {name}") };
        let pattern = |action: &str| grant[action].as_str().expect("a pattern").to_owned();
        let (configure, write, read) = (pattern("configure"), pattern("write"), pattern("read"));
        let url = self.vhost.user_with(&user, &configure, &write, &read).await;
        for topic in of("topic_permissions") {
            let path = format!("/api/topic-permissions/{}/{user}", self.vhost.name());
            let body = json!({"exchange": topic["exchange"], "write": topic["write"], "read": topic["read"]});
            self.vhost.manage(http::Method::PUT, &path, Some(&body)).await;
        }
        // Its names begin with the service's name, although the user has a suffix.
        let uri = crate::amqp::parse_url(&url).expect("a URL");
        AmqpBus::open_as(name, &uri, Schedule::new([Duration::from_millis(5)])).await.expect("the bus opens")
    }

    async fn end(self, services: &[&str]) {
        for name in services {
            self.vhost.remove_user(&format!("{name}-{}", self.suffix)).await;
        }
    }
}

fn definitions() -> Value {
    serde_json::from_str(include_str!("../../../../../queue/definitions.json")).expect("is JSON")
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name].as_str().expect("text")
}

fn assert_refused<T>(outcome: Result<T, BusError>, what: &str) {
    match outcome {
        Err(BusError::Refused(_)) => {}
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what} is allowed"),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn each_service_can_do_its_own_work_with_its_own_credentials() {
    let fleet = Fleet::new().await;
    let (orchestrator, sports) = (fleet.service("orchestrator").await, fleet.service("sports-news").await);
    let recommendations = fleet.service("recommendations").await;
    for bus in [&orchestrator, &sports, &recommendations] {
        bus.ping().await.expect("the broker answers");
    }
    let projection = Subscription::durable("sports-news", "sports-news.projection", ["news.sports.#"]);
    let reading = Subscription::durable("recommendations", "recommendations.reading", ["reading.#"]);
    let live = Subscription::broadcast("orchestrator", ["news.#"]);
    let (handler, mut received) = reporting();
    let running = [
        start(sports.subscribe(projection, handler.clone()).await.expect("its own queue")),
        start(recommendations.subscribe(reading, handler.clone()).await.expect("its own queue")),
        start(orchestrator.subscribe(live, handler).await.expect("its own queue")),
        start(
            sports
                .serve("sports-news", "news.sports.calls", Arc::new(CountingServer::default()))
                .await
                .expect("the address is served"),
        ),
    ];
    let answer = orchestrator.call("news.sports.calls", call("Find")).await;
    assert_eq!(answer, Ok(Bytes::from_static(b"body")));
    sports.publish(vec![message("news.sports.published", "news")]).await.expect("its own key");
    orchestrator.publish(vec![message("reading.sports.read", "reading")]).await.expect("its own key");
    let mut got = [next(&mut received).await, next(&mut received).await, next(&mut received).await];
    got.sort();
    assert_eq!(got, ["news", "news", "reading"]);
    for (stop, done) in running {
        stop.cancel();
        done.await.expect("the task does not panic");
    }
    fleet.end(&["orchestrator", "sports-news", "recommendations"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn no_service_can_use_the_queues_keys_or_addresses_of_another() {
    let fleet = Fleet::new().await;
    let (users, sports) = (fleet.service("users").await, fleet.service("sports-news").await);
    let (handler, _seen) = reporting();
    let foreign = Subscription::durable("recommendations", "recommendations.reading", ["reading.#"]);
    assert_refused(users.subscribe(foreign, handler.clone()).await.map(drop), "a queue of another service");
    let published = users.publish(vec![message("news.sports.published", "forged")]).await;
    assert_refused(published, "an event of another service");
    let server_calls = Arc::new(CountingServer::default());
    assert_refused(
        users.serve("users", "news.sports.calls", server_calls.clone()).await.map(drop),
        "an address of another",
    );
    assert_refused(
        sports.serve("sports-news", "news.famous.calls", server_calls.clone()).await.map(drop),
        "a sister's address",
    );
    let (stop, done) = start(
        sports.serve("sports-news", "news.sports.calls", server_calls).await.expect("the address is served"),
    );
    let refusal =
        users.call("news.sports.calls", call("Find")).await.expect_err("only the orchestrator calls");
    assert_eq!(refusal.kind, Kind::Unavailable);
    stop.cancel();
    done.await.expect("the task does not panic");
    fleet.end(&["users", "sports-news"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn only_users_gets_the_parts_of_an_export() {
    let fleet = Fleet::new().await;
    let (users, orchestrator) = (fleet.service("users").await, fleet.service("orchestrator").await);
    let (sports, recommendations) =
        (fleet.service("sports-news").await, fleet.service("recommendations").await);
    let server_calls = Arc::new(CountingServer::default());
    let address_of = |service: &str| format!("exports.{service}");
    let mut running = Vec::new();
    for (service, bus) in [("sports-news", &sports), ("recommendations", &recommendations)] {
        let served = bus.serve(service, &address_of(service), server_calls.clone()).await;
        running.push(start(served.expect("its own address")));
        let reply = users.call(&address_of(service), call("Export")).await;
        assert_eq!(reply, Ok(Bytes::from_static(b"body")), "{service}");
    }
    assert_eq!(server_calls.calls(), 2);
    for bus in [&orchestrator, &sports, &recommendations] {
        for service in ["sports-news", "recommendations"] {
            let refusal = bus.call(&address_of(service), call("Export")).await.expect_err("only users calls");
            assert_eq!(refusal.kind, Kind::Unavailable);
        }
    }
    let foreign = address_of("recommendations");
    assert_refused(
        sports.serve("sports-news", &foreign, server_calls.clone()).await.map(drop),
        "the exports of another service",
    );
    assert_refused(
        users.serve("users", &foreign, server_calls.clone()).await.map(drop),
        "serving instead of calling",
    );
    assert_eq!(server_calls.calls(), 2);
    for (stop, done) in running {
        stop.cancel();
        done.await.expect("the task does not panic");
    }
    fleet.end(&["users", "orchestrator", "sports-news", "recommendations"]).await;
}

/// A connection to the broker with the credentials of a service, without our adapter. Each request has its
/// own channel, because a refusal closes the channel.
struct Raw(std::sync::Arc<lapin::Connection>);

impl Raw {
    fn of(bus: &AmqpBus) -> Self {
        Self(bus.incoming.current().expect("it is connected"))
    }

    async fn channel(&self) -> lapin::Channel {
        self.0.create_channel().await.expect("a channel")
    }

    /// Publishes to `exchange`. The broker refuses by closing the channel.
    async fn publish(&self, exchange: &str, key: &str) -> lapin::Result<()> {
        let channel = self.channel().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let options = BasicPublishOptions::default();
        let written =
            channel.basic_publish(exchange.into(), key.into(), options, b"forged", Default::default());
        written.await?.await.map(drop)
    }

    /// Declares a queue whose dead letters go to `exchange`.
    async fn declare_queue_with_dead_letters_to(
        &self,
        name: &str,
        exchange: &str,
        key: &str,
    ) -> lapin::Result<()> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(exchange.into()));
        arguments.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString(key.into()));
        let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
        self.channel().await.queue_declare(name.into(), options, arguments).await.map(drop)
    }

    /// Declares an exchange whose unrouted messages go to `exchange`.
    async fn declare_exchange_with_alternate(&self, name: &str, exchange: &str) -> lapin::Result<()> {
        let mut arguments = FieldTable::default();
        arguments.insert("alternate-exchange".into(), AMQPValue::LongString(exchange.into()));
        let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
        self.channel().await.exchange_declare(name.into(), ExchangeKind::Topic, options, arguments).await
    }

    async fn bind_exchange(&self, to: &str, from: &str, key: &str) -> lapin::Result<()> {
        let channel = self.channel().await;
        channel
            .exchange_bind(to.into(), from.into(), key.into(), Default::default(), FieldTable::default())
            .await
    }

    async fn unbind_exchange(&self, to: &str, from: &str, key: &str) -> lapin::Result<()> {
        let channel = self.channel().await;
        channel
            .exchange_unbind(to.into(), from.into(), key.into(), Default::default(), FieldTable::default())
            .await
    }
}

fn assert_denied(outcome: lapin::Result<()>, what: &str) {
    let error = outcome.expect_err(what);
    let fault = super::super::connection::bus_error(&error);
    assert!(matches!(fault, BusError::Refused(_)), "{what}: {fault}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn no_service_can_publish_the_events_of_another_by_bypassing_its_own_exchange() {
    let fleet = Fleet::new().await;
    let users = fleet.service("users").await;
    let raw = Raw::of(&users);
    for exchange in ["portal.events", "sports-news.events", "", "amq.direct", "amq.topic", "portal.calls"] {
        let published = raw.publish(exchange, "news.sports.published").await;
        assert_denied(published, &format!("a publication to {exchange:?}"));
        let queue =
            raw.declare_queue_with_dead_letters_to("users.trap", exchange, "news.sports.published").await;
        assert_denied(queue, &format!("dead letters for {exchange:?}"));
        if !exchange.is_empty() {
            let declared = raw.declare_exchange_with_alternate("users.trap", exchange).await;
            assert_denied(declared, &format!("unrouted messages for {exchange:?}"));
        }
    }
    assert_denied(raw.publish("users.events", "news.sports.published").await, "a foreign key");
    // A service publishes only to its own exchanges under its own keys, and can't change what they forward.
    raw.publish("users.events", "users.erased").await.expect("its own key");
    raw.publish("users.calls", "exports.sports-news").await.expect("an address that it calls");
    for key in ["news.sports.calls", "news.sports.published", "sports-news.projection.dead"] {
        assert_denied(raw.publish("users.calls", key).await, &format!("a call to {key}"));
    }
    for (target, key) in [("portal.calls", "#"), ("portal.events", "#"), ("portal.replies", "#")] {
        assert_denied(
            raw.bind_exchange(target, "users.calls", key).await,
            &format!("calls that are forwarded to {target}"),
        );
    }
    assert_denied(raw.unbind_exchange("portal.calls", "users.calls", "exports.#").await, "its calls");
    assert_denied(
        raw.bind_exchange("portal.events", "users.events", "#").await,
        "another key for its own exchange",
    );
    assert_denied(raw.unbind_exchange("portal.events", "users.events", "users.#").await, "its binding");
    let declared = raw.declare_exchange_with_alternate("users.own", "users.events").await;
    declared.expect("an exchange of its own");
    assert_denied(raw.bind_exchange("portal.events", "users.own", "#").await, "a second binding");
    for exchange in ["users.events", "users.calls"] {
        let channel = raw.channel().await;
        assert_denied(
            channel.exchange_delete(exchange.into(), Default::default()).await,
            "its own exchange deleted",
        );
    }
    fleet.end(&["users"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn a_message_that_bypasses_the_permissions_of_keys_gets_no_further_than_the_exchange_of_its_service() {
    let fleet = Fleet::new().await;
    let (users, sports) = (fleet.service("users").await, fleet.service("sports-news").await);
    let (handler, mut received) = reporting();
    let own = Subscription::durable("sports-news", "sports-news.all", ["news.sports.#", "users.#"]);
    let (stop, done) = start(sports.subscribe(own, handler).await.expect("its own queue"));
    // RabbitMQ does not check the key when an exchange forwards to another.
    let raw = Raw::of(&users);
    raw.declare_exchange_with_alternate("users.trap", "users.events").await.expect("both are its own");
    raw.publish("users.trap", "news.sports.published").await.expect("an exchange of its own");
    users.publish(vec![message("users.erased", "erased")]).await.expect("its own key");
    assert_eq!(next(&mut received).await, "erased", "the forged message would have arrived before");
    stop.cancel();
    done.await.expect("the task does not panic");
    fleet.end(&["users", "sports-news"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn a_call_that_bypasses_the_permissions_of_keys_gets_no_further_than_the_exchange_of_its_service() {
    let fleet = Fleet::new().await;
    let (users, sports) = (fleet.service("users").await, fleet.service("sports-news").await);
    let (commands, exports) = (Arc::new(CountingServer::default()), Arc::new(CountingServer::default()));
    let mut running = Vec::new();
    for (address, server) in [("news.sports.calls", &commands), ("exports.sports-news", &exports)] {
        let served = sports.serve("sports-news", address, server.clone()).await;
        running.push(start(served.expect("its own address")));
    }
    // RabbitMQ does not check the keys of these: an exchange that forwards to another, and dead letters.
    let raw = Raw::of(&users);
    raw.declare_exchange_with_alternate("users.trap", "users.calls").await.expect("both are its own");
    raw.publish("users.trap", "news.sports.calls").await.expect("an exchange of its own");
    let dead = raw.declare_queue_with_dead_letters_to("users.trap", "users.calls", "news.sports.calls").await;
    dead.expect("both are its own");
    let reply = users.call("exports.sports-news", call("Export")).await;
    assert_eq!(reply, Ok(Bytes::from_static(b"body")), "the forged call would have arrived before");
    assert_eq!((commands.calls(), exports.calls()), (0, 1));
    for (stop, done) in running {
        stop.cancel();
        done.await.expect("the task does not panic");
    }
    fleet.end(&["users", "sports-news"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn no_service_receives_messages_that_are_not_meant_for_it() {
    let fleet = Fleet::new().await;
    let forbidden: [(&'static str, &[&str]); 4] = [
        ("users", &["news.#", "reading.#", "#", "*.sports.*"]),
        ("sports-news", &["reading.#", "news.#", "news.famous.#", "news.*.published", "#"]),
        ("orchestrator", &["reading.#", "#", "*.*.read"]),
        ("recommendations", &["#", "*.erased"]),
    ];
    let (handler, _seen) = reporting();
    for (service, keys) in forbidden {
        let bus = fleet.service(service).await;
        for key in keys {
            let durable = Subscription::durable(service, format!("{service}.listen"), [*key]);
            assert_refused(
                bus.subscribe(durable, handler.clone()).await.map(drop),
                &format!("{service} receives {key}"),
            );
        }
        // Likewise with an exchange of its own instead of a queue.
        let raw = Raw::of(&bus);
        let listener = format!("{service}.listen");
        raw.declare_exchange_with_alternate(&listener, &format!("{service}.queues")).await.ok();
        assert_denied(
            raw.bind_exchange(&listener, "portal.events", "#").await,
            &format!("the exchange of {service}"),
        );
    }
    fleet.end(&["users", "sports-news", "orchestrator", "recommendations"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn no_service_can_consume_read_empty_or_delete_the_queue_of_another() {
    let fleet = Fleet::new().await;
    let (users, recommendations) = (fleet.service("users").await, fleet.service("recommendations").await);
    let (handler, _seen) = reporting();
    let reading = Subscription::durable("recommendations", "recommendations.reading", ["reading.#"]);
    drop(recommendations.subscribe(reading, handler).await.expect("its own queue"));
    let raw = Raw::of(&users);
    for queue in ["recommendations.reading", "recommendations.reading.dead"] {
        let (channel, none) = (raw.channel().await, FieldTable::default());
        let consumed = channel.basic_consume(queue.into(), "".into(), Default::default(), none).await;
        assert_denied(consumed.map(drop), "consuming");
        assert_denied(
            raw.channel().await.basic_get(queue.into(), Default::default()).await.map(drop),
            "getting",
        );
        assert_denied(
            raw.channel().await.queue_purge(queue.into(), Default::default()).await.map(drop),
            "emptying",
        );
        assert_denied(
            raw.channel().await.queue_delete(queue.into(), Default::default()).await.map(drop),
            "deleting",
        );
        let (channel, none) = (raw.channel().await, FieldTable::default());
        let own = "users.events".into();
        let bound = channel.queue_bind(queue.into(), own, "#".into(), Default::default(), none).await;
        assert_denied(bound, "filling it from its own exchange");
    }
    fleet.end(&["users", "recommendations"]).await;
}
