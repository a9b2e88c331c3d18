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

use crate::fake_section::article;
use crate::service::{TestService, config, consenting_token, token, user_of};

struct Heard(mpsc::UnboundedSender<Envelope>);

#[async_trait]
impl Handler for Heard {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        let sent = self.0.send(message.clone());
        Ok(sent.map_err(|_| Refusal::new(Kind::Internal, "internal", "The test has ended."))?)
    }
}

/// Returns the messages that recommendations would receive, until the guard is dropped.
pub async fn listen(
    service: &TestService,
) -> (mpsc::UnboundedReceiver<Envelope>, tokio_util::sync::DropGuard) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let subscription = Subscription::durable("test", "test.reading", ["reading.*.read"]);
    let consumer = service.bus.subscribe(subscription, Arc::new(Heard(sender))).await.expect("subscribes");
    let stop = CancellationToken::new();
    chassis::spawn("test.reading", consumer.run(stop.clone()));
    (receiver, stop.drop_guard())
}

#[tokio::test]
async fn a_reading_is_published_for_the_reader_in_the_token_if_they_consented() {
    let service = TestService::new().await;
    let (mut received, _listening) = listen(&service).await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let read = service
        .get(&format!("/sports/{id}"))
        .bearer(&consenting_token(Role::Reader))
        .header("traceparent", trace);
    assert_eq!(read.send().await.status, 200);
    service.publish_readings().await;
    let message = received.recv().await.expect("a message");
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
    assert!(service.app.waiting_readings().is_empty());
}

#[tokio::test]
async fn a_head_request_is_not_a_reading() {
    let service = TestService::new().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let answer = service
        .request("HEAD", &format!("/sports/{id}"))
        .bearer(&consenting_token(Role::Reader))
        .send()
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag"), service.app.waiting_readings().len()),
        (200, "\"v7\"", 0)
    );
}

#[tokio::test]
async fn no_reading_is_published_without_consent_without_a_token_or_for_a_draft() {
    let service = TestService::new().await;
    let public = service.section(Section::Sports).add_published(1, 10);
    let draft = service.section(Section::Sports).put(article(Section::Sports, 2, 0, "draft"));
    service.get(&format!("/sports/{public}")).send().await;
    service.get(&format!("/sports/{public}")).bearer(&token(Role::Reader)).send().await;
    service.get(&format!("/sports/{draft}")).bearer(&consenting_token(Role::Author)).send().await;
    service.get("/sports/1/10").bearer(&consenting_token(Role::Reader)).send().await;
    service
        .get("/sports/00000000-0000-0000-0000-00000000ffff")
        .bearer(&consenting_token(Role::Reader))
        .send()
        .await;
    assert_eq!(service.app.waiting_readings().len(), 0);
}

#[tokio::test]
async fn a_304_is_also_a_reading() {
    let service = TestService::new().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let read = service
        .get(&format!("/sports/{id}"))
        .bearer(&consenting_token(Role::Reader))
        .header("if-none-match", "\"v7\"");
    assert_eq!(read.send().await.status, 304);
    assert_eq!(service.app.waiting_readings().len(), 1);
}

/// A broker that accepts connections and never confirms a message.
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
async fn a_bus_that_never_confirms_delays_no_get_and_the_queue_stays_bounded() {
    let mut config = config();
    config.readings.patience_ms = 20;
    let capacity = config.readings.queue;
    let service = TestService::with(config, |bus| Arc::new(Frozen(bus))).await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let reader = consenting_token(Role::Reader);
    // The worker hangs in its publish, as it would in a running portal.
    let hanging = async {
        loop {
            let error = service.worker.step().await.err();
            assert!(error.is_none_or(|error| error.kind() == Kind::Timeout));
            tokio::task::yield_now().await;
        }
    };
    let reading = async {
        for _ in 0..40 {
            let read = service.get(&format!("/sports/{id}")).bearer(&reader).send();
            let answer =
                tokio::time::timeout(Duration::from_secs(1), read).await.expect("an immediate answer");
            assert_eq!(answer.status, 200);
        }
    };
    tokio::select! {
        () = hanging => {}
        () = reading => {}
    }
    assert_eq!(service.app.waiting_readings().len(), capacity);
    assert_eq!(service.app.waiting_readings().dropped(), 40 - capacity as u64);
}
