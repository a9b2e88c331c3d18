use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chassis::Context;
use kernel::{FieldFault, Kind, Refusal};
use testkit::PATIENCE;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{Fixture, call, next, report, serve};
use crate::NO_SERVER;

const ADDRESS: &str = "test.calls";

pub(super) async fn a_call_reaches_the_server_of_its_address(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (reports, mut received) = unbounded_channel();
    let here = serve(&bus, ADDRESS, move |call| {
        report(&reports, call);
        async { Ok(Bytes::from_static(b"here")) }
    })
    .await;
    let there = serve(&bus, "test.others", |_| async { Ok(Bytes::from_static(b"there")) }).await;
    assert_eq!(bus.call(ADDRESS, call("Find")).await, Ok(Bytes::from_static(b"here")));
    assert_eq!(bus.call("test.others", call("Find")).await, Ok(Bytes::from_static(b"there")));
    assert_eq!(next(&mut received).await, call("Find"));
    here.stop().await;
    there.stop().await;
}

pub(super) async fn a_refusal_reaches_the_caller_unchanged(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let mut refusal = Refusal::new(Kind::Stale, "stale_version", "It has changed.")
        .with_fields(vec![FieldFault::new("/title", "too_long", "At most 200 characters.")])
        .with("current_version", 8);
    refusal.retry_after = Some(Duration::from_secs(3));
    let answer = refusal.clone();
    let server = serve(&bus, ADDRESS, move |_| {
        let answer = answer.clone();
        async move { Err(answer) }
    })
    .await;
    assert_eq!(bus.call(ADDRESS, call("Revise")).await, Err(refusal));
    server.stop().await;
}

pub(super) async fn a_call_to_an_address_without_a_server_is_unavailable(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let refusal = bus.call(ADDRESS, call("Find")).await.expect_err("no process serves the address");
    assert_eq!((refusal.kind, refusal.code.as_str()), (Kind::Unavailable, NO_SERVER));
    let server = serve(&bus, ADDRESS, |_| async { Ok(Bytes::new()) }).await;
    assert_eq!(bus.call(ADDRESS, call("Find")).await, Ok(Bytes::new()));
    server.stop().await;
    let refusal = bus.call(ADDRESS, call("Find")).await.expect_err("the server has stopped");
    assert_eq!((refusal.kind, refusal.code.as_str()), (Kind::Unavailable, NO_SERVER));
}

pub(super) async fn a_call_and_the_work_of_its_server_end_with_the_deadline_of_the_caller(
    fixture: impl Fixture,
) {
    let bus = fixture.bus().await;
    let (reports, mut ended) = unbounded_channel();
    let server = serve(&bus, ADDRESS, move |_| endless(&reports)).await;
    let begun = Instant::now();
    let context = Context::for_work("test", Duration::from_millis(200));
    let refusal = context.scope(bus.call(ADDRESS, call("Find"))).await.expect_err("the server never answers");
    assert_eq!((refusal.kind, refusal.code.as_str()), (Kind::Timeout, "deadline_exceeded"));
    assert!(begun.elapsed() >= Duration::from_millis(200));
    next(&mut ended).await;
    server.stop().await;
}

pub(super) async fn a_call_after_its_deadline_reaches_no_server(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let server = serve(&bus, ADDRESS, move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(Bytes::new()) }
    })
    .await;
    let context = Context::for_work("test", Duration::ZERO);
    let refusal = context.scope(bus.call(ADDRESS, call("Find"))).await.expect_err("there is no time left");
    assert_eq!((refusal.kind, refusal.code.as_str()), (Kind::Timeout, "deadline_exceeded"));
    server.stop().await;
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

pub(super) async fn a_caller_that_stops_waiting_stops_the_server(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (reports, mut ended) = unbounded_channel();
    let (begin, mut begun) = unbounded_channel();
    let server = serve(&bus, ADDRESS, move |_| {
        report(&begin, ());
        endless(&reports)
    })
    .await;
    {
        let calling = bus.call(ADDRESS, call("Find"));
        tokio::select! {
            _never = calling => panic!("the server never answers"),
            () = next(&mut begun) => {}
        }
    }
    next(&mut ended).await;
    server.stop().await;
}

