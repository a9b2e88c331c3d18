//! The stores on servers while the server or the network is unavailable, and afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::StoreFailure;
use testkit::{PATIENCE, at_once, wait_until};

use super::contract::engines;
use super::contract::sample::{drafted, id, published, with_message};
use super::contract::wire::Wire;
use super::{open_events, open_view};
use crate::domain::Part;
use crate::ports::{AppendError, EventStore, NewsView};

/// The longest wait for a store.
const ANSWER: Duration = Duration::from_secs(7);

/// Lets many readers use all connections of the pool. All must learn in time that the store is unavailable.
async fn all_fail_in_time<F>(read: impl Fn(u128) -> F)
where
    F: Future<Output = Result<(), StoreFailure>> + Send + 'static,
{
    let begin = Instant::now();
    for outcome in at_once(30, |number| read(number as u128 + 1)).await {
        assert!(matches!(outcome, Err(StoreFailure::Unavailable(_))), "{outcome:?}");
    }
    assert!(begin.elapsed() < ANSWER, "{:?}", begin.elapsed());
}

async fn read(store: Arc<dyn EventStore>, number: u128) -> Result<(), StoreFailure> {
    store.latest(id(number)).await.map(|_| ())
}

async fn look(view: Arc<dyn NewsView>, number: u128) -> Result<(), StoreFailure> {
    view.get(id(number)).await.map(|_| ())
}

/// Waits until the store works again, for one reader and then for many.
async fn works_again<F>(read: impl Fn(u128) -> F)
where
    F: Future<Output = Result<(), StoreFailure>> + Send + 'static,
{
    wait_until("the store works again", PATIENCE, || {
        let answer = read(1);
        async move { answer.await.ok() }
    })
    .await;
    wait_until("every connection works again", PATIENCE, || {
        let all = at_once(30, |number| read(number as u128 + 1));
        async move { all.await.into_iter().all(|outcome| outcome.is_ok()).then_some(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn an_event_store_recovers_after_its_server_was_unavailable() {
    let wire = Wire::to(&engines::postgres().await).await;
    let opened = open_events(wire.url(), "test").await.expect("the store opens");
    let (store, outbox) = (opened.port.clone(), opened.outbox.clone());
    store.append(&[with_message(drafted(1))], None).await.expect("it is appended");
    wire.cut();
    all_fail_in_time(|number| read(store.clone(), number)).await;
    let lost = store.append(&[with_message(drafted(2))], None).await;
    assert!(matches!(lost, Err(AppendError::Store(StoreFailure::Unavailable(_)))), "{lost:?}");
    assert!(outbox.unsent(10).await.is_err());
    wire.mend();
    works_again(|number| read(store.clone(), number)).await;
    store.append(&[with_message(drafted(2))], None).await.expect("it is appended");
    assert_eq!(outbox.unsent(10).await.expect("the outbox answers").len(), 2);
    opened.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn an_event_store_behind_a_silent_network_fails_in_time_and_drops_dead_connections() {
    let wire = Wire::to(&engines::postgres().await).await;
    let opened = open_events(wire.url(), "test").await.expect("the store opens");
    let store = opened.port.clone();
    works_again(|number| read(store.clone(), number)).await;
    wire.silence();
    all_fail_in_time(|number| read(store.clone(), number)).await;
    wire.mend();
    works_again(|number| read(store.clone(), number)).await;
    opened.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn a_commit_wakes_the_relay_even_after_the_server_was_unavailable() {
    let wire = Wire::to(&engines::postgres().await).await;
    let opened = open_events(wire.url(), "test").await.expect("the store opens");
    let (store, outbox) = (opened.port.clone(), opened.outbox.clone());
    let woken = outbox.wake();
    for number in 1..=3 {
        // A new connection wakes once, for what was missed. The next wake-up is the commit's.
        tokio::time::timeout(PATIENCE, woken.notified()).await.expect("the listener is connected");
        store.append(&[with_message(drafted(number))], None).await.expect("it is appended");
        tokio::time::timeout(PATIENCE, woken.notified()).await.expect("the commit wakes the relay");
        wire.cut();
        assert!(store.ping().await.is_err());
        wire.mend();
        works_again(|number| read(store.clone(), number)).await;
    }
    opened.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodb"]
async fn a_view_recovers_after_its_server_was_unavailable() {
    let wire = Wire::to(&engines::mongodb()).await;
    let opened = open_view(wire.url(), "test").await.expect("the view opens");
    let view = opened.port.clone();
    view.apply(&published(1, 0)).await.expect("it is applied");
    wire.cut();
    all_fail_in_time(|number| look(view.clone(), number)).await;
    assert!(matches!(view.apply(&published(2, 0)).await, Err(StoreFailure::Unavailable(_))));
    wire.mend();
    works_again(|number| look(view.clone(), number)).await;
    assert!(view.apply(&published(2, 0)).await.expect("it is applied"));
    assert_eq!(view.list(&Part::newest(0, 10)).await.expect("a list").total, 2);
    opened.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodb"]
async fn a_view_behind_a_silent_network_fails_in_time_and_drops_dead_connections() {
    let wire = Wire::to(&engines::mongodb()).await;
    let opened = open_view(wire.url(), "test").await.expect("the view opens");
    let view = opened.port.clone();
    works_again(|number| look(view.clone(), number)).await;
    wire.silence();
    all_fail_in_time(|number| look(view.clone(), number)).await;
    wire.mend();
    works_again(|number| look(view.clone(), number)).await;
    opened.close().await;
}
