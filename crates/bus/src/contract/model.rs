//! Both adapters and a small model under the same random work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chassis::Runnable;

use kernel::{Kind, Refusal};
use rand::RngExt;
use rand::rngs::StdRng;
use testkit::{PATIENCE, random, wait_until};

use super::amqp::AmqpFixture;
use super::local::LocalFixture;
use super::{Fixture, Running, message, refusal, respond_with, text};
use crate::{Bus, Subscription};

const QUEUES: [(&str, &[&str]); 3] = [
    ("test.all", &["test.#"]),
    ("test.left", &["test.left.*", "test.*.b"]),
    ("test.right", &["test.right.*"]),
];
const KEYS: [&str; 5] = ["test.left.a", "test.left.b", "test.right.a", "test.right.b", "test"];

/// One step of the work on a bus.
#[derive(Debug)]
enum Work {
    /// Publishes messages with these keys and fates. The fate is the same in every queue.
    Publish(Vec<(&'static str, &'static str)>),
    /// Starts or stops the consumer of a queue.
    Toggle(usize),
}

/// The fates of messages. A body has the form `number:fate`.
const FATES: [&str; 6] = ["ok", "twice", "five", "never", "stale", "poison"];

/// Returns how often a message of this fate is delivered, and whether it is dead then.
fn expected(fate: &str) -> (usize, bool) {
    match fate {
        "twice" => (3, false),
        "five" => (6, false),
        "never" => (6, true),
        "stale" => (2, true),
        "poison" => (1, true),
        _ => (1, false),
    }
}

/// The deliveries of one queue: the bodies in the order of their first delivery, the number of deliveries of
/// each, and the dead ones with their number.
#[derive(Debug, Default, PartialEq, Eq)]
struct Observation {
    order: Vec<String>,
    deliveries: BTreeMap<String, usize>,
    dead: BTreeMap<String, usize>,
}

fn work(random: &mut StdRng) -> Vec<Work> {
    let one = |random: &mut StdRng| match random.random_range(0..3) {
        0 => Work::Toggle(random.random_range(0..QUEUES.len())),
        _ => Work::Publish(
            (0..random.random_range(1..8))
                .map(|_| {
                    (KEYS[random.random_range(0..KEYS.len())], FATES[random.random_range(0..FATES.len())])
                })
                .collect(),
        ),
    };
    (0..25).map(|_| one(random)).collect()
}

fn model(work: &[Work]) -> Vec<Observation> {
    let mut queues: Vec<Observation> = QUEUES.iter().map(|_| Observation::default()).collect();
    let published = work.iter().flat_map(|work| match work {
        Work::Publish(messages) => messages.as_slice(),
        Work::Toggle(_) => &[],
    });
    for (number, (key, fate)) in published.enumerate() {
        for (observed, (_, patterns)) in queues.iter_mut().zip(QUEUES) {
            let is_match = |text: &&str| text.parse::<crate::Pattern>().expect("a pattern").matches(key);
            if patterns.iter().any(is_match) {
                let (body, (deliveries, dead)) = (format!("{number}:{fate}"), expected(fate));
                observed.order.push(body.clone());
                observed.deliveries.insert(body.clone(), deliveries);
                if dead {
                    observed.dead.insert(body, deliveries);
                }
            }
        }
    }
    queues
}

type Observed = Arc<Mutex<Observation>>;

const NOT_POISONED: &str = "no test panics while it holds the lock";

/// Counts a delivery and returns what its fate demands at this attempt.
fn deliver(observed: &mut Observation, body: &str) -> Result<(), Refusal> {
    let times = observed.deliveries.entry(body.to_owned()).or_default();
    *times += 1;
    let times = *times;
    if times == 1 {
        observed.order.push(body.to_owned());
    }
    match body.split_once(':').expect("number:fate").1 {
        "twice" if times <= 2 => Err(refusal(Kind::Unavailable)),
        "five" if times <= 5 => Err(refusal(Kind::TooMany)),
        "never" => Err(refusal(Kind::Timeout)),
        "stale" => Err(refusal(Kind::Stale)),
        "poison" => Err(refusal(Kind::Invalid)),
        _ => Ok(()),
    }
}

