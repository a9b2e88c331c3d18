//! The two buses and a model of five lines under the same random work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kernel::Kind;
use rand::RngExt;
use rand::rngs::StdRng;
use testkit::{PATIENCE, random, wait_until};

use super::amqp::AmqpFixture;
use super::local::LocalFixture;
use super::{Fixture, Running, answering, message, refused, text};
use crate::Subscription;

const QUEUES: [(&str, &[&str]); 3] = [
    ("test.all", &["test.#"]),
    ("test.left", &["test.left.*", "test.*.b"]),
    ("test.right", &["test.right.*"]),
];
const KEYS: [&str; 5] = ["test.left.a", "test.left.b", "test.right.a", "test.right.b", "test"];

/// What is done to a bus, one thing after the other.
#[derive(Debug)]
enum Work {
    /// Messages with their keys and what becomes of them in every queue.
    Publish(Vec<(&'static str, &'static str)>),
    /// The consumer of a queue begins or ends.
    Toggle(usize),
}

/// What becomes of a message is written in its body: `number:fate`.
const FATES: [&str; 6] = ["ok", "twice", "five", "never", "stale", "poison"];

/// How often a message of this fate is delivered, and whether it is dead then.
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

/// What came of it in one queue: the bodies in the order of their first delivery, how often each was delivered, and the
/// dead with their number of deliveries.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
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

fn model(work: &[Work]) -> Vec<Seen> {
    let mut queues: Vec<Seen> = QUEUES.iter().map(|_| Seen::default()).collect();
    let published = work.iter().flat_map(|work| match work {
        Work::Publish(messages) => messages.as_slice(),
        Work::Toggle(_) => &[],
    });
    for (number, (key, fate)) in published.enumerate() {
        for (seen, (_, patterns)) in queues.iter_mut().zip(QUEUES) {
            let wanted = |text: &&str| text.parse::<crate::Pattern>().expect("a pattern").matches(key);
            if patterns.iter().any(wanted) {
                let (body, (deliveries, dead)) = (format!("{number}:{fate}"), expected(fate));
                seen.order.push(body.clone());
                seen.deliveries.insert(body.clone(), deliveries);
                if dead {
                    seen.dead.insert(body, deliveries);
                }
            }
        }
    }
    queues
}

/// Does the work on a bus, lets it come to rest, and tells what was seen.
async fn observe(fixture: &impl Fixture, work: &[Work], expected: &[Seen]) -> Vec<Seen> {
    let bus = fixture.bus().await;
    let seen: Vec<Arc<Mutex<Seen>>> = QUEUES.iter().map(|_| Arc::default()).collect();
    let subscribe = |queue: usize| {
        let (bus, seen) = (bus.clone(), seen[queue].clone());
        async move {
            let (handler, _told) = answering(move |message| {
                let body = text(message);
                let mut seen = seen.lock().expect("nobody panics with it");
                let times = seen.deliveries.entry(body.clone()).or_default();
                *times += 1;
                let times = *times;
                if times == 1 {
                    seen.order.push(body.clone());
                }
                match body.split_once(':').expect("number:fate").1 {
                    "twice" if times <= 2 => Err(refused(Kind::Unavailable)),
                    "five" if times <= 5 => Err(refused(Kind::TooMany)),
                    "never" => Err(refused(Kind::Timeout)),
                    "stale" => Err(refused(Kind::Stale)),
                    "poison" => Err(refused(Kind::Invalid)),
                    _ => Ok(()),
                }
            });
            let (name, patterns) = QUEUES[queue];
            let subscription = Subscription::durable("test", name, patterns.iter().copied());
            bus.subscribe(subscription, handler).await.expect("subscribes")
        }
    };
    let mut consumers: Vec<Option<Running>> = Vec::new();
    for queue in 0..QUEUES.len() {
        drop(subscribe(queue).await);
        consumers.push(None);
    }
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
                None => consumers[*queue] = Some(Running::start(subscribe(*queue).await)),
            },
        }
    }
    let mut all = Vec::new();
    for (queue, running) in consumers.into_iter().enumerate() {
        let running = match running {
            Some(running) => running,
            None => Running::start(subscribe(queue).await),
        };
        // While anything moves there is hope: a hundred retries on a busy machine take their time.
        let mut left = usize::MAX;
        while left > 0 {
            left = wait_until("a delivery that the model knows of", PATIENCE, || {
                let came: usize =
                    seen[queue].lock().expect("nobody panics with it").deliveries.values().sum();
                let missing = expected[queue].deliveries.values().sum::<usize>().saturating_sub(came);
                std::future::ready((missing == 0 || missing < left).then_some(missing))
            })
            .await;
        }
        running.stop().await;
        let mut seen = std::mem::take(&mut *seen[queue].lock().expect("nobody panics with it"));
        for letter in fixture.dead_letters(QUEUES[queue].0).await {
            seen.dead.insert(text(&letter.message), usize::try_from(letter.deliveries).expect("few"));
        }
        all.push(seen);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_bus_does_what_the_model_does() {
    for seed in 0..10 {
        let work = work(&mut random(seed));
        let model = model(&work);
        let local = LocalFixture::new().await;
        assert_eq!(observe(&local, &work, &model).await, model, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn the_bus_over_amqp_does_what_the_model_and_the_local_bus_do() {
    for seed in 0..10 {
        let work = work(&mut random(seed));
        let model = model(&work);
        let amqp = AmqpFixture::new().await;
        assert_eq!(observe(&amqp, &work, &model).await, model, "seed {seed}");
        let local = LocalFixture::new().await;
        assert_eq!(observe(&local, &work, &model).await, model, "seed {seed}");
    }
}
