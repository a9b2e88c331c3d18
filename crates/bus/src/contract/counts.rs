use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use kernel::Kind;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use testkit::{PATIENCE, wait_until};

use super::{Fixture, accept_all, bodies, consume, publish, queue, refusal, respond_with, text};

/// Returns the only recorder of this process. The names of queues distinguish the cases.
fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    let begin = || PrometheusBuilder::new().set_buckets(&[1.0]).ok()?.install_recorder().ok();
    RECORDER.get_or_init(|| begin().expect("no other recorder is installed"))
}

/// Returns the value of the line with this beginning, or 0 if there is none.
fn counted(line: &str) -> u64 {
    let text = recorder().render();
    let value = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().expect("a count is a number"))
}

pub(super) async fn handled_retried_and_dead_messages_are_counted(fixture: impl Fixture) {
    recorder();
    let bus = fixture.bus().await;
    let name = format!("test.{}", uuid::Uuid::new_v4());
    let left = AtomicUsize::new(2);
    let (handler, mut received) = respond_with(move |message| match text(message).as_str() {
        "poison" => Err(refusal(Kind::Invalid)),
        _ if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() => {
            Err(refusal(Kind::Unavailable))
        }
        _ => Ok(()),
    });
    let running = consume(&bus, &name, handler).await;
    publish(&bus, "test.happened", "late").await;
    assert_eq!(bodies(&mut received, 3).await, ["late"; 3]);
    for body in ["fine", "poison"] {
        publish(&bus, "test.happened", body).await;
    }
    assert_eq!(bodies(&mut received, 2).await, ["fine", "poison"]);
    running.stop().await;
    let handled = |outcome| {
        counted(&format!("bus_handle_duration_seconds_count{{queue=\"{name}\",outcome=\"{outcome}\"}}"))
    };
    assert_eq!((handled("ok"), handled("failed")), (2, 3));
    assert_eq!(counted(&format!("bus_redelivered_total{{queue=\"{name}\"}}")), 2);
    assert_eq!(counted(&format!("bus_dead_total{{queue=\"{name}\"}}")), 1);
}

pub(super) async fn publications_are_counted_by_their_outcome(fixture: impl Fixture) {
    recorder();
    let bus = fixture.bus().await;
    // Other cases publish meanwhile, so there are at least as many as ours.
    let ended = |outcome| counted(&format!("bus_publish_duration_seconds_count{{outcome=\"{outcome}\"}}"));
    let (ok, failed) = (ended("ok"), ended("failed"));
    // Without a subscription the local bus would confirm the message without its store.
    let _consumer =
        bus.subscribe(queue("test.one"), accept_all().0).await.expect("the subscription is accepted");
    publish(&bus, "test.happened", "a").await;
    assert!(ended("ok") > ok);
    bus.close().await;
    wait_until("a publication that fails", PATIENCE, || async {
        bus.publish(vec![super::message("test.happened", "b")]).await.err()
    })
    .await;
    assert!(ended("failed") > failed);
}
