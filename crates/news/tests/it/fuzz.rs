//! Fuzz targets for what comes over the bus: a call or a message that cannot be read is refused, and never a
//! fault of the section.

use std::time::Duration;

use bus::{Call, Envelope, Handler};
use bytes::Bytes;
use chassis::{Context, Surroundings};
use kernel::{Kind, MessageId, Timestamp, Trace};
use news::{Erasure, Projection};
use uuid::Uuid;

use crate::people::admin;
use crate::world::{Place, SECTION, World, shut};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

#[test]
fn every_call_is_answered_or_refused_for_what_it_asks() {
    let runtime = runtime();
    let place = Place::new();
    let world = runtime.block_on(World::start_without_relay(&place));
    let token = admin().token();
    testkit::fuzz!("calls", |input| {
        let (method, body) = split(input);
        let (body, token) = (Bytes::copy_from_slice(body), Some(token.clone()));
        let call = Call { method: method.clone(), body, token, idempotency_key: None };
        let context = Context::for_work("fuzz", Duration::from_secs(10));
        let address = if method == "Export" { "exports.sports-news" } else { "news.sports.calls" };
        let outcome = runtime.block_on(context.scope(world.bus.call(address, call)));
        if let Err(refusal) = outcome {
            assert!(!is_ours(refusal.kind), "{method}: {refusal:?}");
        }
    });
    runtime.block_on(world.stop());
}

#[test]
fn every_message_is_projected_or_refused_as_unreadable() {
    let runtime = runtime();
    let place = Place::new();
    let app = runtime.block_on(place.open());
    let surroundings = Surroundings::one_process();
    let url = format!("local:{}", place.file("bus.db").display());
    let bus = runtime.block_on(bus::open(&url, &surroundings)).expect("the bus opens").bus;
    let receipts = news::make_receipts(SECTION, &surroundings);
    let projection = Projection(app.clone());
    let erasure = Erasure::new(app.clone(), app.0.erasures.clone(), bus, receipts);
    testkit::fuzz!("events", |input| {
        let message = message(input);
        for handler in [&projection as &dyn Handler, &erasure] {
            if let Err(fault) = runtime.block_on(handler.handle(&message)) {
                assert!(!is_ours(fault.kind()), "{fault:?}");
            }
        }
    });
    runtime.block_on(shut(app));
}

/// The first line names the method, the rest is the body.
fn split(input: &[u8]) -> (String, &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    (String::from_utf8_lossy(&input[..end]).into_owned(), input.get(end + 1..).unwrap_or_default())
}

fn message(body: &[u8]) -> Envelope {
    Envelope {
        id: MessageId::new(Uuid::from_u128(1)),
        kind: "portal.news.v1.ArticlePublished".to_owned(),
        key: "news.sports.published".to_owned(),
        source: "fuzz".to_owned(),
        subject: String::new(),
        version: 1,
        time: Timestamp::from_millis(1_763_712_000_123),
        trace: Trace::start(),
        body: Bytes::copy_from_slice(body),
    }
}

fn is_ours(kind: Kind) -> bool {
    matches!(kind, Kind::Internal | Kind::Timeout | Kind::Unavailable)
}
