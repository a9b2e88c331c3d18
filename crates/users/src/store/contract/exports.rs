//! The laws of kept exports, for every adapter.

use std::sync::Arc;
use std::time::Duration;

use kernel::{MessageId, Timestamp};
use testkit::Folder;
use uuid::Uuid;

use super::servers::{Place, Schema};
use super::{BY, NOW, account, id};
use crate::domain::{ExportPart, PartPage};
use crate::ports::{ExportStore, UserStore};
use crate::store::postgres::PostgresUserStore;
use crate::store::sqlite::SqliteUserStore;

struct Fixture {
    store: Arc<dyn UserStore>,
    exports: Arc<dyn ExportStore>,
    _place: Place,
}

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn page(item: &str, next: Option<&str>) -> PartPage {
    PartPage { items: vec![item.to_owned()], next: next.map(str::to_owned), is_cut: false }
}

/// Returns an export that began at this time, with one complete part and one that has begun.
fn begun(seconds: u64) -> Vec<ExportPart> {
    let mut parts = ExportPart::all_begun(later(seconds));
    parts[0].add(&page("{\"a\":\"it's ü\"}", None), later(seconds + 1));
    parts[4].add(&page("{}", Some("somewhere")), later(seconds + 2));
    parts[4].is_cut = true;
    parts
}

impl Fixture {
    async fn insert(&self, number: u128) {
        let account = account(number, &format!("reader{number}@example.org"));
        self.store.insert(&account).await.expect("is stored");
    }

    /// Returns the kept parts that began at a time or later, in the order of all parts.
    async fn find_since(&self, number: u128, since: Timestamp) -> Vec<ExportPart> {
        let found = self.exports.export_parts(id(number), since).await.expect("looks");
        let all = ExportPart::all_begun(NOW);
        all.iter().filter_map(|part| found.iter().find(|it| it.source == part.source)).cloned().collect()
    }

    async fn find(&self, number: u128) -> Vec<ExportPart> {
        self.find_since(number, NOW).await
    }

    async fn keep(&self, number: u128, parts: &[ExportPart]) -> bool {
        self.exports.keep_export_parts(id(number), parts, NOW).await.expect("is answered")
    }
}

macro_rules! every_case {
    ($open:path $(, ignore = $reason:literal)?) => {
        testkit::cases! { [$open $(, ignore = $reason)?]
            in (super) {
                a_kept_part_is_read_back_unchanged,
                a_part_from_before_the_time_is_not_returned_and_is_replaced,
                of_two_states_of_a_part_the_one_stays_of_which_more_has_arrived,
                nothing_is_kept_for_an_account_that_does_not_exist_and_an_erasure_deletes_what_is_kept,
                of_an_erasure_and_parts_at_the_same_time_nothing_is_left,
                a_discarded_export_is_gone_and_those_of_other_people_stay,
                old_parts_are_deleted_in_bounded_steps_and_newer_ones_stay,
            }
        }
    };
}

mod sqlite {
    use super::*;

    async fn open() -> Fixture {
        let folder = Folder::new();
        let store = Arc::new(SqliteUserStore::open(&folder.sqlite("users.db")).await.expect("opens"));
        Fixture { store: store.clone(), exports: store, _place: Place::Folder(folder) }
    }

    every_case!(open);
}

mod postgres {
    use super::*;

    async fn open() -> Fixture {
        let schema = Schema::new().await;
        let store = Arc::new(PostgresUserStore::open(&schema.url()).await.expect("opens"));
        Fixture { store: store.clone(), exports: store, _place: Place::Schema(schema) }
    }

    every_case!(open, ignore = "needs postgres");
}

async fn a_kept_part_is_read_back_unchanged(fixture: Fixture) {
    fixture.insert(1).await;
    assert_eq!(fixture.find(1).await, []);
    assert!(fixture.keep(1, &begun(1)).await);
    assert_eq!(fixture.find(1).await, begun(1));
    // Some of the parts may be kept alone.
    fixture.insert(2).await;
    assert!(fixture.keep(2, &begun(1)[3..5]).await);
    assert_eq!(fixture.find(2).await, begun(1)[3..5]);
    assert!(fixture.keep(2, &[]).await);
}

