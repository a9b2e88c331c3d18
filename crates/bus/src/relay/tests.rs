//! The way from an effect to the bus: an outbox (in SQLite, which needs no server) together with a relay.

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

/// The reaction of the test's bus to the next batch.
#[derive(Clone, Copy)]
enum Reaction {
    Confirms,
    Fails,
    NeverAnswers,
}

/// A bus that only accepts messages, and records them.
struct RecordingBus {
    reaction: Mutex<Reaction>,
    published: Mutex<Vec<Vec<Envelope>>>,
}

impl RecordingBus {
    fn new(reaction: Reaction) -> Arc<Self> {
        Arc::new(Self { reaction: Mutex::new(reaction), published: Mutex::default() })
    }

    fn set(&self, reaction: Reaction) {
        *self.reaction.lock().expect("no test panics while it holds the lock") = reaction;
    }

    fn published(&self) -> Vec<Vec<Envelope>> {
        self.published.lock().expect("no test panics while it holds the lock").clone()
    }
}

#[async_trait]
impl Bus for RecordingBus {
    async fn publish(&self, messages: Vec<Envelope>) -> Result<(), BusError> {
        let reaction = *self.reaction.lock().expect("no test panics while it holds the lock");
        self.published.lock().expect("no test panics while it holds the lock").push(messages);
        match reaction {
            Reaction::Confirms => Ok(()),
            Reaction::Fails => Err(BusError::Store(StoreFailure::Unavailable("the test refuses it".into()))),
            Reaction::NeverAnswers => std::future::pending().await,
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
        .expect("the database opens");
    let mut tx = database.write().await.expect("the transaction begins");
    sqlx::raw_sql(TABLE).execute(&mut *tx).await.expect("the table is created");
    tx.commit().await.expect("the transaction commits");
    let outbox = Arc::new(SqliteOutbox::new(database.clone(), Arc::new(Notify::new())));
    Setup { database, outbox, _folder: folder }
}

impl Setup {
    async fn store(&self, messages: &[Envelope]) {
        let mut tx = self.database.write().await.expect("the transaction begins");
        for message in messages {
            enqueue(&mut tx, message).await.expect("the message is enqueued");
        }
        tx.commit().await.expect("the transaction commits");
    }

    async fn left(&self) -> Vec<Envelope> {
        let unsent = self.outbox.unsent(1000).await.expect("the store answers");
        unsent.into_iter().map(|(_, message)| message).collect()
    }
}

#[tokio::test]
async fn stored_messages_are_published_in_order_and_then_deleted() {
    let setup = setup().await;
    let bus = RecordingBus::new(Reaction::Confirms);
    let relay = Relay::new(setup.outbox.clone(), bus.clone());
    let sent = messages(3);
    setup.store(&sent[..2]).await;
    setup.store(&sent[2..]).await;
    assert_eq!(relay.step().await.expect("the step succeeds"), Step::Worked);
    assert_eq!(bus.published(), [sent]);
    assert_eq!(setup.left().await, []);
    assert_eq!(relay.step().await.expect("the step succeeds"), Step::Idle);
}

#[tokio::test]
async fn an_effect_that_is_rolled_back_publishes_nothing() {
    let setup = setup().await;
    let mut tx = setup.database.write().await.expect("the transaction begins");
    enqueue(&mut tx, &messages(1)[0]).await.expect("the message is enqueued");
    drop(tx);
    let bus = RecordingBus::new(Reaction::Confirms);
    let relay = Relay::new(setup.outbox.clone(), bus.clone());
    assert_eq!(relay.step().await.expect("the step succeeds"), Step::Idle);
    assert!(bus.published().is_empty());
}

#[tokio::test]
async fn a_message_stays_in_the_outbox_until_the_bus_has_confirmed_it() {
    let setup = setup().await;
    let bus = RecordingBus::new(Reaction::Fails);
    let relay = Relay::new(setup.outbox.clone(), bus.clone());
    let sent = messages(2);
    setup.store(&sent).await;
    let fault = relay.step().await.expect_err("the bus is unavailable");
    assert_eq!(fault.kind(), Kind::Unavailable);
    assert_eq!(setup.left().await, sent);
    bus.set(Reaction::Confirms);
    assert_eq!(relay.step().await.expect("the step succeeds"), Step::Worked);
    assert_eq!(bus.published(), [sent.clone(), sent]);
    assert_eq!(setup.left().await, []);
}

#[tokio::test]
async fn a_relay_that_ends_while_the_bus_is_silent_keeps_its_messages() {
    let setup = setup().await;
    let bus = RecordingBus::new(Reaction::NeverAnswers);
    let relay = Relay::new(setup.outbox.clone(), bus.clone());
    let sent = messages(1);
    setup.store(&sent).await;
    let step = tokio::time::timeout(std::time::Duration::from_millis(20), relay.step()).await;
    assert!(step.is_err(), "the bus never answers");
    assert_eq!(setup.left().await, sent);
}

#[tokio::test]
async fn a_long_outbox_is_published_in_batches_of_200() {
    let setup = setup().await;
    let bus = RecordingBus::new(Reaction::Confirms);
    let relay = Relay::new(setup.outbox.clone(), bus.clone());
    let sent = messages(450);
    setup.store(&sent).await;
    while relay.step().await.expect("the step succeeds") == Step::Worked {}
    let published = bus.published();
    assert_eq!(published.iter().map(Vec::len).collect::<Vec<_>>(), [200, 200, 50]);
    assert_eq!(published.concat(), sent);
}

#[tokio::test]
async fn a_position_is_never_used_twice() {
    let setup = setup().await;
    setup.store(&messages(1)).await;
    let first = setup.outbox.unsent(10).await.expect("the store answers");
    setup.outbox.mark_sent(&[first[0].0]).await.expect("the store answers");
    setup.store(&messages(1)).await;
    // A repeated confirmation deletes nothing that was stored since.
    setup.outbox.mark_sent(&[first[0].0]).await.expect("the store answers");
    assert_eq!(setup.left().await.len(), 1);
}

#[tokio::test]
async fn the_age_of_the_oldest_message_is_reported_until_it_is_sent() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let age = || -> f64 {
        let text = recorder.handle().render();
        let line =
            text.lines().find_map(|it| it.strip_prefix("outbox_oldest_unsent_seconds{service=\"test\"} "));
        line.expect("the metric is reported").parse().expect("a number")
    };
    let setup = setup().await;
    let bus = RecordingBus::new(Reaction::Fails);
    let relay = Relay::new(setup.outbox.clone(), bus.clone());
    let step = || Context::for_work("test", Duration::from_secs(10)).scope(relay.step());
    assert_eq!(step().await.expect("the step succeeds"), Step::Idle);
    assert_eq!(age(), 0.0);
    let waiting = messages(2);
    setup.store(&waiting).await;
    assert!(step().await.is_err());
    let since = SystemClock.now().since(waiting[0].time).as_secs_f64();
    assert!(age() > 0.0 && (since - age()).abs() < 60.0, "{} and not {since}", age());
    bus.set(Reaction::Confirms);
    while step().await.expect("the step succeeds") == Step::Worked {}
    assert_eq!(age(), 0.0);
}
