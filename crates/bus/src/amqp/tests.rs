//! Promises of the bus over AMQP alone: lost connections, silent brokers, messages of other programs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use chassis::{Context, Runnable};
use kernel::{Fault, Kind, MessageId, Timestamp, Trace};
use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use testkit::{PATIENCE, Proxy, Vhost, wait_until};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::topology::EVENTS;
use super::{AmqpBus, parse_url};
use crate::{Bus, BusError, Call, CallHandler, Envelope, Handler, Schedule, Subscription};

mod cuts;
mod permissions;

/// A handler that reports the subjects of its messages, and never finishes one named `endless`.
struct Report(UnboundedSender<String>);

#[async_trait]
impl Handler for Report {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        let _gone = self.0.send(message.subject.clone());
        if message.subject == "endless" { std::future::pending().await } else { Ok(()) }
    }
}

fn reporting() -> (Arc<dyn Handler>, UnboundedReceiver<String>) {
    let (reports, received) = unbounded_channel();
    (Arc::new(Report(reports)), received)
}

/// Counts its calls, and never answers the method `Wait`.
#[derive(Default)]
struct CountingServer(AtomicUsize);

impl CountingServer {
    fn calls(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl CallHandler for CountingServer {
    async fn call(&self, call: &Call) -> Result<Bytes, Box<dyn Fault>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        if call.method == "Wait" { std::future::pending().await } else { Ok(call.body.clone()) }
    }
}

fn call(method: &str) -> Call {
    Call { method: method.to_owned(), body: Bytes::from_static(b"body"), token: None, idempotency_key: None }
}

fn message(key: &str, subject: &str) -> Envelope {
    Envelope {
        id: MessageId::new(Uuid::new_v4()),
        kind: "portal.test.v1.Happened".to_owned(),
        key: key.to_owned(),
        source: "test".to_owned(),
        subject: subject.to_owned(),
        version: 1,
        time: Timestamp::from_millis(1_700_000_000_000),
        trace: Trace::start(),
        body: Bytes::from_static(b"body"),
    }
}

async fn open(url: &str) -> AmqpBus {
    AmqpBus::open(url, Schedule::new([Duration::from_millis(5)])).await.expect("the bus opens")
}

fn queue() -> Subscription {
    Subscription::durable("test", "test.queue", ["test.#"])
}

fn start(runnable: Box<dyn Runnable>) -> (CancellationToken, JoinHandle<()>) {
    let stop = CancellationToken::new();
    (stop.clone(), chassis::spawn("test.runnable", runnable.run(stop)))
}

async fn next<T>(received: &mut UnboundedReceiver<T>) -> T {
    tokio::time::timeout(PATIENCE, received.recv())
        .await
        .expect("it arrives in time")
        .expect("the sender still exists")
}

/// Publishes until the message is published.
async fn publish(bus: &AmqpBus, subject: &str) {
    wait_until("a broker that takes messages", PATIENCE, || async {
        bus.publish(vec![message("test.happened", subject)]).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn calls_in_flight_fail_immediately_when_the_connection_is_cut_and_later_ones_succeed() {
    let vhost = Vhost::new().await;
    let proxy = Proxy::of(vhost.address()).await;
    let caller = Arc::new(open(&vhost.url_through(proxy.address())).await);
    let there = open(&vhost.url()).await;
    let server_calls = Arc::new(CountingServer::default());
    let (stop, done) =
        start(there.serve("test", "test.calls", server_calls.clone()).await.expect("the address is served"));
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let caller = caller.clone();
            chassis::spawn("test.call", async move { caller.call("test.calls", call("Wait")).await })
        })
        .collect();
    wait_until("a hundred calls in flight", PATIENCE, || {
        std::future::ready((server_calls.calls() == 100).then_some(()))
    })
    .await;
    let begun = Instant::now();
    proxy.cut();
    for call in calls {
        let refusal = call.await.expect("no panic").expect_err("its reply can't come");
        assert_eq!(refusal.kind, Kind::Unavailable);
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let answer =
        wait_until("an answer", PATIENCE, || async { caller.call("test.calls", call("Find")).await.ok() });
    assert_eq!(answer.await, Bytes::from_static(b"body"));
    stop.cancel();
    done.await.expect("the task does not panic");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn servers_and_listeners_recover_after_the_broker_has_closed_every_connection() {
    let vhost = Vhost::new().await;
    let bus = open(&vhost.url()).await;
    let (handler, mut received) = reporting();
    let listener = bus
        .subscribe(Subscription::broadcast("test", ["test.#"]), handler)
        .await
        .expect("the subscription is accepted");
    let serving = bus
        .serve("test", "test.calls", Arc::new(CountingServer::default()))
        .await
        .expect("the address is served");
    let running = [start(listener), start(serving)];
    assert!(vhost.close_connections(2).await >= 2);
    let answer =
        wait_until("an answer", PATIENCE, || async { bus.call("test.calls", call("Find")).await.ok() });
    assert_eq!(answer.await, Bytes::from_static(b"body"));
    wait_until("a broadcast that is received", PATIENCE, || {
        let received = received.try_recv().ok();
        async {
            if received.is_none() {
                bus.publish(vec![message("test.happened", "here")]).await.ok();
            }
            received
        }
    })
    .await;
    bus.ping().await.expect("the broker answers");
    for (stop, done) in running {
        stop.cancel();
        done.await.expect("the task does not panic");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn publishing_to_a_broker_that_confirms_nothing_fails_within_the_deadline() {
    let vhost = Vhost::new().await;
    let proxy = Proxy::of(vhost.address()).await;
    let bus = open(&vhost.url_through(proxy.address())).await;
    publish(&bus, "before").await;
    proxy.silence_server();
    let begun = Instant::now();
    for _ in 0..3 {
        let messages = (0..300).map(|_| message("test.happened", "lost?")).collect();
        let context = Context::for_work("test", Duration::from_millis(200));
        let fault = context.scope(bus.publish(messages)).await.expect_err("the broker confirms nothing");
        assert_eq!(fault.kind(), Kind::Unavailable);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let ping = tokio::time::timeout(Duration::from_millis(200), bus.ping()).await;
    assert!(!matches!(ping, Ok(Ok(()))), "a silent broker is not ready");
    proxy.thaw();
    publish(&bus, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn readiness_checks_that_give_up_do_not_exhaust_the_channels() {
    let vhost = Vhost::new().await;
    let proxy = Proxy::of(vhost.address()).await;
    let bus = open(&format!("{}?channel_max=8", vhost.url_through(proxy.address()))).await;
    proxy.silence_server();
    for _ in 0..64 {
        let ping = tokio::time::timeout(Duration::from_millis(5), bus.ping()).await;
        if let Ok(outcome) = ping {
            let fault = outcome.expect_err("the broker says nothing").to_string();
            assert!(!fault.contains("maximum number of channels"), "{fault}");
        }
    }
    proxy.thaw();
    wait_until("an answer", PATIENCE, || async { bus.ping().await.ok() }).await;
    for _ in 0..64 {
        bus.ping().await.expect("the broker answers");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn a_silent_peer_is_detected_by_its_heartbeat() {
    let vhost = Vhost::new().await;
    let proxy = Proxy::of(vhost.address()).await;
    let bus = open(&format!("{}?heartbeat=1", vhost.url_through(proxy.address()))).await;
    let server_calls = Arc::new(CountingServer::default());
    let (stop, done) =
        start(bus.serve("test", "test.calls", server_calls.clone()).await.expect("the address is served"));
    let freezing = async {
        wait_until("the call at its server", PATIENCE, || {
            std::future::ready((server_calls.calls() == 1).then_some(()))
        })
        .await;
        proxy.freeze();
    };
    let begun = Instant::now();
    let context = Context::for_work("test", Duration::from_secs(60));
    let (reply, ()) = tokio::join!(context.scope(bus.call("test.calls", call("Wait"))), freezing);
    assert_eq!(reply.expect_err("its reply can't come").kind, Kind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    proxy.thaw();
    publish(&bus, "after the thaw").await;
    stop.cancel();
    // The call in progress has a deadline of a minute, and its caller has gone.
    done.abort();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn a_server_drops_a_call_that_arrives_after_its_deadline() {
    let vhost = Vhost::new().await;
    let proxy = Proxy::of(vhost.address()).await;
    let there = open(&vhost.url_through(proxy.address())).await;
    let caller = open(&vhost.url()).await;
    let server_calls = Arc::new(CountingServer::default());
    let (stop, done) =
        start(there.serve("test", "test.calls", server_calls.clone()).await.expect("the address is served"));
    assert!(caller.call("test.calls", call("Find")).await.is_ok());
    proxy.freeze();
    let context = Context::for_work("test", Duration::from_millis(100));
    let refusal = context.scope(caller.call("test.calls", call("Find"))).await.expect_err("it is frozen");
    assert_eq!((refusal.kind, refusal.code.as_str()), (Kind::Timeout, "deadline_exceeded"));
    proxy.thaw();
    assert!(caller.call("test.calls", call("Find")).await.is_ok());
    assert_eq!(server_calls.calls(), 2);
    stop.cancel();
    done.await.expect("the task does not panic");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn a_message_that_cannot_be_decoded_becomes_a_dead_letter_and_blocks_no_other() {
    let vhost = Vhost::new().await;
    let bus = open(&vhost.url()).await;
    let (handler, mut received) = reporting();
    let (stop, done) = start(bus.subscribe(queue(), handler).await.expect("the subscription is accepted"));
    let other_program = Connection::connect(&vhost.url(), ConnectionProperties::default())
        .await
        .expect("the broker accepts the connection");
    let channel = other_program.create_channel().await.expect("a channel");
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default();
    let sent = channel.basic_publish(EVENTS.into(), "test.strange".into(), options, b"?", properties).await;
    drop(sent.expect("is sent"));
    channel.close(200, "OK".into()).await.expect("closes");
    publish(&bus, "neighbour").await;
    assert_eq!(next(&mut received).await, "neighbour");
    stop.cancel();
    done.await.expect("the task does not panic");
    let look = serde_json::json!({"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"});
    let path = format!("/api/queues/{}/test.queue.dead/get", vhost.name());
    let dead = vhost.manage(http::Method::POST, &path, Some(&look)).await;
    assert_eq!(dead[0]["payload"], "?");
    let headers = &dead[0]["properties"]["headers"];
    assert_eq!(headers["reason-code"], "unreadable_message");
    assert_eq!(headers["reason-detail"], "the header ce-id is missing");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn the_broker_gives_up_a_message_that_crashes_every_consumer() {
    let vhost = Vhost::new().await;
    let bus = open(&vhost.url()).await;
    let (handler, mut received) = reporting();
    drop(bus.subscribe(queue(), handler.clone()).await.expect("the subscription is accepted"));
    publish(&bus, "endless").await;
    publish(&bus, "neighbour").await;
    let other_program = Connection::connect(&vhost.url(), ConnectionProperties::default())
        .await
        .expect("the broker accepts the connection");
    let channel = other_program.create_channel().await.expect("a channel");
    let both_wait = || async {
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = channel.queue_declare("test.queue".into(), passive, FieldTable::default()).await;
        (declared.expect("it is there").message_count() == 2).then_some(())
    };
    for _ in 0..=20 {
        // The broker notices the end of a consumer later than we do, and would give the neighbour to the next
        // one.
        wait_until("both messages back in the queue", PATIENCE, both_wait).await;
        let (_stop, done) =
            start(bus.subscribe(queue(), handler.clone()).await.expect("the subscription is accepted"));
        assert_eq!(next(&mut received).await, "endless");
        done.abort();
        let _aborted = done.await;
    }
    let (stop, done) = start(bus.subscribe(queue(), handler).await.expect("the subscription is accepted"));
    assert_eq!(next(&mut received).await, "neighbour");
    stop.cancel();
    done.await.expect("the task does not panic");
    let dead = wait_until("the dead letter", PATIENCE, || async {
        let dead = bus.dead_letters("test.queue", 10).await.expect("the broker answers");
        (!dead.is_empty()).then_some(dead)
    });
    let dead = dead.await;
    let reports: Vec<_> = dead.iter().map(|dead| (&*dead.message.subject, &*dead.code)).collect();
    assert_eq!(reports, [("endless", "delivery_limit")]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn a_fast_consumer_that_becomes_slow_releases_messages_to_the_others() {
    let vhost = Vhost::new().await;
    let bus = open(&vhost.url()).await;
    let (one, mut at_one) = reporting();
    let (two, mut at_two) = reporting();
    let (_never, first) = start(bus.subscribe(queue(), one).await.expect("the subscription is accepted"));
    let names: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    bus.publish(names.iter().map(|name| message("test.happened", name)).collect())
        .await
        .expect("the bus confirms");
    for name in &names {
        assert_eq!(&next(&mut at_one).await, name);
    }
    let behind: Vec<String> = (300..310).map(|n| n.to_string()).collect();
    let endless = ["endless".to_owned()];
    let messages = endless.iter().chain(&behind).map(|name| message("test.happened", name));
    bus.publish(messages.collect()).await.expect("the bus confirms");
    assert_eq!(next(&mut at_one).await, "endless");
    let (stop, second) = start(bus.subscribe(queue(), two).await.expect("the subscription is accepted"));
    for name in &behind {
        assert_eq!(&next(&mut at_two).await, name);
    }
    stop.cancel();
    second.await.expect("the task does not panic");
    first.abort();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn the_name_of_a_queue_must_begin_with_its_service() {
    let vhost = Vhost::new().await;
    let bus = open(&vhost.url()).await;
    for name in ["", "queue", "tests.queue"] {
        let strange = Subscription::durable("test", name, ["test.#"]);
        assert!(matches!(bus.subscribe(strange, reporting().0).await, Err(BusError::Name(_))), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn a_closed_bus_reports_that_it_is_closed_and_can_be_closed_again() {
    let vhost = Vhost::new().await;
    let bus = open(&vhost.url()).await;
    let (handler, _seen) = reporting();
    let (stop, done) = start(bus.subscribe(queue(), handler).await.expect("the subscription is accepted"));
    bus.close().await;
    bus.close().await;
    assert_eq!(bus.ping().await.expect_err("is closed").to_string(), "the bus is closed");
    let refusal = bus.call("test.calls", call("Find")).await.expect_err("is closed");
    assert_eq!(refusal.kind, Kind::Unavailable);
    stop.cancel();
    tokio::time::timeout(PATIENCE, done).await.expect("in time").expect("the task does not panic");
}

#[tokio::test]
async fn the_error_for_an_unreachable_broker_names_it_without_the_password() {
    let uri = parse_url("amqp://users:hidden@127.0.0.1:1/portal").expect("an address");
    let patience = Duration::from_millis(200);
    let Err(fault) = AmqpBus::open_within(patience, "users", &uri, Schedule::default()).await else {
        panic!("no broker listens there")
    };
    assert_eq!(fault.kind(), Kind::Unavailable);
    let text = fault.to_string();
    assert!(
        text.starts_with(
            "no broker at 127.0.0.1:1 accepted the user users for the virtual host portal within 200ms"
        ),
        "{text}"
    );
    assert!(!text.contains("hidden"), "{text}");
}
