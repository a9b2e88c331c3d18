//! The laws of [`TasteGraph`], one case each, named by the sentence in its documentation. Every adapter runs
//! all of them.

pub(crate) mod consents;
pub(crate) mod order;
pub(crate) mod queries;
pub(crate) mod readings;

use std::ops::Deref;
use std::sync::Arc;

use kernel::{ArticleId, Label, MessageId, Timestamp, UserId};
use testkit::Folder;
use uuid::Uuid;

use crate::domain::{Consent, ConsentRecord, Reading};
use crate::ports::{RecordedReading, TasteGraph};

/// Makes a test of each case for the adapter that `open` opens.
macro_rules! every_case {
    ($($adapter:tt)*) => {
        testkit::cases! { [$($adapter)*]
            in (crate::store::contract::readings) {
                a_reading_adds_one_to_each_of_its_labels_with_its_time,
                a_repeated_message_changes_nothing,
                a_reader_and_an_article_count_once_in_30_minutes,
                a_late_reading_counts_as_if_it_had_arrived_in_time,
                without_a_consent_on_record_nothing_is_stored,
                a_reading_that_consent_does_not_permit_is_not_stored,
                a_reading_before_the_consent_is_not_stored,
                a_reading_after_the_erasure_adds_nothing,
                parallel_deliveries_of_one_reading_count_once,
                spellings_of_one_label_are_one_label,
                deleted_visits_leave_the_tastes_unchanged,
            }
            in (crate::store::contract::queries) {
                labels_come_heaviest_first,
                an_unknown_reader_has_no_labels,
                pages_of_a_readers_visits_join_without_a_gap,
                an_unknown_reader_has_no_visits,
                readers_of_a_label_come_heaviest_first_up_to_the_limit,
                an_unknown_label_has_no_readers,
            }
            in (crate::store::contract::consents) {
                the_newest_consent_holds_in_any_order_of_delivery,
                a_withdrawal_deletes_the_readers_tastes_and_visits,
                a_new_permission_keeps_only_readings_that_were_made_under_it,
                a_consent_after_the_erasure_adds_nothing,
                an_unknown_reader_has_no_status,
                erasure_deletes_edges_visits_and_consent,
                a_repeated_erasure_changes_nothing,
            }
            in (crate::store::contract::order) {
                readings_consents_and_erasures_end_the_same_in_any_order_and_number,
                one_reader_changes_nothing_about_another,
            }
        }
    };
}
pub(super) use every_case;

/// An empty graph, with the folder that it lives in, if any.
#[derive(Clone)]
pub(super) struct TestGraph {
    graph: Arc<dyn TasteGraph>,
    _folder: Option<Arc<Folder>>,
}

impl TestGraph {
    pub(super) fn new(graph: Arc<dyn TasteGraph>, folder: Option<Folder>) -> Self {
        Self { graph, _folder: folder.map(Arc::new) }
    }
}

impl Deref for TestGraph {
    type Target = dyn TasteGraph;

    fn deref(&self) -> &Self::Target {
        &*self.graph
    }
}

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + minutes * MINUTE)
}

fn reader(number: u128) -> UserId {
    UserId::new(Uuid::from_u128(number))
}

fn label(text: &str) -> Label {
    Label::parse(text).expect("a label")
}

/// Returns a reading of article `article` at a minute. Its message is unique to reader, article and time.
fn reading(by: UserId, article: u128, minutes: i64, labels: &[&str]) -> Reading {
    let message = (by.uuid().as_u128() << 100) + (article << 60) + u128::from(minutes.unsigned_abs());
    Reading {
        message: MessageId::new(Uuid::from_u128(message)),
        reader: by,
        article: ArticleId::new(Uuid::from_u128(article)),
        labels: Reading::parse_labels(labels.iter().copied()).expect("labels"),
        at: at(minutes),
    }
}

fn consent_record(permits: bool, version: u32, minutes: i64) -> ConsentRecord {
    let consent = Consent { personalisation: permits, history: permits };
    ConsentRecord { consent, version, since: at(minutes) }
}

async fn give_consent(graph: &TestGraph, by: UserId) {
    graph.set_consent(by, &consent_record(true, 1, 0)).await.expect("a consent is stored");
}

async fn read(
    graph: &TestGraph,
    by: UserId,
    article: u128,
    minutes: i64,
    labels: &[&str],
) -> RecordedReading {
    graph.record_read(&reading(by, article, minutes, labels)).await.expect("the graph answers")
}

/// Returns label, reads, minute of the last reading, and the weight a day after the start in thousandths.
async fn tastes_of(graph: &TestGraph, reader: UserId) -> Vec<(String, u32, i64, f64)> {
    let tastes = graph.labels_of(reader, 100).await.expect("the graph answers");
    let rows = tastes.iter().map(|taste| {
        let last = (taste.last_read_at().millis() - at(0).millis()) / MINUTE;
        let weight = (taste.weight_at(at(DAY / MINUTE)) * 1000.0).round();
        (taste.label().to_string(), taste.reads(), last, weight)
    });
    rows.collect()
}

async fn read_counts(graph: &TestGraph, reader: UserId) -> Vec<(String, u32)> {
    tastes_of(graph, reader).await.into_iter().map(|(label, reads, ..)| (label, reads)).collect()
}

fn counts(counts: &[(&str, u32)]) -> Vec<(String, u32)> {
    counts.iter().map(|(label, reads)| ((*label).to_owned(), *reads)).collect()
}

/// Deletes all visits and returns their number.
async fn delete_all_visits(graph: &TestGraph) -> u64 {
    graph.forget_visits(at(i64::from(u32::MAX)), u32::MAX).await.expect("the graph answers")
}
