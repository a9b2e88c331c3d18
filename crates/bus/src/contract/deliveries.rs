use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chassis::Context;
use kernel::Trace;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::unbounded_channel;

use super::{Fixture, accept_all, bodies, consume, handler, message, next, publish, queue, report, text};
use crate::Subscription;

pub(super) async fn a_message_reaches_every_queue_that_subscribes_to_it(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (first, mut at_first) = accept_all();
    let (second, mut at_second) = accept_all();
    let one = consume(&bus, "test.one", first).await;
    let two = consume(&bus, "test.two", second).await;
    publish(&bus, "test.happened", "a").await;
    assert_eq!(bodies(&mut at_first, 1).await, ["a"]);
    assert_eq!(bodies(&mut at_second, 1).await, ["a"]);
    one.stop().await;
    two.stop().await;
}

pub(super) async fn a_message_arrives_as_its_publisher_wrote_it(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (handler, mut received) = accept_all();
    let running = consume(&bus, "test.one", handler).await;
    let mut sent = message("test.happened", "a");
    sent.body = bytes::Bytes::from((0..=255u8).collect::<Vec<u8>>());
    sent.subject = "\u{202b}שלום\u{202c} & <b>".to_owned();
    sent.version = u32::MAX;
    bus.publish(vec![sent.clone()]).await.expect("the bus confirms");
    assert_eq!(next(&mut received).await, sent);
    running.stop().await;
}

pub(super) async fn a_message_that_matches_two_keys_of_a_queue_is_delivered_once(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (handler, mut received) = accept_all();
    let subscription = Subscription::durable("test", "test.one", ["test.#", "*.happened", "test.happened"]);
    let running = super::Running::start(
        bus.subscribe(subscription, handler).await.expect("the subscription is accepted"),
    );
    publish(&bus, "test.happened", "a").await;
    publish(&bus, "test.happened", "b").await;
    assert_eq!(bodies(&mut received, 2).await, ["a", "b"]);
    running.stop().await;
}

pub(super) async fn keys_are_topic_patterns(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (handler, mut received) = accept_all();
    let subscription = Subscription::durable("test", "test.one", ["news.*.published", "users.#"]);
    let running = super::Running::start(
        bus.subscribe(subscription, handler).await.expect("the subscription is accepted"),
    );
    for key in [
        "news.sports.published",
        "news.sports.drafted",
        "news.published",
        "users",
        "users.erased",
        "users.consent.changed",
        "reading.sports.read",
        "news.famous.published",
    ] {
        publish(&bus, key, key).await;
    }
    let wanted =
        ["news.sports.published", "users", "users.erased", "users.consent.changed", "news.famous.published"];
    assert_eq!(bodies(&mut received, wanted.len()).await, wanted);
    running.stop().await;
}

pub(super) async fn a_queue_collects_messages_while_it_has_no_consumer(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (never, mut unseen) = accept_all();
    drop(bus.subscribe(queue("test.one"), never).await.expect("the subscription is accepted"));
    publish(&bus, "test.happened", "a").await;
    publish(&bus, "test.happened", "b").await;
    let (handler, mut received) = accept_all();
    let running = consume(&bus, "test.one", handler).await;
    assert_eq!(bodies(&mut received, 2).await, ["a", "b"]);
    assert!(unseen.try_recv().is_err());
    running.stop().await;
}

pub(super) async fn messages_are_delivered_in_the_order_of_their_publication(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (handler, mut received) = accept_all();
    let running = consume(&bus, "test.one", handler).await;
    let names: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    for batch in names.chunks(70) {
        let messages = batch.iter().map(|name| message("test.happened", name)).collect();
        bus.publish(messages).await.expect("the bus confirms");
    }
    assert_eq!(bodies(&mut received, names.len()).await, names);
    running.stop().await;
}

pub(super) async fn a_handled_message_is_not_delivered_again(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (handler, mut received) = accept_all();
    let running = consume(&bus, "test.one", handler).await;
    publish(&bus, "test.happened", "a").await;
    assert_eq!(bodies(&mut received, 1).await, ["a"]);
    running.stop().await;
    publish(&bus, "test.happened", "b").await;
    let (handler, mut received) = accept_all();
    let running = consume(&bus, "test.one", handler).await;
    assert_eq!(bodies(&mut received, 1).await, ["b"]);
    running.stop().await;
}

