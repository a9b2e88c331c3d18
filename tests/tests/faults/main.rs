//! Engines are killed one by one with SIGKILL under light load and started again. No acknowledged write is
//! lost, each effect exists once, and every service is ready within ten seconds after the engine answers
//! again.
//!
//! One test runs at a time, because all tests share the engines. For the same reason this is a separate
//! binary.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use system_tests::{Engine, Shape, World, Writers};
use testkit::{PATIENCE, wait_until};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::interval;

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// The interval of a round of writes and of a read of each client: light load.
const PACE: Duration = Duration::from_millis(100);
/// The longest time from the first answer of the engine until every service is ready.
const READY: Duration = Duration::from_secs(10);
/// The time for which the engine is down.
const DOWNTIME: Duration = Duration::from_secs(3);

macro_rules! kill_each_engine {
    ($($name:ident: $engine:expr;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs the fleet's servers"]
            async fn $name() {
                kill_and_restart($engine).await;
            }
        )+
    };
}

kill_each_engine! {
    a_killed_broker_loses_no_acknowledged_write: Engine::Rabbitmq;
    a_killed_redis_of_caches_loses_no_acknowledged_write: Engine::RedisCache;
    a_killed_redis_of_intakes_loses_no_acknowledged_write: Engine::RedisIntake;
    a_killed_postgres_loses_no_acknowledged_write: Engine::Postgres;
    a_killed_ferretdb_loses_no_acknowledged_write: Engine::Ferretdb;
    a_killed_neo4j_loses_no_acknowledged_write: Engine::Neo4j;
}

async fn kill_and_restart(engine: Engine) {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut world = World::new(Shape::Fleet).await;
    let (admin, reader) = (world.admin().await, world.consenting_reader("vera").await);
    let mut articles = Vec::new();
    for number in 0..8 {
        articles.push(world.published("famous", "News", &[&format!("label {number}")], &admin).await);
    }
    for id in &articles {
        wait_until_readable(&world, id).await;
    }
    let writers = Writers::start(&world, &admin, "w", 2, PACE);
    let readers = Readers::start(&world, &articles, &reader.token);
    writers.wait_for_rounds(5).await;

    let down = Down::of(engine).await;
    wait_for_downtime(DOWNTIME).await;
    down.over().await;
    let answers = Instant::now();
    let fleet = world.fleet();
    wait_until("every service that is ready", Duration::from_secs(60), || async {
        fleet.not_ready().await.is_empty().then_some(())
    })
    .await;
    let ready = answers.elapsed();
    eprintln!("{}: every service ready {ready:?} after it answered", engine.name());

    // Writers and readers continue as before.
    writers.wait_for_rounds(5).await;
    let reads = readers.finish().await;
    assert!(reads > 20, "hardly anything was read: {reads}");
    writers.finish().await.assert_stored_once(&world).await;
    each_article_counts_once_at_most(&world, &reader.id, &admin.token).await;
    assert!(ready <= READY, "every service was ready only {ready:?} after {} answered", engine.name());
}

/// Waits until readers see an article that was published.
async fn wait_until_readable(world: &World, id: &str) {
    let path = format!("/news/v1/famous/{id}");
    wait_until("the article", PATIENCE, || async {
        (world.client().get(&path).send().await.status == 200).then_some(())
    })
    .await;
}

/// A reading is best effort while the broker is down. It is counted once in 30 minutes, however often it is
/// delivered.
async fn each_article_counts_once_at_most(world: &World, reader: &str, token: &str) {
    let path = format!("/recommendation/v1/user/{reader}");
    // A graph that has just started is slow at first.
    let liked = wait_until("the reader's labels", READY, || async {
        let answer = world.client().get(&path).token(token).send().await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    for label in liked.as_array().expect("a bare array") {
        assert_eq!(label["reads"], 1, "{liked}");
    }
}

/// A killed engine. It is always started again when this is dropped, because other tests need it.
struct Down(Engine, bool);

impl Down {
    async fn of(engine: Engine) -> Self {
        engine.kill9().await;
        Self(engine, true)
    }

    /// Starts the engine, and returns when it answers.
    async fn over(mut self) {
        self.1 = false;
        self.0.start().await;
    }
}

impl Drop for Down {
    fn drop(&mut self) {
        if self.1 {
            self.0.start_blocking();
        }
    }
}

/// A reader of one article after the other, whatever the responses are.
struct Readers {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

impl Readers {
    fn start(world: &World, articles: &[String], token: &str) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        let (client, token, articles) = (world.client().clone(), token.to_owned(), articles.to_vec());
        let (stopped, count) = (stop.clone(), answered.clone());
        tasks.spawn(async move {
            let mut turn = interval(PACE / 4);
            for id in articles.iter().cycle() {
                turn.tick().await;
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let path = format!("/news/v1/famous/{id}");
                if let Ok(answer) = client.get(&path).token(&token).try_send().await {
                    assert!(answer.status == 200 || answer.status > 500, "{answer}");
                    count.fetch_add(usize::from(answer.status == 200), Ordering::SeqCst);
                }
            }
        });
        Self { stop, answered, tasks }
    }

    /// Stops the reader, and returns the number of reads that succeeded.
    async fn finish(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.tasks.join_all().await;
        self.answered.load(Ordering::SeqCst)
    }
}

#[expect(clippy::disallowed_methods, reason = "an outage is a time, not a condition")]
async fn wait_for_downtime(time: Duration) {
    tokio::time::sleep(time).await;
}
