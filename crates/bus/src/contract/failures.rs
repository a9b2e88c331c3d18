use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kernel::Kind;
use tokio::sync::mpsc::unbounded_channel;

use super::{
    Fixture, Running, accept_all, bodies, consume, handler, message, next, publish, queue, refusal, report,
    respond_with, text,
};

pub(super) async fn a_message_refused_for_a_transient_reason_is_retried(fixture: impl Fixture) {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_transient()) {
        let bus = fixture.bus().await;
        let left = AtomicUsize::new(2);
        let (handler, mut received) = respond_with(move |_| {
            let failing = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
            if failing { Err(refusal(kind)) } else { Ok(()) }
        });
        let running = consume(&bus, "test.one", handler).await;
        publish(&bus, "test.happened", "a").await;
        assert_eq!(bodies(&mut received, 3).await, ["a", "a", "a"], "{kind:?}");
        running.stop().await;
        assert_eq!(fixture.dead_letters("test.one").await, [], "{kind:?}");
    }
}

pub(super) async fn a_message_that_is_always_refused_is_dead_after_six_deliveries(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (handler, mut received) = respond_with(|_| Err(refusal(Kind::Unavailable)));
    let running = consume(&bus, "test.one", handler).await;
    let sent = message("test.happened", "a");
    bus.publish(vec![sent.clone()]).await.expect("the bus confirms");
    assert_eq!(bodies(&mut received, 6).await, ["a"; 6]);
    running.stop().await;
    let dead = fixture.dead_letters("test.one").await;
    let [letter] = dead.as_slice() else { panic!("one dead letter, not {dead:?}") };
    assert_eq!(letter.message, sent);
    assert_eq!(letter.deliveries, 6);
    assert_eq!(letter.kind, "unavailable");
    assert!(received.try_recv().is_err());
}

pub(super) async fn a_stale_message_is_retried_once(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (handler, mut received) = respond_with(|_| Err(refusal(Kind::Stale)));
    let running = consume(&bus, "test.one", handler).await;
    publish(&bus, "test.happened", "a").await;
    assert_eq!(bodies(&mut received, 2).await, ["a"; 2]);
    running.stop().await;
    let dead = fixture.dead_letters("test.one").await;
    assert_eq!(
        dead.iter().map(|letter| (letter.deliveries, &*letter.kind)).collect::<Vec<_>>(),
        [(2, "stale")]
    );
    assert!(received.try_recv().is_err());
}

pub(super) async fn a_message_refused_for_another_reason_is_dead_immediately_with_the_reason(
    fixture: impl Fixture,
) {
    let bus = fixture.bus().await;
    let final_kinds: Vec<Kind> =
        Kind::ALL.into_iter().filter(|kind| !kind.is_transient() && *kind != Kind::Stale).collect();
    let kinds = final_kinds.clone();
    let (handler, mut received) = respond_with(move |message| {
        let kind = kinds[text(message).parse::<usize>().expect("the body is a number")];
        Err(refusal(kind))
    });
    let running = consume(&bus, "test.one", handler).await;
    for number in 0..final_kinds.len() {
        publish(&bus, "test.happened", &number.to_string()).await;
    }
    bodies(&mut received, final_kinds.len()).await;
    running.stop().await;
    let dead = fixture.dead_letters("test.one").await;
    assert_eq!(dead.len(), final_kinds.len());
    for (letter, kind) in dead.iter().zip(final_kinds) {
        assert_eq!(serde_json::json!(letter.kind), serde_json::json!(kind));
        assert_eq!(letter.code, "refused_by_test");
        assert_eq!(letter.detail, "The test refuses it.");
        assert_eq!(letter.deliveries, 1);
    }
}

pub(super) async fn a_poison_message_does_not_block_others(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (handler, mut received) = respond_with(|message| match text(message).as_str() {
        "poison" => Err(refusal(Kind::Invalid)),
        "away" => Err(refusal(Kind::Unavailable)),
        _ => Ok(()),
    });
    let running = consume(&bus, "test.one", handler).await;
    let names = ["a", "poison", "b", "away", "c"];
    let messages = names.iter().map(|name| message("test.happened", name)).collect();
    bus.publish(messages).await.expect("the bus confirms");
    let mut got = Vec::new();
    while !(got.contains(&"c".to_owned()) && got.iter().filter(|name| *name == "away").count() == 6) {
        got.push(text(&next(&mut received).await));
    }
    got.retain(|name| name != "away");
    assert_eq!(got, ["a", "poison", "b", "c"]);
    running.stop().await;
    let dead = fixture.dead_letters("test.one").await;
    assert_eq!(dead.iter().map(|letter| text(&letter.message)).collect::<Vec<_>>(), ["poison", "away"]);
}

pub(super) async fn a_panic_of_a_handler_makes_the_message_dead_and_the_consumer_continues(
    fixture: impl Fixture,
) {
    let bus = fixture.bus().await;
    let (reports, mut received) = unbounded_channel();
    let handler = handler(move |message| {
        let name = text(&message);
        assert_ne!(name, "at once", "a panic before the first await, as the test intends");
        let reports = reports.clone();
        async move {
            tokio::task::yield_now().await;
            assert_ne!(name, "later", "a panic after an await, as the test intends");
            report(&reports, name);
            Ok(())
        }
    });
    let running = consume(&bus, "test.one", handler).await;
    for name in ["at once", "later", "well"] {
        publish(&bus, "test.happened", name).await;
    }
    assert_eq!(next(&mut received).await, "well");
    running.stop().await;
    let dead = fixture.dead_letters("test.one").await;
    assert_eq!(dead.iter().map(|letter| text(&letter.message)).collect::<Vec<_>>(), ["at once", "later"]);
    assert!(dead.iter().all(|letter| letter.kind == "internal" && letter.deliveries == 1));
}

pub(super) async fn a_handler_that_exceeds_its_budget_is_stopped_and_the_message_is_retried(
    fixture: impl Fixture,
) {
    let bus = fixture.bus().await;
    let stopped = Arc::new(AtomicUsize::new(0));
    let (reports, mut received) = unbounded_channel();
    let handler = {
        let stopped = stopped.clone();
        handler(move |_| {
            let guard = CountWhenDropped(stopped.clone());
            report(&reports, ());
            async move {
                let _guard = guard;
                std::future::pending().await
            }
        })
    };
    let subscription = queue("test.one").with_budget(Duration::from_millis(5));
    let running =
        Running::start(bus.subscribe(subscription, handler).await.expect("the subscription is accepted"));
    publish(&bus, "test.happened", "a").await;
    for _ in 0..6 {
        next(&mut received).await;
    }
    running.stop().await;
    assert_eq!(stopped.load(Ordering::SeqCst), 6);
    let dead = fixture.dead_letters("test.one").await;
    assert_eq!(
        dead.iter().map(|letter| (letter.deliveries, &*letter.kind)).collect::<Vec<_>>(),
        [(6, "timeout")]
    );
    let (recorder, mut received) = accept_all();
    let running = consume(&bus, "test.one", recorder).await;
    publish(&bus, "test.happened", "b").await;
    assert_eq!(bodies(&mut received, 1).await, ["b"]);
    running.stop().await;
}

struct CountWhenDropped(Arc<AtomicUsize>);

impl Drop for CountWhenDropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
