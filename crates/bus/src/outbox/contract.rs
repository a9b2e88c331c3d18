//! The laws of the outbox. Each case is one sentence of the port's documentation, and every adapter passes
//! all of them.

use std::time::Duration;

use bytes::Bytes;
use kernel::{MessageId, Timestamp, Trace};
use testkit::{PATIENCE, wait_until};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{Envelope, Outbox};

mod postgres;
mod sqlite;

/// The two ends of a transaction.
enum TransactionEnd {
    Committed,
    RolledBack,
}

/// A new outbox for one case, with its database.
trait OutboxFixture: Sized {
    fn outbox(&self) -> &dyn Outbox;
    /// Enqueues these messages in one transaction, which ends when and as `end` says.
    async fn store_until(&self, messages: &[Envelope], end: impl Future<Output = TransactionEnd>);
    /// Returns the same outbox as a process finds it after its predecessor has crashed.
    async fn after_crash(self) -> Self;
    /// Closes the database.
    async fn close(self);
}

/// The list of all cases: `every_case!(open)`, with `ignore = "needs postgres"` if the adapter needs a
/// server.
macro_rules! every_case {
    ($($adapter:tt)*) => {
        testkit::cases! { [$($adapter)*]
            in (super) {
                a_message_is_read_as_it_was_stored,
                messages_are_read_in_the_order_in_which_their_effects_were_committed,
                a_read_returns_the_oldest_messages_up_to_its_limit,
                the_message_of_an_uncommitted_effect_is_not_read,
                the_message_of_an_effect_that_was_rolled_back_is_never_read,
                the_message_of_an_effect_that_is_committed_late_is_not_skipped,
                a_message_that_is_not_marked_as_sent_is_read_again,
                only_the_marked_messages_are_deleted,
                a_position_that_is_already_deleted_is_ignored,
                committed_messages_survive_a_crash_of_the_process,
                a_commit_notifies_the_waiting_relay,
            }
        }
    };
}
use every_case;

/// Returns messages of one subject, numbered by their version.
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

async fn store(fixture: &impl OutboxFixture, messages: &[Envelope]) {
    fixture.store_until(messages, async { TransactionEnd::Committed }).await;
}

async fn unsent(fixture: &impl OutboxFixture, limit: u32) -> (Vec<i64>, Vec<Envelope>) {
    fixture.outbox().unsent(limit).await.expect("the outbox answers").into_iter().unzip()
}

async fn mark_sent(fixture: &impl OutboxFixture, positions: &[i64]) {
    fixture.outbox().mark_sent(positions).await.expect("the outbox answers");
}

async fn a_message_is_read_as_it_was_stored(fixture: impl OutboxFixture) {
    let sent = messages(1);
    store(&fixture, &sent).await;
    assert_eq!(unsent(&fixture, 10).await.1, sent);
    fixture.close().await;
}

async fn messages_are_read_in_the_order_in_which_their_effects_were_committed(fixture: impl OutboxFixture) {
    let sent = messages(7);
    for part in [0..1, 1..4, 4..5, 5..7] {
        store(&fixture, &sent[part]).await;
    }
    assert_eq!(unsent(&fixture, 10).await.1, sent);
    fixture.close().await;
}

async fn a_read_returns_the_oldest_messages_up_to_its_limit(fixture: impl OutboxFixture) {
    let sent = messages(3);
    store(&fixture, &sent).await;
    let (positions, first) = unsent(&fixture, 2).await;
    assert_eq!(first, sent[..2]);
    mark_sent(&fixture, &positions).await;
    assert_eq!(unsent(&fixture, 2).await.1, sent[2..]);
    fixture.close().await;
}

async fn the_message_of_an_uncommitted_effect_is_not_read(fixture: impl OutboxFixture) {
    let sent = messages(1);
    let look_and_commit = async {
        assert_eq!(unsent(&fixture, 10).await.1, []);
        TransactionEnd::Committed
    };
    fixture.store_until(&sent, look_and_commit).await;
    assert_eq!(unsent(&fixture, 10).await.1, sent);
    fixture.close().await;
}