pub(super) async fn only_one_consumer_at_a_time_holds_a_delivery(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (reports, mut begun) = unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let holding = {
        let gate = gate.clone();
        handler(move |message| {
            report(&reports, text(&message));
            let gate = gate.clone();
            async move {
                let _passed = gate.acquire().await;
                Ok(())
            }
        })
    };
    let (other, mut at_other) = accept_all();
    let one = consume(&bus, "test.one", holding).await;
    publish(&bus, "test.happened", "held").await;
    assert_eq!(next(&mut begun).await, "held");
    let two = consume(&bus, "test.one", other).await;
    publish(&bus, "test.happened", "free").await;
    // The other consumer skips the delivery that the first one holds.
    assert_eq!(bodies(&mut at_other, 1).await, ["free"]);
    gate.add_permits(1);
    one.stop().await;
    publish(&bus, "test.happened", "later").await;
    assert_eq!(bodies(&mut at_other, 1).await, ["later"]);
    two.stop().await;
}

pub(super) async fn consumers_of_one_queue_share_its_messages(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (reports, mut received) = unbounded_channel();
    let share = || {
        let reports = reports.clone();
        handler(move |message| {
            report(&reports, text(&message));
            async { Ok(()) }
        })
    };
    let mut running = Vec::new();
    for _ in 0..3 {
        running.push(consume(&bus, "test.one", share()).await);
    }
    let names: BTreeSet<String> = (0..300).map(|n| n.to_string()).collect();
    for batch in Vec::from_iter(&names).chunks(10) {
        let messages = batch.iter().map(|name| message("test.happened", name)).collect();
        bus.publish(messages).await.expect("the bus confirms");
    }
    let mut got = BTreeSet::new();
    while got.len() < names.len() {
        let name = next(&mut received).await;
        assert!(got.insert(name.clone()), "{name} was delivered twice although nothing failed");
    }
    assert_eq!(got, names);
    for consumer in running {
        consumer.stop().await;
    }
    assert!(received.try_recv().is_err());
}

pub(super) async fn an_unfinished_delivery_is_delivered_again(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (reports, mut begun) = unbounded_channel();
    let endless = handler(move |message| {
        report(&reports, text(&message));
        std::future::pending()
    });
    let running = consume(&bus, "test.one", endless).await;
    publish(&bus, "test.happened", "a").await;
    assert_eq!(next(&mut begun).await, "a");
    running.abort().await;
    let (handler, mut received) = accept_all();
    let running = consume(&bus, "test.one", handler).await;
    assert_eq!(bodies(&mut received, 1).await, ["a"]);
    running.stop().await;
}

pub(super) async fn a_consumer_that_stops_finishes_the_message_that_it_handles(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (reports, mut begun) = unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let finished = Arc::new(AtomicUsize::new(0));
    let slow = {
        let (gate, finished) = (gate.clone(), finished.clone());
        handler(move |message| {
            report(&reports, text(&message));
            let (gate, finished) = (gate.clone(), finished.clone());
            async move {
                let _passed = gate.acquire().await;
                finished.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        })
    };
    let running = consume(&bus, "test.one", slow).await;
    publish(&bus, "test.happened", "a").await;
    assert_eq!(next(&mut begun).await, "a");
    running.stop.cancel();
    gate.add_permits(1);
    running.stop().await;
    assert_eq!(finished.load(Ordering::SeqCst), 1);
    publish(&bus, "test.happened", "b").await;
    let (handler, mut received) = accept_all();
    let running = consume(&bus, "test.one", handler).await;
    assert_eq!(bodies(&mut received, 1).await, ["b"]);
    running.stop().await;
}

pub(super) async fn a_handler_runs_with_the_trace_of_the_publisher_and_its_own_service_name(
    fixture: impl Fixture,
) {
    let bus = fixture.bus().await;
    let (reports, mut received) = unbounded_channel();
    let handler = handler(move |_| {
        report(&reports, Context::current());
        async { Ok(()) }
    });
    let running = consume(&bus, "test.one", handler).await;
    let mut sent = message("test.happened", "a");
    sent.trace = Trace::start();
    let trace = sent.trace;
    bus.publish(vec![sent]).await.expect("the bus confirms");
    let context = next(&mut received).await;
    assert_eq!(context.service, "test");
    assert_eq!(context.trace.id(), trace.id());
    assert_ne!(context.trace, trace, "the handler has its own span");
    assert!(context.deadline.left() <= crate::HANDLER_BUDGET);
    running.stop().await;
}
