//! Connections that are cut in the middle of work.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kernel::{Fault, Kind};
use testkit::{PATIENCE, Proxy, Vhost};

use super::{message, next, open, publish, queue, reporting, start};
use crate::Bus;

/// There are many cuts, because one seldom falls between the end of a handler and its acknowledgement.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn a_consumer_recovers_after_each_of_many_cuts() {
    let vhost = Vhost::new().await;
    let proxy = Proxy::of(vhost.address()).await;
    let there = open(&vhost.url()).await;
    let here = open(&vhost.url_through(proxy.address())).await;
    let (handler, mut received) = reporting();
    let (stop, done) = start(here.subscribe(queue(), handler).await.expect("the subscription is accepted"));
    for cut in 0..10 {
        let names: Vec<String> = (0..200).map(|n| format!("{cut}.{n}")).collect();
        let messages = names.iter().map(|name| message("test.happened", name)).collect();
        there.publish(messages).await.expect("the bus confirms");
        let mut missing: BTreeSet<String> = names.into_iter().collect();
        while missing.len() > 100 {
            missing.remove(&next(&mut received).await);
        }
        assert!(proxy.cut() >= 1);
        while !missing.is_empty() {
            missing.remove(&next(&mut received).await);
        }
    }
    stop.cancel();
    done.await.expect("the task does not panic");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn a_connection_that_is_cut_while_publishing_loses_nothing_that_was_confirmed() {
    let vhost = Vhost::new().await;
    let proxy = Proxy::of(vhost.address()).await;
    let bus = open(&vhost.url_through(proxy.address())).await;
    let (handler, mut received) = reporting();
    let (stop, done) = start(bus.subscribe(queue(), handler).await.expect("the subscription is accepted"));
    let (mut confirmed, mut got) = (BTreeSet::new(), BTreeSet::new());
    let mut failed = 0;
    for round in 0..5 {
        let publishing = async {
            for batch in 0.. {
                let names: Vec<String> = (0..50).map(|n| format!("{round}.{batch}.{n}")).collect();
                let messages = names.iter().map(|name| message("test.happened", name)).collect();
                match bus.publish(messages).await {
                    Ok(()) => confirmed.extend(names),
                    Err(fault) => {
                        failed += 1;
                        assert_eq!(fault.kind(), Kind::Unavailable, "{fault}");
                        break;
                    }
                }
            }
        };
        let cutting = async {
            for _ in 0..20 {
                got.insert(next(&mut received).await);
            }
            assert!(proxy.cut() >= 2);
        };
        tokio::time::timeout(PATIENCE, async { tokio::join!(publishing, cutting) })
            .await
            .expect("publishing fails immediately");
        let begun = Instant::now();
        publish(&bus, "after the cut").await;
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }
    assert_eq!(failed, 5);
    // The consumer is back by itself.
    publish(&bus, "last").await;
    while !got.contains("last") {
        got.insert(next(&mut received).await);
    }
    let missing: Vec<_> = confirmed.difference(&got).collect();
    assert!(missing.is_empty(), "{missing:?} of {} confirmed messages are missing", confirmed.len());
    stop.cancel();
    done.await.expect("the task does not panic");
}
