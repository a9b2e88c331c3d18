//! The laws of readings and visits.

use super::{
    TestGraph, at, consent_record, counts, delete_all_visits, give_consent, label, read, read_counts, reader,
    tastes_of,
};
use crate::domain::{Consent, ConsentRecord};
use crate::ports::RecordedReading;

pub(crate) async fn a_reading_adds_one_to_each_of_its_labels_with_its_time(graph: TestGraph) {
    let anna = reader(1);
    give_consent(&graph, anna).await;
    assert_eq!(read(&graph, anna, 1, 10, &["budget", "tax"]).await, RecordedReading::Accepted);
    assert_eq!(read(&graph, anna, 2, 70, &["budget"]).await, RecordedReading::Accepted);
    let tastes = graph.labels_of(anna, 10).await.expect("labels");
    let budget = tastes.iter().find(|taste| taste.label().typed() == &label("budget")).expect("the label");
    assert_eq!((budget.reads(), budget.last_read_at()), (2, at(70)));
    // After one hour of the fourteen days, a little less than 2 is left.
    let hour = (-1.0_f64 / (14.0 * 24.0)).exp2();
    assert!((budget.stored_weight() - (1.0 + hour)).abs() < 1e-9);
    assert_eq!(read_counts(&graph, anna).await, counts(&[("budget", 2), ("tax", 1)]));
}

pub(crate) async fn a_repeated_message_changes_nothing(graph: TestGraph) {
    let anna = reader(1);
    give_consent(&graph, anna).await;
    read(&graph, anna, 1, 10, &["budget"]).await;
    read(&graph, anna, 1, 45, &["budget"]).await;
    let before = tastes_of(&graph, anna).await;
    for minutes in [45, 10, 45, 10] {
        assert_eq!(read(&graph, anna, 1, minutes, &["budget"]).await, RecordedReading::Accepted);
    }
    assert_eq!(tastes_of(&graph, anna).await, before);
    assert_eq!(before[0].1, 2);
}

pub(crate) async fn a_reader_and_an_article_count_once_in_30_minutes(graph: TestGraph) {
    let anna = reader(1);
    give_consent(&graph, anna).await;
    for (minutes, expected) in [(0, 1), (1, 1), (29, 1), (30, 2), (59, 2), (60, 3)] {
        read(&graph, anna, 1, minutes, &["budget"]).await;
        assert_eq!(read_counts(&graph, anna).await, counts(&[("budget", expected)]), "minute {minutes}");
    }
    // Another article with the same label, and the same article for another reader, are not repetitions.
    read(&graph, anna, 2, 61, &["budget"]).await;
    assert_eq!(read_counts(&graph, anna).await, counts(&[("budget", 4)]));
    give_consent(&graph, reader(2)).await;
    read(&graph, reader(2), 1, 61, &["budget"]).await;
    assert_eq!(read_counts(&graph, reader(2)).await, counts(&[("budget", 1)]));
}

pub(crate) async fn a_late_reading_counts_as_if_it_had_arrived_in_time(graph: TestGraph) {
    let (anna, ben) = (reader(1), reader(2));
    give_consent(&graph, anna).await;
    give_consent(&graph, ben).await;
    // The labels changed between two versions of the article. The labels of the reading that counts are
    // counted.
    let all: [(i64, &[&str]); 4] = [(0, &["old"]), (20, &["old", "mid"]), (40, &["new"]), (75, &["new"])];
    for (minutes, labels) in all {
        read(&graph, anna, 1, minutes, labels).await;
    }
    for index in [1, 2, 3, 0] {
        read(&graph, ben, 1, all[index].0, all[index].1).await;
    }
    assert_eq!(tastes_of(&graph, anna).await, tastes_of(&graph, ben).await);
    assert_eq!(read_counts(&graph, anna).await, counts(&[("new", 2), ("old", 1)]));
}

pub(crate) async fn without_a_consent_on_record_nothing_is_stored(graph: TestGraph) {
    assert_eq!(read(&graph, reader(1), 1, 0, &["budget"]).await, RecordedReading::ConsentUnknown);
    assert!(tastes_of(&graph, reader(1)).await.is_empty());
    assert_eq!(delete_all_visits(&graph).await, 0);
}

