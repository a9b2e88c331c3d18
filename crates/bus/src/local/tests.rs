//! What only the local bus promises.

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

use super::{BusLocal, Depth};
use crate::{Bus, BusError, Envelope, Handler, Schedule, Subscription};

/// Tells what it gets, and refuses what is named after a kind of refusal.
struct Tell(UnboundedSender<String>);

#[async_trait]
impl Handler for Tell {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        let _gone = self.0.send(message.subject.clone());
        match message.subject.as_str() {
            "away" => Err(Refusal::new(Kind::Unavailable, "away", "It is away.").into()),
            "wrong" => Err(Refusal::new(Kind::Invalid, "wrong", "It is wrong.").into()),
            _ => Ok(()),
        }
    }
}

fn telling() -> (Arc<dyn Handler>, UnboundedReceiver<String>) {
    let (told, seen) = unbounded_channel();
    (Arc::new(Tell(told)), seen)
}

async fn next(seen: &mut UnboundedReceiver<String>) -> String {
    tokio::time::timeout(PATIENCE, seen.recv())
        .await
        .expect("it comes in time")
        .expect("somebody may still send")
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

async fn publish(bus: &BusLocal, key: &str, subject: &str) {
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
async fn a_clock_that_goes_back_an_hour_keeps_no_message_back_for_an_hour() {
    let folder = Folder::new();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    let bus = BusLocal::open(&path(&folder), clock.clone(), Schedule::default()).await.expect("opens");
    let (handler, mut seen) = telling();
    let queue = bus.subscribe(queue(), handler).await.expect("subscribes");
    // One that was never delivered, and then one that was put off.
    publish(&bus, "test.happened", "neighbour").await;
    let hour = Duration::from_secs(3_600);
    clock.set(clock.now().minus(hour));
    let (stop, done) = start(queue);
    assert_eq!(next(&mut seen).await, "neighbour");
    clock.set(clock.now().plus(hour));
    publish(&bus, "test.happened", "away").await;
    assert_eq!(next(&mut seen).await, "away");
    publish(&bus, "test.happened", "neighbour").await;
    assert_eq!(next(&mut seen).await, "neighbour");
    clock.set(clock.now().minus(hour));
    bus.look_again();
    assert_eq!(next(&mut seen).await, "away", "it was put off for a second");
    stop.cancel();
    done.await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_come_after_1_s_5_s_30_s_2_min_and_10_min() {
    let folder = Folder::new();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    let bus = BusLocal::open(&path(&folder), clock.clone(), Schedule::default()).await.expect("opens");
    let (handler, mut seen) = telling();
    let (stop, done) = start(bus.subscribe(queue(), handler).await.expect("subscribes"));
    publish(&bus, "test.happened", "away").await;
    assert_eq!(next(&mut seen).await, "away");
    for seconds in [1, 5, 30, 120, 600] {
        // One message after the other: when the neighbour was handled, the fate of the first is decided.
        publish(&bus, "test.happened", "neighbour").await;
        assert_eq!(next(&mut seen).await, "neighbour");
        clock.advance(Duration::from_millis(seconds * 1000 - 1));
        publish(&bus, "test.happened", "neighbour").await;
        // Were it due, it would have come before its neighbour: it has been in the queue for longer.
        assert_eq!(next(&mut seen).await, "neighbour", "before {seconds} s");
        clock.advance(Duration::from_millis(1));
        bus.look_again();
        assert_eq!(next(&mut seen).await, "away", "after {seconds} s");
    }
    stop.cancel();
    done.await.expect("it stops");
    let depth = Depth { queue: "test.queue".to_owned(), waiting: 0, dead: 1 };
    assert_eq!(bus.depths().await.expect("the store answers"), [depth]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_comes_by_itself_when_it_is_due() {
    let folder = Folder::new();
    let schedule = Schedule::new([Duration::from_millis(20)]);
    let bus = BusLocal::open(&path(&folder), Arc::new(SystemClock), schedule).await.expect("opens");
    let (handler, mut seen) = telling();
    let (stop, done) = start(bus.subscribe(queue(), handler).await.expect("subscribes"));
    publish(&bus, "test.happened", "away").await;
    assert_eq!(next(&mut seen).await, "away");
    assert_eq!(next(&mut seen).await, "away");
    stop.cancel();
    done.await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_waiting_messages_and_keys_are_there_after_reopening() {
    let folder = Folder::new();
    {
        let bus =
            BusLocal::open(&path(&folder), Arc::new(SystemClock), Schedule::default()).await.expect("opens");
        let (handler, mut seen) = telling();
        let (stop, done) = start(bus.subscribe(queue(), handler).await.expect("subscribes"));
        publish(&bus, "test.happened", "wrong").await;
        assert_eq!(next(&mut seen).await, "wrong");
        stop.cancel();
        done.await.expect("it stops");
        publish(&bus, "test.happened", "before").await;
        bus.close().await;
    }
    let bus = BusLocal::open(&path(&folder), Arc::new(SystemClock), Schedule::default())
        .await
        .expect("opens again");
    publish(&bus, "test.happened", "after").await;
    let depth = Depth { queue: "test.queue".to_owned(), waiting: 2, dead: 1 };
    assert_eq!(bus.depths().await.expect("the store answers"), [depth]);
    let dead = bus.dead_letters("test.queue", 10).await.expect("the store answers");
    let told: Vec<_> = dead.iter().map(|dead| (&*dead.message.subject, &*dead.code, &*dead.detail)).collect();
    assert_eq!(told, [("wrong", "wrong", "It is wrong.")]);
    assert_eq!(bus.dead_letters("test.unknown", 10).await.expect("the store answers"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_subscription_decides_which_keys_a_queue_wants() {
    let folder = Folder::new();
    let bus =
        BusLocal::open(&path(&folder), Arc::new(SystemClock), Schedule::default()).await.expect("opens");
    let (handler, mut seen) = telling();
    drop(bus.subscribe(queue(), handler.clone()).await.expect("subscribes"));
    publish(&bus, "test.happened", "old key").await;
    let other = Subscription::durable("test", "test.queue", ["other.*"]);
    let (stop, done) = start(bus.subscribe(other, handler).await.expect("subscribes"));
    publish(&bus, "test.happened", "old key, not wanted any more").await;
    publish(&bus, "other.happened", "new key").await;
    assert_eq!(next(&mut seen).await, "old key");
    assert_eq!(next(&mut seen).await, "new key");
    stop.cancel();
    done.await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_does_not_keep_up_delays_no_publisher_and_misses_broadcasts() {
    let folder = Folder::new();
    let bus =
        BusLocal::open(&path(&folder), Arc::new(SystemClock), Schedule::default()).await.expect("opens");
    let (handler, mut seen) = telling();
    let asleep =
        bus.subscribe(Subscription::broadcast("test", ["test.#"]), handler).await.expect("subscribes");
    let many = (0..1500).map(|n| message("test.happened", &n.to_string())).collect();
    tokio::time::timeout(PATIENCE, bus.publish(many))
        .await
        .expect("nobody is waited for")
        .expect("the bus confirms");
    let (stop, done) = start(asleep);
    for expected in 0..1024 {
        assert_eq!(next(&mut seen).await, expected.to_string());
    }
    publish(&bus, "test.happened", "next").await;
    assert_eq!(next(&mut seen).await, "next");
    stop.cancel();
    done.await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_of_one_process_share_one_bus() {
    let folder = Folder::new();
    let url = format!("local:{}", path(&folder));
    let surroundings = Surroundings::one_process();
    let one = crate::open(&url, &surroundings).await.expect("opens");
    let two = crate::open_local(&url, &surroundings).await.expect("is open already");
    drop(one.bus.subscribe(queue(), telling().0).await.expect("subscribes"));
    publish(&two, "test.happened", "a").await;
    assert_eq!(two.depths().await.expect("the store answers").first().map(|depth| depth.waiting), Some(1));
    let three = crate::open(&url, &surroundings).await.expect("is open already");
    assert_eq!((one.closers.len(), three.closers.len()), (1, 0), "whoever opened it closes it");
    // Another process would be refused, as these other surroundings are.
    assert!(matches!(crate::open(&url, &Surroundings::one_process()).await, Err(BusError::Store(_))));
}

#[tokio::test]
async fn a_service_on_its_own_is_told_what_to_set_instead_of_the_local_bus() {
    let Err(error) = crate::open("local:data/bus.db", &Surroundings::alone()).await else {
        panic!("must be refused")
    };
    assert!(error.to_string().contains("set its bus.url to an amqp:// address"), "{error}");
}

#[tokio::test]
async fn an_address_that_no_adapter_knows_is_refused() {
    for url in ["", "local:", "local://data/bus.db", "redis://there", "amqp:there"] {
        let opened = crate::open(url, &Surroundings::one_process()).await;
        assert!(matches!(opened, Err(BusError::Url(_))), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_without_a_name_and_half_a_wildcard_are_refused() {
    let folder = Folder::new();
    let bus =
        BusLocal::open(&path(&folder), Arc::new(SystemClock), Schedule::default()).await.expect("opens");
    for bad in
        [Subscription::durable("test", "", ["test.#"]), Subscription::durable("test", "test.queue", ["te*"])]
    {
        assert!(matches!(bus.subscribe(bad, telling().0).await, Err(BusError::Name(_))));
    }
    assert_eq!(bus.depths().await.expect("the store answers"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_forgotten_only_when_no_message_names_them_any_more_and_then_no_file_does() {
    const PERSON: &str = "0190b2c4-0000-7000-8000-00000000000a";
    let folder = Folder::new();
    let bus =
        BusLocal::open(&path(&folder), Arc::new(SystemClock), Schedule::default()).await.expect("opens");
    let (handler, mut seen) = telling();
    let consumer = bus.subscribe(queue(), handler).await.expect("subscribes");
    for subject in ["an article", "wrong"] {
        let body = format!("by {PERSON}, called Rumpelstiltskin, about tennis").into();
        bus.publish(vec![Envelope { body, ..message("test.happened", subject) }]).await.expect("confirms");
    }
    assert!(!bus.forget(PERSON).await.expect("the store answers"), "two messages still wait");
    let (stop, done) = start(consumer);
    for subject in ["an article", "wrong"] {
        assert_eq!(next(&mut seen).await, subject);
    }
    stop.cancel();
    done.await.expect("it stops");
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
