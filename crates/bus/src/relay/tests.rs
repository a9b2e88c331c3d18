//! The way from an effect to the bus: an outbox (in SQLite, which needs no server) and the relay together.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chassis::sqlite::Database;
use chassis::{Context, Runnable, Step, StoreFailure, Worker};
use kernel::{Clock, Kind, Refusal, SystemClock};
use sqlx::migrate::Migrator;
use testkit::Folder;
use tokio::sync::Notify;

use crate::outbox::contract::messages;
use crate::sqlite_outbox::{SqliteOutbox, TABLE, enqueue};
use crate::{Bus, BusError, Call, CallHandler, Envelope, Handler, Outbox, Relay, Subscription};

/// What the bus of a test does with the next batch.
#[derive(Clone, Copy)]
enum Mood {
    Confirms,
    Fails,
    NeverAnswers,
}

/// A bus that only takes messages, and shows what it has taken.
struct Taking {
    mood: Mutex<Mood>,
    taken: Mutex<Vec<Vec<Envelope>>>,
}

impl Taking {
    fn new(mood: Mood) -> Arc<Self> {
        Arc::new(Self { mood: Mutex::new(mood), taken: Mutex::default() })
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().expect("no test panics with it") = mood;
    }

    fn taken(&self) -> Vec<Vec<Envelope>> {
        self.taken.lock().expect("no test panics with it").clone()
    }
}

#[async_trait]
impl Bus for Taking {
    async fn publish(&self, messages: Vec<Envelope>) -> Result<(), BusError> {
        let mood = *self.mood.lock().expect("no test panics with it");
        self.taken.lock().expect("no test panics with it").push(messages);
        match mood {
            Mood::Confirms => Ok(()),
            Mood::Fails => Err(BusError::Store(StoreFailure::Unavailable("the test wants it so".into()))),
            Mood::NeverAnswers => std::future::pending().await,
        }
    }

    async fn subscribe(&self, _: Subscription, _: Arc<dyn Handler>) -> Result<Box<dyn Runnable>, BusError> {
        Err(BusError::Name("a relay only publishes".to_owned()))
    }

    async fn call(&self, _: &str, _: Call) -> Result<Bytes, Refusal> {
        Err(Refusal::new(Kind::Internal, "internal", "a relay only publishes"))
    }

    async fn serve(
        &self,
        _: &'static str,
        _: &str,
        _: Arc<dyn CallHandler>,
    ) -> Result<Box<dyn Runnable>, BusError> {
        Err(BusError::Name("a relay only publishes".to_owned()))
    }

    async fn try_write(&self) -> Result<(), BusError> {
        Ok(())
    }

    async fn forget(&self, _: &str) -> Result<bool, BusError> {
        Err(BusError::Name("a relay only publishes".to_owned()))
    }

    async fn ping(&self) -> Result<(), BusError> {
        Ok(())
    }

    async fn close(&self) {}
}

struct Setup {
    database: Database,
    outbox: Arc<SqliteOutbox>,
    _folder: Folder,
}

async fn setup() -> Setup {
    let folder = Folder::new();
    let database = Database::open(&folder.sqlite("service.db"), &Migrator::with_migrations(Vec::new()))
        .await
        .expect("opens");
    let mut tx = database.write().await.expect("begins");
    sqlx::raw_sql(TABLE).execute(&mut *tx).await.expect("makes the table");
    tx.commit().await.expect("commits");
    let outbox = Arc::new(SqliteOutbox::new(database.clone(), Arc::new(Notify::new())));
    Setup { database, outbox, _folder: folder }
}

impl Setup {
    async fn store(&self, messages: &[Envelope]) {
        let mut tx = self.database.write().await.expect("begins");
        for message in messages {
            enqueue(&mut tx, message).await.expect("enqueues");
        }
        tx.commit().await.expect("commits");
    }

    async fn left(&self) -> Vec<Envelope> {
        let unsent = self.outbox.unsent(1000).await.expect("the store answers");
        unsent.into_iter().map(|(_, message)| message).collect()
    }
}