pub(crate) async fn a_reading_that_consent_does_not_permit_is_not_stored(graph: TestGraph) {
    for (number, personalisation, history) in [(1, true, false), (2, false, true), (3, false, false)] {
        let consent = Consent { personalisation, history };
        let record = ConsentRecord { consent, version: 1, since: at(0) };
        graph.set_consent(reader(number), &record).await.expect("a consent is stored");
        assert_eq!(read(&graph, reader(number), 1, 10, &["budget"]).await, RecordedReading::NotPermitted);
        assert!(tastes_of(&graph, reader(number)).await.is_empty());
    }
    assert_eq!(delete_all_visits(&graph).await, 0);
}

pub(crate) async fn a_reading_before_the_consent_is_not_stored(graph: TestGraph) {
    let anna = reader(1);
    graph.set_consent(anna, &consent_record(true, 1, 100)).await.expect("a consent is stored");
    assert_eq!(read(&graph, anna, 1, 99, &["budget"]).await, RecordedReading::NotPermitted);
    assert_eq!(read(&graph, anna, 1, 100, &["budget"]).await, RecordedReading::Accepted);
    assert_eq!(read_counts(&graph, anna).await, counts(&[("budget", 1)]));
}

pub(crate) async fn a_reading_after_the_erasure_adds_nothing(graph: TestGraph) {
    let anna = reader(1);
    give_consent(&graph, anna).await;
    read(&graph, anna, 1, 10, &["budget"]).await;
    graph.erase(anna, at(20)).await.expect("erases");
    assert_eq!(read(&graph, anna, 1, 10, &["budget"]).await, RecordedReading::NotPermitted);
    assert_eq!(read(&graph, anna, 2, 30, &["budget"]).await, RecordedReading::NotPermitted);
    assert!(tastes_of(&graph, anna).await.is_empty());
    assert_eq!(delete_all_visits(&graph).await, 0);
}

pub(crate) async fn parallel_deliveries_of_one_reading_count_once(graph: TestGraph) {
    let anna = reader(1);
    give_consent(&graph, anna).await;
    let deliveries = (0..16).map(|_| {
        let graph = graph.clone();
        async move { read(&graph, anna, 1, 10, &["budget", "tax"]).await }
    });
    let all = futures::future::join_all(deliveries).await;
    assert!(all.iter().all(|recorded| *recorded == RecordedReading::Accepted));
    assert_eq!(read_counts(&graph, anna).await, counts(&[("budget", 1), ("tax", 1)]));
}

pub(crate) async fn spellings_of_one_label_are_one_label(graph: TestGraph) {
    let anna = reader(1);
    give_consent(&graph, anna).await;
    read(&graph, anna, 1, 0, &["Zürich", "tax"]).await;
    read(&graph, anna, 2, 10, &["ZU\u{308}RICH "]).await;
    assert_eq!(read_counts(&graph, anna).await, counts(&[("ZU\u{308}RICH ", 2), ("tax", 1)]));
    // A late delivery counts, and the label is shown as it was spelled last.
    read(&graph, anna, 3, 5, &["zürich"]).await;
    assert_eq!(read_counts(&graph, anna).await, counts(&[("ZU\u{308}RICH ", 3), ("tax", 1)]));
    for spelling in ["zürich", "ZÜRICH", " Zu\u{308}rich"] {
        assert_eq!(graph.readers_of(&label(spelling), 10).await.expect("readers"), [anna], "{spelling:?}");
    }
}

pub(crate) async fn deleted_visits_leave_the_tastes_unchanged(graph: TestGraph) {
    let anna = reader(1);
    give_consent(&graph, anna).await;
    for minutes in [0, 40, 80, 120] {
        read(&graph, anna, 1, minutes, &["budget"]).await;
    }
    let before = tastes_of(&graph, anna).await;
    assert_eq!(graph.forget_visits(at(100), 2).await.expect("forgets"), 2);
    assert_eq!(graph.forget_visits(at(100), 2).await.expect("forgets"), 1);
    assert_eq!(graph.forget_visits(at(100), 2).await.expect("forgets"), 0);
    assert_eq!(tastes_of(&graph, anna).await, before);
    // The visit that the rule needs is still stored.
    read(&graph, anna, 1, 125, &["budget"]).await;
    assert_eq!(read_counts(&graph, anna).await, counts(&[("budget", 4)]));
}
