//! Promises of the local bus alone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chassis::{Runnable, Surroundings};
use kernel::{Clock, Fault, Kind, ManualClock, MessageId, Refusal, SystemClock, Timestamp, Trace};
use testkit::{Folder, PATIENCE};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{LocalBus, QueueDepth};
use crate::{Bus, BusError, Envelope, Handler, Schedule, Subscription};

/// A handler that reports its messages, and refuses those that are named after a kind of refusal.
struct Report(UnboundedSender<String>);

#[async_trait]
impl Handler for Report {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        let _gone = self.0.send(message.subject.clone());
        match message.subject.as_str() {
            "away" => Err(Refusal::new(Kind::Unavailable, "away", "It is away.").into()),
            "wrong" => Err(Refusal::new(Kind::Invalid, "wrong", "It is wrong.").into()),
            _ => Ok(()),
        }
    }
}

fn reporting() -> (Arc<dyn Handler>, UnboundedReceiver<String>) {
    let (reports, received) = unbounded_channel();
    (Arc::new(Report(reports)), received)
}

async fn next(received: &mut UnboundedReceiver<String>) -> String {
    tokio::time::timeout(PATIENCE, received.recv())
        .await
        .expect("it arrives in time")
        .expect("the sender still exists")
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
        body: Bytes::new(),
    }
}

async fn publish(bus: &LocalBus, key: &str, subject: &str) {
    bus.publish(vec![message(key, subject)]).await.expect("the bus confirms");
}

fn path(folder: &Folder) -> String {
    folder.join("bus.db").to_str().expect("a plain path").to_owned()
}

fn queue() -> Subscription {
    Subscription::durable("test", "test.queue", ["test.#"])
}

