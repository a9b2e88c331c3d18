//! The engines killed with -9, one by one, under light load, and started again. Nothing that was acknowledged is lost, each effect is
//! there once, and every service is ready within ten seconds of the engine's answering again.
//!
//! One test at a time: what is killed is everybody's. That is also why this is a binary of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use system_tests::{Engine, Shape, World, Writers};
use testkit::{PATIENCE, wait_until};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::interval;

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A round of writes, and a read, of each client: light load.
const PACE: Duration = Duration::from_millis(100);
/// How soon after an engine answers again every service has to be ready.
const READY: Duration = Duration::from_secs(10);
/// How long the engine is away before it is started again.
const AWAY: Duration = Duration::from_secs(3);

macro_rules! each_engine_is_survived {
    ($($name:ident: $engine:expr;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs the fleet's servers"]
            async fn $name() {
                is_survived($engine).await;
            }
        )+
    };
}

each_engine_is_survived! {
    a_broker_that_is_killed_costs_nothing_that_was_acknowledged: Engine::Rabbitmq;
    a_redis_of_caches_that_is_killed_costs_nothing_that_was_acknowledged: Engine::RedisCache;
    a_redis_of_intakes_that_is_killed_costs_nothing_that_was_acknowledged: Engine::RedisIntake;
    a_postgres_that_is_killed_costs_nothing_that_was_acknowledged: Engine::Postgres;
    a_ferretdb_that_is_killed_costs_nothing_that_was_acknowledged: Engine::Ferretdb;
    a_neo4j_that_is_killed_costs_nothing_that_was_acknowledged: Engine::Neo4j;
}

async fn is_survived(engine: Engine) {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut world = World::new(Shape::Fleet).await;
    let (admin, reader) = (world.admin().await, world.consenting_reader("vera").await);
    let mut articles = Vec::new();
    for number in 0..8 {
        articles.push(world.published("famous", "News", &[&format!("label {number}")], &admin).await);
    }
    for id in &articles {
        can_be_read(&world, id).await;
    }
    let writers = Writers::start(&world, &admin, "w", 2, PACE);
    let readers = Readers::start(&world, &articles, &reader.token);
    writers.have_done(5).await;

    let down = Down::of(engine).await;
    some_time_passes(AWAY).await;
    down.over().await;
    let answers = Instant::now();
    let fleet = world.fleet();
    wait_until("every service that is ready", Duration::from_secs(60), || async {
        fleet.not_ready().await.is_empty().then_some(())
    })
    .await;
    let ready = answers.elapsed();
    eprintln!("{}: every service ready {ready:?} after it answered", engine.name());

    // Both go on as before.
    writers.have_done(5).await;
    let reads = readers.finish().await;
    assert!(reads > 20, "hardly anything was read: {reads}");
    writers.finish().await.holds(&world).await;
    each_article_counts_once_at_most(&world, &reader.id, &admin.token).await;
    assert!(ready <= READY, "every service was ready only {ready:?} after {} answered", engine.name());
}

/// Waits until readers see an article that was published.
async fn can_be_read(world: &World, id: &str) {
    let path = format!("/news/v1/famous/{id}");
    wait_until("the article", PATIENCE, || async {
        (world.client().get(&path).send().await.status == 200).then_some(())
    })
    .await;
}

/// A reading is best effort while the broker is away, and is counted once in 30 minutes however often it is told.
async fn each_article_counts_once_at_most(world: &World, reader: &str, token: &str) {
    let path = format!("/recommendation/v1/user/{reader}");
    // A graph that has only just come up is slow at first.
    let liked = wait_until("the reader's labels", READY, || async {
        let answer = world.client().get(&path).token(token).send().await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    for label in liked.as_array().expect("a bare array") {
        assert_eq!(label["reads"], 1, "{liked}");
    }
}

/// An engine that was killed. It is started again in the end, whatever else fails: others need it.
struct Down(Engine, bool);

impl Down {
    async fn of(engine: Engine) -> Self {
        engine.kill9().await;
        Self(engine, true)
    }

    /// Starts it and returns when it answers.
    async fn over(mut self) {
        self.1 = false;
        self.0.start().await;
    }
}

impl Drop for Down {
    fn drop(&mut self) {
        if self.1 {
            self.0.start_now();
        }
    }
}

/// Somebody who reads one article after the other, whatever is answered.
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
        let (told, count) = (stop.clone(), answered.clone());
        tasks.spawn(async move {
            let mut turn = interval(PACE / 4);
            for id in articles.iter().cycle() {
                turn.tick().await;
                if told.load(Ordering::SeqCst) {
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

    /// How many were answered with the article.
    async fn finish(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.tasks.join_all().await;
        self.answered.load(Ordering::SeqCst)
    }
}

#[allow(clippy::disallowed_methods, reason = "an outage is a time, not a condition")]
async fn some_time_passes(time: Duration) {
    tokio::time::sleep(time).await;
}