pub(super) async fn a_panic_of_a_server_is_an_internal_refusal_and_the_server_continues(
    fixture: impl Fixture,
) {
    let bus = fixture.bus().await;
    let server = serve(&bus, ADDRESS, |call| {
        assert_ne!(call.method, "PanicAtOnce", "as the test intends");
        async move {
            tokio::task::yield_now().await;
            assert_ne!(call.method, "PanicLater", "as the test intends");
            Ok(Bytes::from_static(b"well"))
        }
    })
    .await;
    for method in ["PanicAtOnce", "PanicLater"] {
        let refusal = bus.call(ADDRESS, call(method)).await.expect_err("it panics");
        assert_eq!(refusal.kind, Kind::Internal);
        assert_eq!(refusal.detail, Kind::Internal.sentence());
    }
    assert_eq!(bus.call(ADDRESS, call("Find")).await, Ok(Bytes::from_static(b"well")));
    server.stop().await;
}

pub(super) async fn a_call_carries_the_trace_and_the_deadline_of_its_caller(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let (reports, mut received) = unbounded_channel();
    let server = serve(&bus, ADDRESS, move |_| {
        report(&reports, (Context::current(), Context::current().deadline.left()));
        async { Ok(Bytes::new()) }
    })
    .await;
    let mut caller = Context::for_work("test", Duration::from_secs(7));
    caller.request_id = Some("request-1".into());
    let answered = caller.clone().scope(bus.call(ADDRESS, call("Find"))).await;
    assert_eq!(answered, Ok(Bytes::new()));
    let (context, left) = next(&mut received).await;
    assert_eq!(context.service, "test-server");
    assert_eq!(context.trace.id(), caller.trace.id());
    assert_ne!(context.trace, caller.trace, "the server has its own span");
    assert_eq!(context.request_id.as_deref(), Some("request-1"));
    assert!(left <= Duration::from_secs(7), "{left:?}");
    server.stop().await;
}

pub(super) async fn servers_of_one_address_share_its_calls(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let one = serve(&bus, ADDRESS, |_| async { Ok(Bytes::from_static(b"1")) }).await;
    let two = serve(&bus, ADDRESS, |_| async { Ok(Bytes::from_static(b"2")) }).await;
    let mut replies = Vec::new();
    for _ in 0..10 {
        replies.push(bus.call(ADDRESS, call("Find")).await.expect("one of them answers"));
    }
    assert!(replies.contains(&Bytes::from_static(b"1")) && replies.contains(&Bytes::from_static(b"2")));
    one.stop().await;
    assert_eq!(bus.call(ADDRESS, call("Find")).await, Ok(Bytes::from_static(b"2")));
    two.stop().await;
}

pub(super) async fn a_server_that_stops_finishes_the_calls_in_progress(fixture: impl Fixture) {
    let bus = fixture.bus().await;
    let gate = Arc::new(Semaphore::new(0));
    let (reports, mut begun) = unbounded_channel();
    let server = {
        let gate = gate.clone();
        serve(&bus, ADDRESS, move |_| {
            report(&reports, ());
            let gate = gate.clone();
            async move {
                let _passed = gate.acquire().await;
                Ok(Bytes::from_static(b"finished"))
            }
        })
        .await
    };
    let calling = bus.call(ADDRESS, call("Find"));
    let stopping = async {
        next(&mut begun).await;
        server.stop.cancel();
        gate.add_permits(1);
    };
    let (reply, ()) =
        tokio::time::timeout(PATIENCE, async { tokio::join!(calling, stopping) }).await.expect("in time");
    assert_eq!(reply, Ok(Bytes::from_static(b"finished")));
    server.stop().await;
}

/// Never answers, and reports when it is dropped.
fn endless(reports: &UnboundedSender<()>) -> impl Future<Output = Result<Bytes, Refusal>> + Send + use<> {
    let guard = ReportWhenDropped(reports.clone());
    async move {
        let _guard = guard;
        std::future::pending().await
    }
}

struct ReportWhenDropped(UnboundedSender<()>);

impl Drop for ReportWhenDropped {
    fn drop(&mut self) {
        report(&self.0, ());
    }
}