#[tokio::test]
async fn what_was_stored_with_its_effect_leaves_in_order_and_is_then_gone() {
    let setup = setup().await;
    let bus = Taking::new(Mood::Confirms);
    let relay = Relay::new(setup.outbox.clone(), bus.clone());
    let sent = messages(3);
    setup.store(&sent[..2]).await;
    setup.store(&sent[2..]).await;
    assert_eq!(relay.step().await.expect("works"), Step::Worked);
    assert_eq!(bus.taken(), [sent]);
    assert_eq!(setup.left().await, []);
    assert_eq!(relay.step().await.expect("works"), Step::Idle);
}

#[tokio::test]
async fn an_effect_that_is_rolled_back_sends_nothing() {
    let setup = setup().await;
    let mut tx = setup.database.write().await.expect("begins");
    enqueue(&mut tx, &messages(1)[0]).await.expect("enqueues");
    drop(tx);
    let bus = Taking::new(Mood::Confirms);
    let relay = Relay::new(setup.outbox.clone(), bus.clone());
    assert_eq!(relay.step().await.expect("works"), Step::Idle);
    assert!(bus.taken().is_empty());
}

#[tokio::test]
async fn a_message_stays_in_the_outbox_until_the_bus_has_confirmed_it() {
    let setup = setup().await;
    let bus = Taking::new(Mood::Fails);
    let relay = Relay::new(setup.outbox.clone(), bus.clone());
    let sent = messages(2);
    setup.store(&sent).await;
    let fault = relay.step().await.expect_err("the bus is away");
    assert_eq!(fault.kind(), Kind::Unavailable);
    assert_eq!(setup.left().await, sent);
    bus.set(Mood::Confirms);
    assert_eq!(relay.step().await.expect("works"), Step::Worked);
    assert_eq!(bus.taken(), [sent.clone(), sent]);
    assert_eq!(setup.left().await, []);
}

#[tokio::test]
async fn a_relay_that_ends_while_the_bus_is_silent_sends_again_later() {
    let setup = setup().await;
    let bus = Taking::new(Mood::NeverAnswers);
    let relay = Relay::new(setup.outbox.clone(), bus.clone());
    let sent = messages(1);
    setup.store(&sent).await;
    let step = tokio::time::timeout(std::time::Duration::from_millis(20), relay.step()).await;
    assert!(step.is_err(), "the bus never answers");
    assert_eq!(setup.left().await, sent);
}

#[tokio::test]
async fn a_long_outbox_leaves_in_batches_of_200() {
    let setup = setup().await;
    let bus = Taking::new(Mood::Confirms);
    let relay = Relay::new(setup.outbox.clone(), bus.clone());
    let sent = messages(450);
    setup.store(&sent).await;
    while relay.step().await.expect("works") == Step::Worked {}
    let taken = bus.taken();
    assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [200, 200, 50]);
    assert_eq!(taken.concat(), sent);
}

#[tokio::test]
async fn a_position_is_never_used_twice() {
    let setup = setup().await;
    setup.store(&messages(1)).await;
    let first = setup.outbox.unsent(10).await.expect("the store answers");
    setup.outbox.mark_sent(&[first[0].0]).await.expect("the store answers");
    setup.store(&messages(1)).await;
    // A confirmation that comes twice takes away nothing that was stored since.
    setup.outbox.mark_sent(&[first[0].0]).await.expect("the store answers");
    assert_eq!(setup.left().await.len(), 1);
}

#[tokio::test]
async fn how_long_the_oldest_message_waits_is_told_until_it_is_sent() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let age = || -> f64 {
        let text = recorder.handle().render();
        let line =
            text.lines().find_map(|it| it.strip_prefix("outbox_oldest_unsent_seconds{service=\"test\"} "));
        line.expect("it is told").parse().expect("a number")
    };
    let setup = setup().await;
    let bus = Taking::new(Mood::Fails);
    let relay = Relay::new(setup.outbox.clone(), bus.clone());
    let step = || Context::for_work("test", Duration::from_secs(10)).scope(relay.step());
    assert_eq!(step().await.expect("works"), Step::Idle);
    assert_eq!(age(), 0.0);
    let waiting = messages(2);
    setup.store(&waiting).await;
    assert!(step().await.is_err());
    let since = SystemClock.now().since(waiting[0].time).as_secs_f64();
    assert!(age() > 0.0 && (since - age()).abs() < 60.0, "{} and not {since}", age());
    bus.set(Mood::Confirms);
    while step().await.expect("works") == Step::Worked {}
    assert_eq!(age(), 0.0);
}