fn start(consumer: Box<dyn Runnable>) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let stop = CancellationToken::new();
    (stop.clone(), chassis::spawn("test.consumer", consumer.run(stop)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_back_an_hour_delays_no_message() {
    let folder = Folder::new();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    let bus =
        LocalBus::open(&path(&folder), clock.clone(), Schedule::default()).await.expect("the bus opens");
    let (handler, mut received) = reporting();
    let queue = bus.subscribe(queue(), handler).await.expect("the subscription is accepted");
    // First a message that was never delivered, then one that was postponed.
    publish(&bus, "test.happened", "neighbour").await;
    let hour = Duration::from_secs(3_600);
    clock.set(clock.now().minus(hour));
    let (stop, done) = start(queue);
    assert_eq!(next(&mut received).await, "neighbour");
    clock.set(clock.now().plus(hour));
    publish(&bus, "test.happened", "away").await;
    assert_eq!(next(&mut received).await, "away");
    publish(&bus, "test.happened", "neighbour").await;
    assert_eq!(next(&mut received).await, "neighbour");
    clock.set(clock.now().minus(hour));
    bus.wake_consumers();
    assert_eq!(next(&mut received).await, "away", "it was postponed by a second");
    stop.cancel();
    done.await.expect("the task does not panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_follow_after_1_s_5_s_30_s_2_min_and_10_min() {
    let folder = Folder::new();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    let bus =
        LocalBus::open(&path(&folder), clock.clone(), Schedule::default()).await.expect("the bus opens");
    let (handler, mut received) = reporting();
    let (stop, done) = start(bus.subscribe(queue(), handler).await.expect("the subscription is accepted"));
    publish(&bus, "test.happened", "away").await;
    assert_eq!(next(&mut received).await, "away");
    for seconds in [1, 5, 30, 120, 600] {
        // Messages are handled one after the other, so when the neighbour was handled, the first one is
        // settled.
        publish(&bus, "test.happened", "neighbour").await;
        assert_eq!(next(&mut received).await, "neighbour");
        clock.advance(Duration::from_millis(seconds * 1000 - 1));
        publish(&bus, "test.happened", "neighbour").await;
        // If it were due, it would arrive before its neighbour, because it has been in the queue for longer.
        assert_eq!(next(&mut received).await, "neighbour", "before {seconds} s");
        clock.advance(Duration::from_millis(1));
        bus.wake_consumers();
        assert_eq!(next(&mut received).await, "away", "after {seconds} s");
    }
    stop.cancel();
    done.await.expect("the task does not panic");
    let depth = QueueDepth { queue: "test.queue".to_owned(), waiting: 0, dead: 1 };
    assert_eq!(bus.depths().await.expect("the store answers"), [depth]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_delivered_when_it_is_due_without_a_wake_up() {
    let folder = Folder::new();
    let schedule = Schedule::new([Duration::from_millis(20)]);
    let bus = LocalBus::open(&path(&folder), Arc::new(SystemClock), schedule).await.expect("the bus opens");
    let (handler, mut received) = reporting();
    let (stop, done) = start(bus.subscribe(queue(), handler).await.expect("the subscription is accepted"));
    publish(&bus, "test.happened", "away").await;
    assert_eq!(next(&mut received).await, "away");
    assert_eq!(next(&mut received).await, "away");
    stop.cancel();
    done.await.expect("the task does not panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_waiting_messages_and_keys_survive_reopening() {
    let folder = Folder::new();
    {
        let bus = LocalBus::open(&path(&folder), Arc::new(SystemClock), Schedule::default())
            .await
            .expect("the bus opens");
        let (handler, mut received) = reporting();
        let (stop, done) =
            start(bus.subscribe(queue(), handler).await.expect("the subscription is accepted"));
        publish(&bus, "test.happened", "wrong").await;
        assert_eq!(next(&mut received).await, "wrong");
        stop.cancel();
        done.await.expect("the task does not panic");
        publish(&bus, "test.happened", "before").await;
        bus.close().await;
    }
    let bus = LocalBus::open(&path(&folder), Arc::new(SystemClock), Schedule::default())
        .await
        .expect("the bus opens again");
    publish(&bus, "test.happened", "after").await;
    let depth = QueueDepth { queue: "test.queue".to_owned(), waiting: 2, dead: 1 };
    assert_eq!(bus.depths().await.expect("the store answers"), [depth]);
    let dead = bus.dead_letters("test.queue", 10).await.expect("the store answers");
    let reports: Vec<_> =
        dead.iter().map(|dead| (&*dead.message.subject, &*dead.code, &*dead.detail)).collect();
    assert_eq!(reports, [("wrong", "wrong", "It is wrong.")]);
    assert_eq!(bus.dead_letters("test.unknown", 10).await.expect("the store answers"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_subscription_sets_the_keys_of_a_queue() {
    let folder = Folder::new();
    let bus = LocalBus::open(&path(&folder), Arc::new(SystemClock), Schedule::default())
        .await
        .expect("the bus opens");
    let (handler, mut received) = reporting();
    drop(bus.subscribe(queue(), handler.clone()).await.expect("the subscription is accepted"));
    publish(&bus, "test.happened", "old key").await;
    let other = Subscription::durable("test", "test.queue", ["other.*"]);
    let (stop, done) = start(bus.subscribe(other, handler).await.expect("the subscription is accepted"));
    publish(&bus, "test.happened", "old key, no longer subscribed").await;
    publish(&bus, "other.happened", "new key").await;
    assert_eq!(next(&mut received).await, "old key");
    assert_eq!(next(&mut received).await, "new key");
    stop.cancel();
    done.await.expect("the task does not panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_subscriber_misses_broadcasts_and_delays_no_publisher() {
    let folder = Folder::new();
    let bus = LocalBus::open(&path(&folder), Arc::new(SystemClock), Schedule::default())
        .await
        .expect("the bus opens");
    let (handler, mut received) = reporting();
    let asleep = bus
        .subscribe(Subscription::broadcast("test", ["test.#"]), handler)
        .await
        .expect("the subscription is accepted");
    let many = (0..1500).map(|n| message("test.happened", &n.to_string())).collect();
    tokio::time::timeout(PATIENCE, bus.publish(many))
        .await
        .expect("the publisher waits for no subscriber")
        .expect("the bus confirms");
    let (stop, done) = start(asleep);
    for expected in 0..1024 {
        assert_eq!(next(&mut received).await, expected.to_string());
    }
    publish(&bus, "test.happened", "next").await;
    assert_eq!(next(&mut received).await, "next");
    stop.cancel();
    done.await.expect("the task does not panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_of_one_process_share_one_bus() {
    let folder = Folder::new();
    let url = format!("local:{}", path(&folder));
    let surroundings = Surroundings::one_process();
    let one = crate::open(&url, &surroundings).await.expect("the bus opens");
    let two = crate::open_local(&url, &surroundings).await.expect("the bus is shared");
    drop(one.bus.subscribe(queue(), reporting().0).await.expect("the subscription is accepted"));
    publish(&two, "test.happened", "a").await;
    assert_eq!(two.depths().await.expect("the store answers").first().map(|depth| depth.waiting), Some(1));
    let three = crate::open(&url, &surroundings).await.expect("the bus is shared");
    assert_eq!((one.closers.len(), three.closers.len()), (1, 0), "only the first service closes it");
    // A second opening in other surroundings is refused, as another process would be.
    assert!(matches!(crate::open(&url, &Surroundings::one_process()).await, Err(BusError::Store(_))));
}

#[tokio::test]
async fn a_service_that_runs_alone_learns_which_address_to_set_instead_of_the_local_bus() {
    let Err(error) = crate::open("local:data/bus.db", &Surroundings::alone()).await else {
        panic!("must be refused")
    };
    assert!(error.to_string().contains("set its bus.url to an amqp:// address"), "{error}");
}

#[tokio::test]
async fn an_address_of_no_adapter_is_refused() {
    for url in ["", "local:", "local://data/bus.db", "redis://there", "amqp:there"] {
        let opened = crate::open(url, &Surroundings::one_process()).await;
        assert!(matches!(opened, Err(BusError::Url(_))), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_queue_name_and_a_partial_wildcard_are_refused() {
    let folder = Folder::new();
    let bus = LocalBus::open(&path(&folder), Arc::new(SystemClock), Schedule::default())
        .await
        .expect("the bus opens");
    for bad in
        [Subscription::durable("test", "", ["test.#"]), Subscription::durable("test", "test.queue", ["te*"])]
    {
        assert!(matches!(bus.subscribe(bad, reporting().0).await, Err(BusError::Name(_))));
    }
    assert_eq!(bus.depths().await.expect("the store answers"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_forgotten_once_no_waiting_message_names_them_and_then_no_file_does() {
    const PERSON: &str = "0190b2c4-0000-7000-8000-00000000000a";
    let folder = Folder::new();
    let bus = LocalBus::open(&path(&folder), Arc::new(SystemClock), Schedule::default())
        .await
        .expect("the bus opens");
    let (handler, mut received) = reporting();
    let consumer = bus.subscribe(queue(), handler).await.expect("the subscription is accepted");
    for subject in ["an article", "wrong"] {
        let body = format!("by {PERSON}, called Rumpelstiltskin, about tennis").into();
        bus.publish(vec![Envelope { body, ..message("test.happened", subject) }])
            .await
            .expect("the bus confirms");
    }
    assert!(!bus.forget(PERSON).await.expect("the store answers"), "two messages still wait");
    let (stop, done) = start(consumer);
    for subject in ["an article", "wrong"] {
        assert_eq!(next(&mut received).await, subject);
    }
    stop.cancel();
    done.await.expect("the task does not panic");
    let holds = || {
        std::fs::read_dir(folder.path()).expect("reads").any(|entry| {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
            bytes.windows(15).any(|window| window == b"Rumpelstiltskin")
        })
    };
    assert!(holds(), "the dead letter has it, and the log");
    assert!(bus.forget(PERSON).await.expect("the store answers"));
    assert!(!holds());
    assert!(bus.dead_letters("test.queue", 10).await.expect("they are read").is_empty());
    bus.close().await;
}
