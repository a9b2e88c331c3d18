//! The laws of `ReadingSink`. Each case is one sentence of the port's documentation, on the bus in process and over AMQP.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use bus::{AmqpBus, Bus, Envelope, Handler, Schedule, Subscription};
use chassis::Surroundings;
use kernel::{Fault, Kind, MessageId, Refusal, Section, Timestamp, Trace, Version};
use orchestrator::clients::BusReadings;
use orchestrator::domain::Reading;
use orchestrator::ports::ReadingSink;
use prost::Message;
use proto::events::v1::ArticleRead;
use testkit::{Folder, PATIENCE, Vhost};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// A way to tell readings, and somebody who hears them.
struct Given {
    sink: Arc<dyn ReadingSink>,
    bus: Arc<dyn Bus>,
    heard: mpsc::UnboundedReceiver<Envelope>,
    _listening: DropGuard,
    /// The file or the virtual host.
    _place: Box<dyn Any + Send + Sync>,
}

/// Opens an adapter and names the server that it needs, if any.
macro_rules! every_case {
    ($($adapter:tt)*) => {
        testkit::cases! { [$($adapter)*]
            in (super) {
                whoever_listens_to_the_section_hears_all_that_the_reading_holds,
                readings_are_told_in_their_order,
                what_is_told_again_is_told_under_the_same_id,
                a_bus_that_is_away_is_an_error_that_may_pass,
            }
        }
    };
}

mod local {
    async fn open() -> super::Given {
        super::local().await
    }

    every_case!(open);
}

mod amqp {
    use super::*;

    async fn open() -> Given {
        let vhost = Vhost::new().await;
        let bus = AmqpBus::open(&vhost.url(), Schedule::default()).await.expect("a bus");
        given(Arc::new(bus), Box::new(vhost)).await
    }

    every_case!(open, ignore = "needs rabbitmq");
}

async fn local() -> Given {
    let folder = Folder::new();
    let url = format!("local:{}", folder.join("bus.db").display());
    let bus = bus::open_local(&url, &Surroundings::one_process()).await.expect("a bus");
    given(bus, Box::new(folder)).await
}

async fn given(bus: Arc<dyn Bus>, place: Box<dyn Any + Send + Sync>) -> Given {
    let (sender, heard) = mpsc::unbounded_channel();
    let subscription = Subscription::durable("test", "test.reading", ["reading.*.read"]);
    let consumer = bus.subscribe(subscription, Arc::new(Heard(sender))).await.expect("subscribes");
    let stop = CancellationToken::new();
    chassis::spawn("test.reading", consumer.run(stop.clone()));
    let sink = Arc::new(BusReadings::new(bus.clone()));
    Given { sink, bus, heard, _listening: stop.drop_guard(), _place: place }
}

struct Heard(mpsc::UnboundedSender<Envelope>);

#[async_trait]
impl Handler for Heard {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        let sent = self.0.send(message.clone());
        Ok(sent.map_err(|_| Refusal::new(Kind::Internal, "internal", "nobody listens"))?)
    }
}

impl Given {
    async fn next(&mut self) -> Envelope {
        let next = tokio::time::timeout(PATIENCE, self.heard.recv());
        next.await.expect("it comes in time").expect("a message")
    }
}

/// A reading of a politics article, always the same.
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

/// What is heard of a reading that is told.
pub async fn heard_of(reading: &Reading) -> Envelope {
    let mut given = local().await;
    given.sink.tell(std::slice::from_ref(reading)).await.expect("the bus takes it");
    given.next().await
}

async fn whoever_listens_to_the_section_hears_all_that_the_reading_holds(mut given: Given) {
    for section in Section::ALL {
        let reading = Reading { section, id: MessageId::new(Uuid::new_v4()), ..reading() };
        given.sink.tell(std::slice::from_ref(&reading)).await.expect("the bus takes it");
        let message = given.next().await;
        assert_eq!(message.key, format!("reading.{section}.read"));
        assert_eq!((message.id, message.time, message.version), (reading.id, reading.at, 3));
        assert_eq!(message.subject, reading.article.to_string());
        assert_eq!(message.trace.id(), reading.trace.id());
        let told = ArticleRead {
            reader_id: reading.reader.to_string(),
            article_id: reading.article.to_string(),
            section: section.to_string(),
            article_version: 3,
            labels: reading.labels,
            at_ms: reading.at.millis(),
        };
        assert_eq!(ArticleRead::decode(message.body).expect("a reading"), told);
    }
}

async fn readings_are_told_in_their_order(mut given: Given) {
    let number =
        |number| Reading { id: MessageId::new(Uuid::from_u128(number)), trace: Trace::start(), ..reading() };
    let readings: Vec<Reading> = (1..=250).map(number).collect();
    given.sink.tell(&readings).await.expect("the bus takes them");
    for reading in readings {
        assert_eq!(given.next().await.id, reading.id);
    }
}

async fn what_is_told_again_is_told_under_the_same_id(mut given: Given) {
    for _ in 0..2 {
        given.sink.tell(&[reading()]).await.expect("the bus takes it");
        assert_eq!(given.next().await.id, reading().id);
    }
}

async fn a_bus_that_is_away_is_an_error_that_may_pass(given: Given) {
    given.bus.close().await;
    let fault = given.sink.tell(&[reading()]).await.expect_err("nobody takes it");
    assert!(fault.kind().is_transient(), "{fault:?}");
}
