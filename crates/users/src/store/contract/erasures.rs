//! The laws of erasures and their receipts, for every adapter.

use std::sync::Arc;
use std::time::Duration;

use bus::Outbox;
use kernel::{MessageId, Timestamp, UserId};
use testkit::Folder;
use uuid::Uuid;

use super::servers::{Place, Schema};
use super::{BY, NOW, account, id};
use crate::domain::{Erasure, Receipt};
use crate::ports::{ErasureLog, UserStore};
use crate::store::postgres::PostgresUserStore;
use crate::store::sqlite::SqliteUserStore;

struct Fixture {
    store: Arc<dyn UserStore>,
    erasures: Arc<dyn ErasureLog>,
    outbox: Arc<dyn Outbox>,
    _place: Place,
}

const SERVICES: [&str; 3] = ["users", "sports-news", "recommendations"];

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn receipt(service: &str, seconds: u64) -> Receipt {
    Receipt { service: service.to_owned(), at: later(seconds) }
}

impl Fixture {
    async fn erase(&self, number: u128) -> UserId {
        let account = account(number, &format!("reader{number}@example.org"));
        self.store.insert(&account).await.expect("is stored");
        let message = MessageId::new(Uuid::from_u128(number));
        self.store.erase(account.user.id, message, &BY).await.expect("is erased");
        account.user.id
    }

    async fn record(&self, person: UserId, receipt: &Receipt, now: Timestamp) -> bool {
        self.erasures.record_receipt(person, receipt, &SERVICES, now).await.expect("is answered")
    }

    async fn find(&self, person: UserId) -> Erasure {
        self.erasures.erasure(person).await.expect("looks").expect("an erasure")
    }
}

macro_rules! every_case {
    ($open:path $(, ignore = $reason:literal)?) => {
        testkit::cases! { [$open $(, ignore = $reason)?]
            in (super) {
                an_erasure_begins_without_receipts_and_an_account_that_was_not_erased_has_none,
                an_erasure_is_complete_with_the_last_receipt_and_a_repeated_one_changes_nothing,
                receipts_that_arrive_at_the_same_time_complete_the_erasure,
                a_receipt_for_an_account_that_was_not_erased_is_not_stored,
                an_open_erasure_is_announced_again_and_waits_for_its_next_turn_and_a_complete_one_is_not,
                only_erasures_that_are_not_complete_are_counted_up_to_the_limit,
            }
        }
    };
}

mod sqlite {
    use super::*;

    async fn open() -> Fixture {
        let folder = Folder::new();
        let store = Arc::new(SqliteUserStore::open(&folder.sqlite("users.db")).await.expect("opens"));
        let outbox = Arc::new(store.outbox());
        Fixture { store: store.clone(), erasures: store, outbox, _place: Place::Folder(folder) }
    }

    every_case!(open);
}

mod postgres {
    use super::*;

    async fn open() -> Fixture {
        let schema = Schema::new().await;
        let store = Arc::new(PostgresUserStore::open(&schema.url()).await.expect("opens"));
        let outbox = Arc::new(store.outbox());
        Fixture { store: store.clone(), erasures: store, outbox, _place: Place::Schema(schema) }
    }

    every_case!(open, ignore = "needs postgres");
}

async fn an_erasure_begins_without_receipts_and_an_account_that_was_not_erased_has_none(fixture: Fixture) {
    let person = fixture.erase(1).await;
    let expected = Erasure { person, erased_at: NOW, completed_at: None, receipts: Vec::new() };
    assert_eq!(fixture.find(person).await, expected);
    fixture.store.insert(&account(2, "ann@example.org")).await.expect("is stored");
    for number in [2, 3] {
        assert_eq!(fixture.erasures.erasure(id(number)).await.expect("looks"), None);
    }
}

async fn an_erasure_is_complete_with_the_last_receipt_and_a_repeated_one_changes_nothing(fixture: Fixture) {
    let person = fixture.erase(1).await;
    let all = [receipt("users", 1), receipt("sports-news", 2), receipt("recommendations", 3)];
    for receipt in &all[..2] {
        assert!(fixture.record(person, receipt, receipt.at).await);
        // The first one counts: the service was done by then.
        assert!(fixture.record(person, &Receipt { at: later(99), ..receipt.clone() }, later(99)).await);
        assert_eq!(fixture.find(person).await.completed_at, None);
    }
    assert!(fixture.record(person, &all[2], later(4)).await);
    let complete = fixture.find(person).await;
    assert_eq!((complete.completed_at, complete.receipts.as_slice()), (Some(later(4)), all.as_slice()));
    assert!(fixture.record(person, &all[2], later(50)).await);
    assert_eq!(fixture.find(person).await, complete);
}

async fn receipts_that_arrive_at_the_same_time_complete_the_erasure(fixture: Fixture) {
    for number in 1..=5 {
        let person = fixture.erase(number).await;
        let receipts = SERVICES.map(|service| receipt(service, 1));
        let recording = receipts.iter().map(|receipt| fixture.record(person, receipt, later(1)));
        assert_eq!(futures::future::join_all(recording).await, [true; 3]);
        assert_eq!(fixture.find(person).await.completed_at, Some(later(1)));
    }
}

async fn a_receipt_for_an_account_that_was_not_erased_is_not_stored(fixture: Fixture) {
    fixture.store.insert(&account(1, "ann@example.org")).await.expect("is stored");
    assert!(!fixture.record(id(1), &receipt("users", 1), later(1)).await);
    let person = fixture.erase(2).await;
    assert!(fixture.find(person).await.receipts.is_empty());
}

async fn an_open_erasure_is_announced_again_and_waits_for_its_next_turn_and_a_complete_one_is_not(
    fixture: Fixture,
) {
    let (open, complete) = (fixture.erase(1).await, fixture.erase(2).await);
    for service in SERVICES {
        fixture.record(complete, &receipt(service, 1), later(1)).await;
    }
    let due = async |seconds| fixture.erasures.open_erasures(later(seconds), 10).await.expect("lists");
    assert!(due(0).await.is_empty());
    assert_eq!(due(1).await, [open]);
    for (number, person) in [open, complete].into_iter().enumerate() {
        let message = MessageId::new(Uuid::from_u128(70 + number as u128));
        fixture.erasures.republish(person, message, later(5)).await.expect("is announced");
    }
    assert!(due(5).await.is_empty());
    assert_eq!(due(6).await, [open]);
    let sent = fixture.outbox.unsent(10).await.expect("lists");
    let ids: Vec<u128> = sent.iter().map(|(_, message)| message.id.uuid().as_u128()).collect();
    assert_eq!(ids, [1, 2, 70]);
    let (first, again) = (&sent[0].1, &sent[2].1);
    assert_eq!((&again.kind, &again.subject, &again.body), (&first.kind, &first.subject, &first.body));
}

async fn only_erasures_that_are_not_complete_are_counted_up_to_the_limit(fixture: Fixture) {
    for number in 1..=4 {
        fixture.erase(number).await;
    }
    for service in SERVICES {
        fixture.record(id(1), &receipt(service, 1), later(1)).await;
    }
    let count =
        async |seconds, limit| fixture.erasures.count_open(later(seconds), limit).await.expect("counts");
    assert_eq!((count(0, 10).await, count(1, 10).await, count(1, 2).await), (0, 3, 2));
}
