//! The laws of the outbox. Each case is one sentence of the port's documentation; every adapter runs all of them.

use std::time::Duration;

use bytes::Bytes;
use kernel::{MessageId, Timestamp, Trace};
use testkit::{PATIENCE, wait_until};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{Envelope, Outbox};

mod postgres;
mod sqlite;

/// How a transaction ends.
enum End {
    Committed,
    RolledBack,
}

/// An outbox of its own for one case, with the database that it is in.
trait Place: Sized {
    fn outbox(&self) -> &dyn Outbox;
    /// Enqueues these messages in one transaction, which ends when and as `end` says.
    async fn store_until(&self, messages: &[Envelope], end: impl Future<Output = End>);
    /// The same outbox as a process finds it whose predecessor ended without a word.
    async fn after_a_crash(self) -> Self;
    /// Lets go of the database.
    async fn close(self);
}

/// Opens an adapter and names the server that it needs, if any: `every_case!(open)`.
macro_rules! every_case {
    ($($adapter:tt)*) => {
        testkit::cases! { [$($adapter)*]
            in (super) {
                a_message_comes_back_as_it_was_stored,
                messages_come_in_the_order_in_which_their_effects_were_committed,
                at_most_as_many_come_as_were_asked_for_and_they_are_the_oldest,
                the_message_of_an_effect_that_is_not_committed_does_not_come,
                the_message_of_an_effect_that_was_rolled_back_never_comes,
                the_message_of_an_effect_that_is_committed_late_is_not_passed_over,
                what_is_not_marked_as_sent_comes_again,
                nothing_is_taken_away_that_is_not_named,
                a_position_that_is_gone_already_does_no_harm,
                what_was_committed_survives_a_crash_of_the_process,
                a_commit_notifies_whoever_waits,
            }
        }
    };
}
use every_case;

/// Messages of one subject, numbered by their version.
pub(crate) fn messages(count: u32) -> Vec<Envelope> {
    let message = |version| Envelope {
        id: MessageId::new(Uuid::new_v4()),
        kind: "portal.test.v1.Happened".to_owned(),
        key: "test.happened".to_owned(),
        source: "test".to_owned(),
        subject: "\u{202b}שלום\u{202c}".to_owned(),
        version,
        time: Timestamp::from_millis(1_700_000_000_123),
        trace: Trace::start(),
        body: Bytes::from_static(&[0, 255, 1, 254]),
    };
    (1..=count).map(message).collect()
}

async fn store(place: &impl Place, messages: &[Envelope]) {
    place.store_until(messages, async { End::Committed }).await;
}

async fn unsent(place: &impl Place, limit: u32) -> (Vec<i64>, Vec<Envelope>) {
    place.outbox().unsent(limit).await.expect("the outbox answers").into_iter().unzip()
}

async fn mark_sent(place: &impl Place, positions: &[i64]) {
    place.outbox().mark_sent(positions).await.expect("the outbox answers");
}

async fn a_message_comes_back_as_it_was_stored(place: impl Place) {
    let sent = messages(1);
    store(&place, &sent).await;
    assert_eq!(unsent(&place, 10).await.1, sent);
    place.close().await;
}

async fn messages_come_in_the_order_in_which_their_effects_were_committed(place: impl Place) {
    let sent = messages(7);
    for part in [0..1, 1..4, 4..5, 5..7] {
        store(&place, &sent[part]).await;
    }
    assert_eq!(unsent(&place, 10).await.1, sent);
    place.close().await;
}

async fn at_most_as_many_come_as_were_asked_for_and_they_are_the_oldest(place: impl Place) {
    let sent = messages(3);
    store(&place, &sent).await;
    let (positions, first) = unsent(&place, 2).await;
    assert_eq!(first, sent[..2]);
    mark_sent(&place, &positions).await;
    assert_eq!(unsent(&place, 2).await.1, sent[2..]);
    place.close().await;
}

async fn the_message_of_an_effect_that_is_not_committed_does_not_come(place: impl Place) {
    let sent = messages(1);
    let look_and_commit = async {
        assert_eq!(unsent(&place, 10).await.1, []);
        End::Committed
    };
    place.store_until(&sent, look_and_commit).await;
    assert_eq!(unsent(&place, 10).await.1, sent);
    place.close().await;
}

async fn the_message_of_an_effect_that_was_rolled_back_never_comes(place: impl Place) {
    let sent = messages(2);
    place.store_until(&sent[..1], async { End::RolledBack }).await;
    store(&place, &sent[1..]).await;
    assert_eq!(unsent(&place, 10).await.1, sent[1..]);
    place.close().await;
}

async fn the_message_of_an_effect_that_is_committed_late_is_not_passed_over(place: impl Place) {
    let sent = messages(2);
    let (enqueued, is_enqueued) = oneshot::channel();
    let (commit, may_commit) = oneshot::channel();
    let late = place.store_until(&sent[..1], async {
        enqueued.send(()).expect("the other waits");
        may_commit.await.expect("the other says so");
        End::Committed
    });
    let other = async {
        is_enqueued.await.expect("it is enqueued");
        // Where there is one writer this has to wait for the first, and then it is no overtaking.
        let overtakes =
            tokio::time::timeout(Duration::from_millis(300), store(&place, &sent[1..])).await.is_ok();
        if overtakes {
            let (positions, early) = unsent(&place, 10).await;
            assert_eq!(early, sent[1..]);
            mark_sent(&place, &positions).await;
        }
        commit.send(()).expect("the first waits");
    };
    tokio::join!(late, other);
    assert_eq!(unsent(&place, 10).await.1, sent[..1]);
    place.close().await;
}

async fn what_is_not_marked_as_sent_comes_again(place: impl Place) {
    let sent = messages(2);
    store(&place, &sent).await;
    let first = unsent(&place, 10).await;
    assert_eq!(unsent(&place, 10).await, first);
    place.close().await;
}

async fn nothing_is_taken_away_that_is_not_named(place: impl Place) {
    let sent = messages(4);
    store(&place, &sent).await;
    let (positions, _) = unsent(&place, 10).await;
    mark_sent(&place, &[]).await;
    mark_sent(&place, &[positions[2], positions[0]]).await;
    assert_eq!(unsent(&place, 10).await.1, [sent[1].clone(), sent[3].clone()]);
    place.close().await;
}

async fn a_position_that_is_gone_already_does_no_harm(place: impl Place) {
    let sent = messages(2);
    store(&place, &sent).await;
    let (positions, _) = unsent(&place, 10).await;
    mark_sent(&place, &positions[..1]).await;
    mark_sent(&place, &positions[..1]).await;
    assert_eq!(unsent(&place, 10).await.1, sent[1..]);
    mark_sent(&place, &positions).await;
    assert_eq!(unsent(&place, 10).await.1, []);
    place.close().await;
}

async fn what_was_committed_survives_a_crash_of_the_process(place: impl Place) {
    let sent = messages(3);
    store(&place, &sent).await;
    let place = place.after_a_crash().await;
    let found = wait_until("what the last process left", PATIENCE, || async {
        let (_, found) = unsent(&place, 10).await;
        (!found.is_empty()).then_some(found)
    });
    assert_eq!(found.await, sent);
    place.close().await;
}

async fn a_commit_notifies_whoever_waits(place: impl Place) {
    let woken = place.outbox().wake();
    // What an adapter says when it begins to listen is no answer to what is asked here.
    while tokio::time::timeout(Duration::from_millis(300), woken.notified()).await.is_ok() {}
    store(&place, &messages(1)).await;
    tokio::time::timeout(PATIENCE, woken.notified()).await.expect("it is notified");
    place.close().await;
}
