use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::{Bus, BusError, Call, CallHandler, Envelope, Handler, Subscription};
use bytes::Bytes;
use chassis::Runnable;
use kernel::{Fault, Kind, Refusal, Role, Section};
use prost::Message;
use proto::events::v1::ArticleRead;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::desk::article;
use crate::world::{World, config, consenting, token, user_of};

struct Heard(mpsc::UnboundedSender<Envelope>);

#[async_trait]
impl Handler for Heard {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        let sent = self.0.send(message.clone());
        Ok(sent.map_err(|_| Refusal::new(Kind::Internal, "internal", "nobody listens"))?)
    }
}

/// What the recommendations would receive, while the guard lives.
pub async fn listen(world: &World) -> (mpsc::UnboundedReceiver<Envelope>, tokio_util::sync::DropGuard) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let subscription = Subscription::durable("test", "test.reading", ["reading.*.read"]);
    let consumer = world.bus.subscribe(subscription, Arc::new(Heard(sender))).await.expect("subscribes");
    let stop = CancellationToken::new();
    chassis::spawn("test.reading", consumer.run(stop.clone()));
    (receiver, stop.drop_guard())
}

#[tokio::test]
async fn a_reading_is_told_for_whom_the_token_names_if_the_reader_consented() {
    let world = World::new().await;
    let (mut heard, _listening) = listen(&world).await;
    let id = world.desk(Section::Sports).published(1, 10);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let read = world.get(&format!("/sports/{id}")).by(&consenting(Role::Reader)).header("traceparent", trace);
    assert_eq!(read.send().await.status, 200);
    world.tell().await;
    let message = heard.recv().await.expect("a message");
    assert_eq!((message.key.as_str(), message.source.as_str()), ("reading.sports.read", "orchestrator"));
    assert_eq!((message.kind.as_str(), message.version), ("portal.events.v1.ArticleRead", 7));
    assert_eq!(message.subject, id.to_string());
    assert_eq!(message.trace.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    let expected = ArticleRead {
        reader_id: user_of(Role::Reader).to_string(),
        article_id: id.to_string(),
        section: "sports".to_owned(),
        article_version: 7,
        labels: vec!["budget".to_owned(), "tax".to_owned()],
        at_ms: message.time.millis(),
    };
    assert_eq!(ArticleRead::decode(message.body).expect("a reading"), expected);
    assert!(world.app.readings.is_empty());
}

#[tokio::test]
async fn a_head_is_no_reading() {
    let world = World::new().await;
    let id = world.desk(Section::Sports).published(1, 10);
    let answer = world.ask("HEAD", &format!("/sports/{id}")).by(&consenting(Role::Reader)).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("etag"), world.app.readings.len()), (200, "\"v7\"", 0));
}

#[tokio::test]
async fn nothing_is_told_without_consent_without_a_token_or_of_a_draft() {
    let world = World::new().await;
    let public = world.desk(Section::Sports).published(1, 10);
    let draft = world.desk(Section::Sports).put(article(Section::Sports, 2, 0, "draft"));
    world.get(&format!("/sports/{public}")).send().await;
    world.get(&format!("/sports/{public}")).by(&token(Role::Reader)).send().await;
    world.get(&format!("/sports/{draft}")).by(&consenting(Role::Author)).send().await;
    world.get("/sports/1/10").by(&consenting(Role::Reader)).send().await;
    world.get("/sports/00000000-0000-0000-0000-00000000ffff").by(&consenting(Role::Reader)).send().await;
    assert_eq!(world.app.readings.len(), 0);
}

#[tokio::test]
async fn reading_again_what_the_client_has_is_a_reading_too() {
    let world = World::new().await;
    let id = world.desk(Section::Sports).published(1, 10);
    let read =
        world.get(&format!("/sports/{id}")).by(&consenting(Role::Reader)).header("if-none-match", "\"v7\"");
    assert_eq!(read.send().await.status, 304);
    assert_eq!(world.app.readings.len(), 1);
}

/// A broker that takes connections and never confirms anything.
struct Frozen(Arc<dyn Bus>);

#[async_trait]
impl Bus for Frozen {
    async fn publish(&self, _: Vec<Envelope>) -> Result<(), BusError> {
        std::future::pending().await
    }

    async fn subscribe(
        &self,
        to: Subscription,
        handler: Arc<dyn Handler>,
    ) -> Result<Box<dyn Runnable>, BusError> {
        self.0.subscribe(to, handler).await
    }

    async fn call(&self, address: &str, call: Call) -> Result<Bytes, Refusal> {
        self.0.call(address, call).await
    }

    async fn serve(
        &self,
        service: &'static str,
        address: &str,
        handler: Arc<dyn CallHandler>,
    ) -> Result<Box<dyn Runnable>, BusError> {
        self.0.serve(service, address, handler).await
    }

    async fn try_write(&self) -> Result<(), BusError> {
        self.0.try_write().await
    }

    async fn forget(&self, person: &str) -> Result<bool, BusError> {
        self.0.forget(person).await
    }

    async fn ping(&self) -> Result<(), BusError> {
        self.0.ping().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[tokio::test]
async fn a_bus_whose_publish_never_returns_delays_no_get_and_the_queue_stays_bounded() {
    let mut config = config();
    config.readings.patience_ms = 20;
    let capacity = config.readings.queue;
    let world = World::with(config, |bus| Arc::new(Frozen(bus))).await;
    let id = world.desk(Section::Sports).published(1, 10);
    let reader = consenting(Role::Reader);
    // The worker hangs in its publish all the while, as it would in a running portal.
    let hanging = async {
        loop {
            let error = world.worker.step().await.err();
            assert!(error.is_none_or(|error| error.kind() == Kind::Timeout));
            tokio::task::yield_now().await;
        }
    };
    let reading = async {
        for _ in 0..40 {
            let read = world.get(&format!("/sports/{id}")).by(&reader).send();
            let answer = tokio::time::timeout(Duration::from_secs(1), read).await.expect("at once");
            assert_eq!(answer.status, 200);
        }
    };
    tokio::select! {
        () = hanging => {}
        () = reading => {}
    }
    assert_eq!(world.app.readings.len(), capacity);
    assert_eq!(world.app.readings.dropped(), 40 - capacity as u64);
}