/// Subscribes to the queue of this index. The observation counts its deliveries.
async fn subscribe(bus: &Arc<dyn Bus>, queue: usize, observed: &Observed) -> Box<dyn Runnable> {
    let observed = observed.clone();
    let (handler, _received) =
        respond_with(move |message| deliver(&mut observed.lock().expect(NOT_POISONED), &text(message)));
    let (name, patterns) = QUEUES[queue];
    let subscription = Subscription::durable("test", name, patterns.iter().copied());
    bus.subscribe(subscription, handler).await.expect("the subscription is accepted")
}

/// Does the work on a bus. Returns the consumers that run at its end.
async fn perform(bus: &Arc<dyn Bus>, work: &[Work], observed: &[Observed]) -> Vec<Option<Running>> {
    let mut consumers: Vec<Option<Running>> = QUEUES.iter().map(|_| None).collect();
    let mut number = 0;
    for work in work {
        match work {
            Work::Publish(messages) => {
                let mut batch = Vec::new();
                for (key, fate) in messages {
                    batch.push(message(key, &format!("{number}:{fate}")));
                    number += 1;
                }
                bus.publish(batch).await.expect("the bus confirms");
            }
            Work::Toggle(queue) => match consumers[*queue].take() {
                Some(running) => running.stop().await,
                None => {
                    let consumer = subscribe(bus, *queue, &observed[*queue]).await;
                    consumers[*queue] = Some(Running::start(consumer));
                }
            },
        }
    }
    consumers
}

/// Waits until a queue has delivered as often as expected. It waits as long as deliveries make progress,
/// because a hundred retries on a busy machine take their time.
async fn wait_for_deliveries(observed: &Observed, expected: &Observation) {
    let expected: usize = expected.deliveries.values().sum();
    let mut left = usize::MAX;
    while left > 0 {
        left = wait_until("a delivery that the model knows of", PATIENCE, || {
            let delivered: usize = observed.lock().expect(NOT_POISONED).deliveries.values().sum();
            let missing = expected.saturating_sub(delivered);
            std::future::ready((missing == 0 || missing < left).then_some(missing))
        })
        .await;
    }
}

/// Does the work on a bus, waits until everything is delivered, and returns the observations.
async fn observe(fixture: &impl Fixture, work: &[Work], expected: &[Observation]) -> Vec<Observation> {
    let bus = fixture.bus().await;
    let observed: Vec<Observed> = QUEUES.iter().map(|_| Arc::default()).collect();
    for (queue, observed) in observed.iter().enumerate() {
        drop(subscribe(&bus, queue, observed).await);
    }
    let consumers = perform(&bus, work, &observed).await;
    let mut all = Vec::new();
    for (queue, running) in consumers.into_iter().enumerate() {
        let running = match running {
            Some(running) => running,
            None => Running::start(subscribe(&bus, queue, &observed[queue]).await),
        };
        wait_for_deliveries(&observed[queue], &expected[queue]).await;
        running.stop().await;
        let mut observed = std::mem::take(&mut *observed[queue].lock().expect(NOT_POISONED));
        for letter in fixture.dead_letters(QUEUES[queue].0).await {
            observed.dead.insert(text(&letter.message), usize::try_from(letter.deliveries).expect("few"));
        }
        all.push(observed);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_bus_behaves_like_the_model() {
    for seed in 0..10 {
        let work = work(&mut random(seed));
        let model = model(&work);
        let local = LocalFixture::new().await;
        assert_eq!(observe(&local, &work, &model).await, model, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn the_bus_over_amqp_behaves_like_the_model_and_the_local_bus() {
    for seed in 0..10 {
        let work = work(&mut random(seed));
        let model = model(&work);
        let amqp = AmqpFixture::new().await;
        assert_eq!(observe(&amqp, &work, &model).await, model, "seed {seed}");
        let local = LocalFixture::new().await;
        assert_eq!(observe(&local, &work, &model).await, model, "seed {seed}");
    }
}
