use kernel::Kind;
use tokio::sync::mpsc::unbounded_channel;

use super::{Fixture, Running, accept_all, bodies, consume, handler, next, publish, refusal, report, text};
use crate::Subscription;

pub(super) async fn a_broadcast_reaches_every_subscriber(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let mut all = Vec::new();
    for _ in 0..3 {
        let (handler, received) = accept_all();
        let subscription = Subscription::broadcast("test", ["test.*"]);
        let running =
            Running::start(bus.subscribe(subscription, handler).await.expect("the subscription is accepted"));
        all.push((running, received));
    }
    for (key, body) in [("test.happened", "a"), ("other.happened", "not wanted"), ("test.happened", "b")] {
        publish(&bus, key, body).await;
    }
    for (running, mut received) in all {
        assert_eq!(bodies(&mut received, 2).await, ["a", "b"]);
        running.stop().await;
    }
}

pub(super) async fn a_message_reaches_both_queues_and_subscribers_of_broadcasts(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (in_queue, mut at_queue) = accept_all();
    let (listening, mut at_listener) = accept_all();
    let queue = consume(&bus, "test.one", in_queue).await;
    let subscription = Subscription::broadcast("test", ["test.*"]);
    let listener =
        Running::start(bus.subscribe(subscription, listening).await.expect("the subscription is accepted"));
    publish(&bus, "test.happened", "a").await;
    assert_eq!(bodies(&mut at_queue, 1).await, ["a"]);
    assert_eq!(bodies(&mut at_listener, 1).await, ["a"]);
    queue.stop().await;
    listener.stop().await;
}

pub(super) async fn a_refused_broadcast_is_lost_and_the_next_one_arrives(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (reports, mut received) = unbounded_channel();
    let handler = handler(move |message| {
        let name = text(&message);
        report(&reports, name.clone());
        async move {
            assert_ne!(name, "panic", "as the test intends");
            if name == "refuse" { Err(refusal(Kind::Unavailable)) } else { Ok(()) }
        }
    });
    let subscription = Subscription::broadcast("test", ["test.*"]);
    let running =
        Running::start(bus.subscribe(subscription, handler).await.expect("the subscription is accepted"));
    for name in ["refuse", "panic", "well"] {
        publish(&bus, "test.happened", name).await;
    }
    for name in ["refuse", "panic", "well"] {
        assert_eq!(next(&mut received).await, name);
    }
    running.stop().await;
    assert!(received.try_recv().is_err());
}