async fn a_part_from_before_the_time_is_not_returned_and_is_replaced(fixture: Fixture) {
    fixture.insert(1).await;
    fixture.keep(1, &begun(5)).await;
    assert_eq!(fixture.find_since(1, later(5)).await, begun(5));
    assert_eq!(fixture.find_since(1, later(6)).await, []);
    // Less has arrived of the new parts.
    let renewed = ExportPart::all_begun(later(7));
    fixture.exports.keep_export_parts(id(1), &renewed, later(6)).await.expect("is kept");
    assert_eq!(fixture.find(1).await, renewed);
}

async fn of_two_states_of_a_part_the_one_stays_of_which_more_has_arrived(fixture: Fixture) {
    fixture.insert(1).await;
    let (mut first, mut second) = (ExportPart::all_begun(later(1)), ExportPart::all_begun(later(2)));
    // Of the first part the first request has more, of the second part the second one. The third part is
    // complete for the first, although the second has longer items.
    first[0].add(&page("{\"n\":1}", Some("b")), later(3));
    second[1].add(&page("{}", Some("b")), later(3));
    first[2].add(&page("{}", None), later(3));
    second[2].add(&page("{\"n\":1}", Some("b")), later(3));
    fixture.keep(1, &first).await;
    fixture.keep(1, &second).await;
    let found = fixture.find(1).await;
    let expected = [&first[0], &second[1], &first[2]].map(ExportPart::clone);
    assert_eq!(found[..3], expected);
    // In the other order too.
    fixture.insert(2).await;
    fixture.keep(2, &second).await;
    fixture.keep(2, &first).await;
    assert_eq!(fixture.find(2).await[..3], expected);
}

async fn nothing_is_kept_for_an_account_that_does_not_exist_and_an_erasure_deletes_what_is_kept(
    fixture: Fixture,
) {
    assert!(!fixture.keep(1, &begun(1)).await);
    fixture.insert(1).await;
    assert!(fixture.keep(1, &begun(1)).await);
    fixture.store.erase(id(1), MessageId::new(Uuid::nil()), &BY).await.expect("is erased");
    assert_eq!(fixture.find(1).await, []);
    assert!(!fixture.keep(1, &begun(1)).await);
    assert_eq!(fixture.find(1).await, []);
}

async fn of_an_erasure_and_parts_at_the_same_time_nothing_is_left(fixture: Fixture) {
    for number in 1..=20 {
        fixture.insert(number).await;
        let parts = begun(1);
        let message = MessageId::new(Uuid::from_u128(number));
        let (erased, _kept_or_not, _again) = tokio::join!(
            fixture.store.erase(id(number), message, &BY),
            fixture.keep(number, &parts),
            fixture.keep(number, &parts),
        );
        erased.expect("is erased");
        assert_eq!(fixture.find(number).await, []);
    }
}

async fn a_discarded_export_is_gone_and_those_of_other_people_stay(fixture: Fixture) {
    for number in [1, 2] {
        fixture.insert(number).await;
        fixture.keep(number, &begun(1)).await;
    }
    for _ in 0..2 {
        fixture.exports.discard_export(id(1)).await.expect("is discarded");
    }
    assert_eq!((fixture.find(1).await, fixture.find(2).await), (vec![], begun(1)));
}

async fn old_parts_are_deleted_in_bounded_steps_and_newer_ones_stay(fixture: Fixture) {
    for (number, seconds) in [(1, 1), (2, 9)] {
        fixture.insert(number).await;
        fixture.keep(number, &begun(seconds)).await;
    }
    let delete = async || fixture.exports.delete_export_parts(later(9), 4).await.expect("deletes");
    assert_eq!((delete().await, delete().await, delete().await), (4, 2, 0));
    assert_eq!((fixture.find(1).await, fixture.find(2).await), (vec![], begun(9)));
}
