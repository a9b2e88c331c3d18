//! The laws of consents and erasures.

use kernel::Timestamp;

use super::{
    TestGraph, at, consent_record, counts, delete_all_visits, give_consent, label, read, read_counts, reader,
    tastes_of,
};
use crate::domain::{Consent, ConsentRecord, ReaderStatus};
use crate::ports::RecordedReading;

pub(crate) async fn the_newest_consent_holds_in_any_order_of_delivery(graph: TestGraph) {
    let records = [consent_record(true, 1, 0), consent_record(false, 2, 10), consent_record(true, 3, 20)];
    for (number, order) in (1..).zip([[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]]) {
        for index in order {
            graph.set_consent(reader(number), &records[index]).await.expect("a consent is stored");
        }
        let status = graph.reader_status(reader(number)).await.expect("the graph answers");
        assert_eq!(status, Some(ReaderStatus::Known(records[2])));
    }
    // The same version again, now with its moment: an answer over gRPC does not state the moment, the event
    // does.
    let anna = reader(9);
    let vague = ConsentRecord { since: Timestamp::from_millis(0), ..consent_record(true, 3, 0) };
    for record in [vague, records[2], vague] {
        graph.set_consent(anna, &record).await.expect("a consent is stored");
    }
    assert_eq!(
        graph.reader_status(anna).await.expect("the graph answers"),
        Some(ReaderStatus::Known(records[2]))
    );
}

pub(crate) async fn a_withdrawal_deletes_the_readers_tastes_and_visits(graph: TestGraph) {
    let anna = reader(1);
    give_consent(&graph, anna).await;
    read(&graph, anna, 1, 10, &["budget"]).await;
    let half = Consent { personalisation: true, history: false };
    let record = ConsentRecord { consent: half, version: 2, since: at(20) };
    graph.set_consent(anna, &record).await.expect("a consent is stored");
    assert!(tastes_of(&graph, anna).await.is_empty());
    assert_eq!(graph.readers_of(&label("budget"), 10).await.expect("readers"), []);
    assert_eq!(delete_all_visits(&graph).await, 0);
}

pub(crate) async fn a_new_permission_keeps_only_readings_that_were_made_under_it(graph: TestGraph) {
    let anna = reader(1);
    give_consent(&graph, anna).await;
    read(&graph, anna, 1, 10, &["before"]).await;
    read(&graph, anna, 2, 90, &["both"]).await;
    // These arrive before the event about the second permission. The first of them now counts, because the
    // visit that was within 30 minutes before it is deleted.
    read(&graph, anna, 2, 105, &["both"]).await;
    read(&graph, anna, 3, 110, &["after"]).await;
    graph.set_consent(anna, &consent_record(true, 3, 100)).await.expect("a consent is stored");
    let ben = reader(2);
    graph.set_consent(ben, &consent_record(true, 3, 100)).await.expect("a consent is stored");
    read(&graph, ben, 2, 105, &["both"]).await;
    read(&graph, ben, 3, 110, &["after"]).await;
    assert_eq!(tastes_of(&graph, anna).await, tastes_of(&graph, ben).await);
    assert_eq!(read_counts(&graph, anna).await, counts(&[("after", 1), ("both", 1)]));
}

pub(crate) async fn a_consent_after_the_erasure_adds_nothing(graph: TestGraph) {
    let anna = reader(1);
    graph.erase(anna, at(10)).await.expect("erases");
    graph.set_consent(anna, &consent_record(true, 9, 20)).await.expect("a consent is stored");
    assert_eq!(graph.reader_status(anna).await.expect("the graph answers"), Some(ReaderStatus::Erased));
    assert_eq!(read(&graph, anna, 1, 30, &["budget"]).await, RecordedReading::NotPermitted);
}

pub(crate) async fn an_unknown_reader_has_no_status(graph: TestGraph) {
    give_consent(&graph, reader(1)).await;
    assert_eq!(graph.reader_status(reader(2)).await.expect("the graph answers"), None);
}

pub(crate) async fn erasure_deletes_edges_visits_and_consent(graph: TestGraph) {
    let anna = reader(1);
    give_consent(&graph, anna).await;
    read(&graph, anna, 1, 10, &["budget"]).await;
    graph.erase(anna, at(20)).await.expect("erases");
    assert!(tastes_of(&graph, anna).await.is_empty());
    assert_eq!(graph.readers_of(&label("budget"), 10).await.expect("readers"), []);
    assert_eq!(graph.reader_status(anna).await.expect("the graph answers"), Some(ReaderStatus::Erased));
    assert_eq!(delete_all_visits(&graph).await, 0);
}

pub(crate) async fn a_repeated_erasure_changes_nothing(graph: TestGraph) {
    let anna = reader(1);
    for minutes in [10, 20, 10] {
        graph.erase(anna, at(minutes)).await.expect("erases");
    }
    assert_eq!(graph.reader_status(anna).await.expect("the graph answers"), Some(ReaderStatus::Erased));
}
