use kernel::Kind;
use tokio::sync::mpsc::unbounded_channel;

use super::{Fixture, Running, bodies, consume, handler, next, publish, recording, refused, tell, text};
use crate::Subscription;

pub(super) async fn a_broadcast_reaches_every_subscriber(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let mut all = Vec::new();
    for _ in 0..3 {
        let (handler, seen) = recording();
        let subscription = Subscription::broadcast("test", ["test.*"]);
        let running = Running::start(bus.subscribe(subscription, handler).await.expect("subscribes"));
        all.push((running, seen));
    }
    for (key, body) in [("test.happened", "a"), ("other.happened", "not wanted"), ("test.happened", "b")] {
        publish(&bus, key, body).await;
    }
    for (running, mut seen) in all {
        assert_eq!(bodies(&mut seen, 2).await, ["a", "b"]);
        running.stop().await;
    }
}

pub(super) async fn a_message_goes_to_queues_and_broadcasts_alike(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (in_queue, mut at_queue) = recording();
    let (listening, mut at_listener) = recording();
    let queue = consume(&bus, "test.one", in_queue).await;
    let subscription = Subscription::broadcast("test", ["test.*"]);
    let listener = Running::start(bus.subscribe(subscription, listening).await.expect("subscribes"));
    publish(&bus, "test.happened", "a").await;
    assert_eq!(bodies(&mut at_queue, 1).await, ["a"]);
    assert_eq!(bodies(&mut at_listener, 1).await, ["a"]);
    queue.stop().await;
    listener.stop().await;
}

pub(super) async fn a_refused_broadcast_is_gone_and_the_next_one_comes(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (told, mut seen) = unbounded_channel();
    let handler = handler(move |message| {
        let name = text(&message);
        tell(&told, name.clone());
        async move {
            assert_ne!(name, "panic", "as the test wants it");
            if name == "refuse" { Err(refused(Kind::Unavailable)) } else { Ok(()) }
        }
    });
    let subscription = Subscription::broadcast("test", ["test.*"]);
    let running = Running::start(bus.subscribe(subscription, handler).await.expect("subscribes"));
    for name in ["refuse", "panic", "well"] {
        publish(&bus, "test.happened", name).await;
    }
    for name in ["refuse", "panic", "well"] {
        assert_eq!(next(&mut seen).await, name);
    }
    running.stop().await;
    assert!(seen.try_recv().is_err());
}
