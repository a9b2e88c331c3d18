use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use kernel::Kind;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use testkit::{PATIENCE, wait_until};

use super::{Fixture, answering, bodies, consume, publish, queue, recording, refused, text};

/// The one recorder of this process: the names of queues keep the cases apart.
fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    let begin = || PrometheusBuilder::new().set_buckets(&[1.0]).ok()?.install_recorder().ok();
    RECORDER.get_or_init(|| begin().expect("nobody else records here"))
}

/// The value of the line that begins so, 0 where there is none.
fn counted(line: &str) -> u64 {
    let text = recorder().render();
    let value = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().expect("a count is a number"))
}

pub(super) async fn what_is_handled_comes_again_or_dies_is_counted(fixture: impl Fixture) {
    recorder();
    let bus = fixture.bus().await;
    let name = format!("test.{}", uuid::Uuid::new_v4());
    let left = AtomicUsize::new(2);
    let (handler, mut seen) = answering(move |message| match text(message).as_str() {
        "poison" => Err(refused(Kind::Invalid)),
        _ if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() => {
            Err(refused(Kind::Unavailable))
        }
        _ => Ok(()),
    });
    let running = consume(&bus, &name, handler).await;
    publish(&bus, "test.happened", "late").await;
    assert_eq!(bodies(&mut seen, 3).await, ["late"; 3]);
    for body in ["fine", "poison"] {
        publish(&bus, "test.happened", body).await;
    }
    assert_eq!(bodies(&mut seen, 2).await, ["fine", "poison"]);
    running.stop().await;
    let handled = |outcome| {
        counted(&format!("bus_handle_duration_seconds_count{{queue=\"{name}\",outcome=\"{outcome}\"}}"))
    };
    assert_eq!((handled("ok"), handled("failed")), (2, 3));
    assert_eq!(counted(&format!("bus_redelivered_total{{queue=\"{name}\"}}")), 2);
    assert_eq!(counted(&format!("bus_dead_total{{queue=\"{name}\"}}")), 1);
}

pub(super) async fn publications_are_counted_by_how_they_end(fixture: impl Fixture) {
    recorder();
    let bus = fixture.bus().await;
    // Others publish meanwhile: there are never fewer than ours.
    let ended = |outcome| counted(&format!("bus_publish_duration_seconds_count{{outcome=\"{outcome}\"}}"));
    let (ok, failed) = (ended("ok"), ended("failed"));
    // What nobody subscribes to is confirmed without the store of the local bus.
    let _consumer = bus.subscribe(queue("test.one"), recording().0).await.expect("subscribes");
    publish(&bus, "test.happened", "a").await;
    assert!(ended("ok") > ok);
    bus.close().await;
    wait_until("a publication that fails", PATIENCE, || async {
        bus.publish(vec![super::message("test.happened", "b")]).await.err()
    })
    .await;
    assert!(ended("failed") > failed);
}
