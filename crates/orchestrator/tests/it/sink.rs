//! The laws of `ReadingSink`. Each case is one sentence of the port's documentation, on the bus in process
//! and over AMQP.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use bus::{AmqpBus, Bus, Envelope, Handler, Schedule, Subscription};
use chassis::Surroundings;
use kernel::{Fault, Kind, MessageId, Refusal, Section, Timestamp, Trace, Version};
use orchestrator::{BusReadings, Reading, ReadingSink};
use prost::Message;
use proto::events::v1::ArticleRead;
use testkit::{Folder, PATIENCE, Vhost};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// A sink, and a subscriber of its messages.
struct Fixture {
    sink: Arc<dyn ReadingSink>,
    bus: Arc<dyn Bus>,
    received: mpsc::UnboundedReceiver<Envelope>,
    _listening: DropGuard,
    /// The file or the virtual host of the bus.
    _resource: Box<dyn Any + Send + Sync>,
}

/// Makes a test of each case for the adapter that `open` opens.
macro_rules! every_case {
    ($($adapter:tt)*) => {
        testkit::cases! { [$($adapter)*]
            in (super) {
                a_subscriber_of_the_section_receives_the_whole_reading,
                readings_are_published_in_order,
                a_reading_that_is_published_again_has_the_same_id,
                an_unavailable_bus_is_an_error_that_may_pass,
            }
        }
    };
}

mod local {
    async fn open() -> super::Fixture {
        super::local().await
    }

    every_case!(open);
}

mod amqp {
    use super::*;

    async fn open() -> Fixture {
        let vhost = Vhost::new().await;
        let bus = AmqpBus::open(&vhost.url(), Schedule::default()).await.expect("a bus");
        fixture(Arc::new(bus), Box::new(vhost)).await
    }

    every_case!(open, ignore = "needs rabbitmq");
}

async fn local() -> Fixture {
    let folder = Folder::new();
    let url = format!("local:{}", folder.join("bus.db").display());
    let bus = bus::open_local(&url, &Surroundings::one_process()).await.expect("a bus");
    fixture(bus, Box::new(folder)).await
}

async fn fixture(bus: Arc<dyn Bus>, resource: Box<dyn Any + Send + Sync>) -> Fixture {
    let (sender, received) = mpsc::unbounded_channel();
    let subscription = Subscription::durable("test", "test.reading", ["reading.*.read"]);
    let consumer = bus.subscribe(subscription, Arc::new(Forward(sender))).await.expect("subscribes");
    let stop = CancellationToken::new();
    chassis::spawn("test.reading", consumer.run(stop.clone()));
    let sink = Arc::new(BusReadings::new(bus.clone()));
    Fixture { sink, bus, received, _listening: stop.drop_guard(), _resource: resource }
}

struct Forward(mpsc::UnboundedSender<Envelope>);

#[async_trait]
impl Handler for Forward {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        let sent = self.0.send(message.clone());
        Ok(sent.map_err(|_| Refusal::new(Kind::Internal, "internal", "The test has ended."))?)
    }
}

impl Fixture {
    async fn next(&mut self) -> Envelope {
        let next = tokio::time::timeout(PATIENCE, self.received.recv());
        next.await.expect("it arrives in time").expect("a message")
    }
}

/// Returns a fixed reading of a politics article.
pub fn reading() -> Reading {
    Reading {
        id: MessageId::new(Uuid::from_u128(0x0199_e5b0_0000_7000_8000_0000_0000_00b1)),
        reader: "0199e5b0-0000-7000-8000-000000000001".parse().expect("an id"),
        article: "0199e5b0-0000-7000-8000-0000000000a1".parse().expect("an id"),
        section: Section::Politics,
        version: Version::new(3),
        labels: vec!["budget".to_owned(), "tax".to_owned()],
        at: Timestamp::from_millis(1_795_248_000_000),
        trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("a trace"),
    }
}

/// Publishes a reading and returns the message that a subscriber receives.
pub async fn published_message(reading: &Reading) -> Envelope {
    let mut fixture = local().await;
    fixture.sink.publish(std::slice::from_ref(reading)).await.expect("the bus accepts it");
    fixture.next().await
}

async fn a_subscriber_of_the_section_receives_the_whole_reading(mut fixture: Fixture) {
    for section in Section::ALL {
        let reading = Reading { section, id: MessageId::new(Uuid::new_v4()), ..reading() };
        fixture.sink.publish(std::slice::from_ref(&reading)).await.expect("the bus accepts it");
        let message = fixture.next().await;
        assert_eq!(message.key, format!("reading.{section}.read"));
        assert_eq!((message.id, message.time, message.version), (reading.id, reading.at, 3));
        assert_eq!(message.subject, reading.article.to_string());
        assert_eq!(message.trace.id(), reading.trace.id());
        let expected = ArticleRead {
            reader_id: reading.reader.to_string(),
            article_id: reading.article.to_string(),
            section: section.to_string(),
            article_version: 3,
            labels: reading.labels,
            at_ms: reading.at.millis(),
        };
        assert_eq!(ArticleRead::decode(message.body).expect("a reading"), expected);
    }
}

async fn readings_are_published_in_order(mut fixture: Fixture) {
    let number =
        |number| Reading { id: MessageId::new(Uuid::from_u128(number)), trace: Trace::start(), ..reading() };
    let readings: Vec<Reading> = (1..=250).map(number).collect();
    fixture.sink.publish(&readings).await.expect("the bus accepts them");
    for reading in readings {
        assert_eq!(fixture.next().await.id, reading.id);
    }
}

async fn a_reading_that_is_published_again_has_the_same_id(mut fixture: Fixture) {
    for _ in 0..2 {
        fixture.sink.publish(&[reading()]).await.expect("the bus accepts it");
        assert_eq!(fixture.next().await.id, reading().id);
    }
}

async fn an_unavailable_bus_is_an_error_that_may_pass(fixture: Fixture) {
    fixture.bus.close().await;
    let fault = fixture.sink.publish(&[reading()]).await.expect_err("the bus is closed");
    assert!(fault.kind().is_transient(), "{fault:?}");
}