async fn the_message_of_an_effect_that_was_rolled_back_is_never_read(fixture: impl OutboxFixture) {
    let sent = messages(2);
    fixture.store_until(&sent[..1], async { TransactionEnd::RolledBack }).await;
    store(&fixture, &sent[1..]).await;
    assert_eq!(unsent(&fixture, 10).await.1, sent[1..]);
    fixture.close().await;
}

async fn the_message_of_an_effect_that_is_committed_late_is_not_skipped(fixture: impl OutboxFixture) {
    let sent = messages(2);
    let (enqueued, is_enqueued) = oneshot::channel();
    let (commit, may_commit) = oneshot::channel();
    let late = fixture.store_until(&sent[..1], async {
        enqueued.send(()).expect("the other task waits");
        may_commit.await.expect("the other task allows it");
        TransactionEnd::Committed
    });
    let other = async {
        is_enqueued.await.expect("it is enqueued");
        // If the database has one writer, this waits for the first transaction, and nothing overtakes.
        let overtakes =
            tokio::time::timeout(Duration::from_millis(300), store(&fixture, &sent[1..])).await.is_ok();
        if overtakes {
            let (positions, early) = unsent(&fixture, 10).await;
            assert_eq!(early, sent[1..]);
            mark_sent(&fixture, &positions).await;
        }
        commit.send(()).expect("the first task waits");
    };
    tokio::join!(late, other);
    assert_eq!(unsent(&fixture, 10).await.1, sent[..1]);
    fixture.close().await;
}

async fn a_message_that_is_not_marked_as_sent_is_read_again(fixture: impl OutboxFixture) {
    let sent = messages(2);
    store(&fixture, &sent).await;
    let first = unsent(&fixture, 10).await;
    assert_eq!(unsent(&fixture, 10).await, first);
    fixture.close().await;
}

async fn only_the_marked_messages_are_deleted(fixture: impl OutboxFixture) {
    let sent = messages(4);
    store(&fixture, &sent).await;
    let (positions, _) = unsent(&fixture, 10).await;
    mark_sent(&fixture, &[]).await;
    mark_sent(&fixture, &[positions[2], positions[0]]).await;
    assert_eq!(unsent(&fixture, 10).await.1, [sent[1].clone(), sent[3].clone()]);
    fixture.close().await;
}

async fn a_position_that_is_already_deleted_is_ignored(fixture: impl OutboxFixture) {
    let sent = messages(2);
    store(&fixture, &sent).await;
    let (positions, _) = unsent(&fixture, 10).await;
    mark_sent(&fixture, &positions[..1]).await;
    mark_sent(&fixture, &positions[..1]).await;
    assert_eq!(unsent(&fixture, 10).await.1, sent[1..]);
    mark_sent(&fixture, &positions).await;
    assert_eq!(unsent(&fixture, 10).await.1, []);
    fixture.close().await;
}

async fn committed_messages_survive_a_crash_of_the_process(fixture: impl OutboxFixture) {
    let sent = messages(3);
    store(&fixture, &sent).await;
    let fixture = fixture.after_crash().await;
    let found = wait_until("the messages of the last process", PATIENCE, || async {
        let (_, found) = unsent(&fixture, 10).await;
        (!found.is_empty()).then_some(found)
    });
    assert_eq!(found.await, sent);
    fixture.close().await;
}

async fn a_commit_notifies_the_waiting_relay(fixture: impl OutboxFixture) {
    let woken = fixture.outbox().wake();
    // The adapter notifies once when it begins to listen. That is not the notification of this test.
    while tokio::time::timeout(Duration::from_millis(300), woken.notified()).await.is_ok() {}
    store(&fixture, &messages(1)).await;
    tokio::time::timeout(PATIENCE, woken.notified()).await.expect("it is notified");
    fixture.close().await;
}
