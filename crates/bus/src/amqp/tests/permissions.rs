//! What `queue/definitions.json` allows each service: its own work, and nothing of another's.

use serde_json::{Value, json};

use super::*;

/// The services of the test on a virtual host of its own, with the permissions that they have in the fleet.
struct Fleet {
    vhost: Vhost,
    suffix: String,
}

impl Fleet {
    async fn new() -> Self {
        let vhost = Vhost::new().await;
        // Users belong to the whole broker.
        let suffix = vhost.name().to_owned();
        let shared = AmqpBus::open(&vhost.url(), Schedule::default()).await.expect("the bus opens");
        // As an administrator it makes the exchanges, which in the fleet come with the definitions.
        publish(&shared, "nobody").await;
        Self { vhost, suffix }
    }

    async fn service(&self, name: &str) -> AmqpBus {
        let definitions: Value =
            serde_json::from_str(include_str!("../../../../../queue/definitions.json")).expect("is JSON");
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
        // The names of its queues begin with the service's name, as they do where the user is called so.
        let uri = crate::amqp::read(&url).expect("a URL");
        AmqpBus::open_as(name, &uri, Schedule::new([Duration::from_millis(5)])).await.expect("the bus opens")
    }

    async fn end(self, services: &[&str]) {
        for name in services {
            self.vhost.remove_user(&format!("{name}-{}", self.suffix)).await;
        }
    }
}

fn refused<T>(outcome: Result<T, BusError>, what: &str) {
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
    let projection = Subscription::durable("sports-news", "sports-news.projection", ["news.sports.#"]);
    let reading = Subscription::durable("recommendations", "recommendations.reading", ["reading.#"]);
    let live = Subscription::broadcast("orchestrator", ["news.#"]);
    let (handler, mut seen) = telling();
    let running = [
        start(sports.subscribe(projection, handler.clone()).await.expect("its own queue")),
        start(recommendations.subscribe(reading, handler.clone()).await.expect("its own queue")),
        start(orchestrator.subscribe(live, handler).await.expect("its own queue")),
        start(
            sports
                .serve("sports-news", "news.sports.calls", Arc::new(Desk::default()))
                .await
                .expect("serves"),
        ),
    ];
    let answer = orchestrator.call("news.sports.calls", call("Find")).await;
    assert_eq!(answer, Ok(Bytes::from_static(b"body")));
    sports.publish(vec![message("news.sports.published", "news")]).await.expect("its own key");
    orchestrator.publish(vec![message("reading.sports.read", "reading")]).await.expect("its own key");
    let mut got = [next(&mut seen).await, next(&mut seen).await, next(&mut seen).await];
    got.sort();
    assert_eq!(got, ["news", "news", "reading"]);
    for (stop, done) in running {
        stop.cancel();
        done.await.expect("it stops");
    }
    fleet.end(&["orchestrator", "sports-news", "recommendations"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn no_service_can_touch_what_is_anothers() {
    let fleet = Fleet::new().await;
    let (users, sports) = (fleet.service("users").await, fleet.service("sports-news").await);
    let (handler, _seen) = telling();
    let foreign = Subscription::durable("recommendations", "recommendations.reading", ["reading.#"]);
    refused(users.subscribe(foreign, handler.clone()).await.map(drop), "a queue of another service");
    let published = users.publish(vec![message("news.sports.published", "forged")]).await;
    refused(published, "an event of another service");
    let desk = Arc::new(Desk::default());
    refused(users.serve("users", "news.sports.calls", desk.clone()).await.map(drop), "an address of another");
    refused(
        sports.serve("sports-news", "news.famous.calls", desk.clone()).await.map(drop),
        "a sister's address",
    );
    let (stop, done) = start(sports.serve("sports-news", "news.sports.calls", desk).await.expect("serves"));
    let refusal =
        users.call("news.sports.calls", call("Find")).await.expect_err("only the orchestrator calls");
    assert_eq!(refusal.kind, Kind::Unavailable);
    stop.cancel();
    done.await.expect("it stops");
    fleet.end(&["users", "sports-news"]).await;
}
