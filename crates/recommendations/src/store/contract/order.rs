//! The laws over all methods.

use kernel::UserId;
use rand::seq::SliceRandom;

use super::{TestGraph, at, consent_record, give_consent, label, read, reader, reading, tastes_of};
use crate::domain::{ConsentRecord, ReaderStatus, Reading};

enum Event {
    Read(Reading),
    ConsentChanged(UserId, ConsentRecord),
    Erased(UserId),
}

async fn deliver(graph: &TestGraph, event: &Event) {
    match event {
        Event::Read(reading) => drop(graph.record_read(reading).await.expect("the graph answers")),
        Event::ConsentChanged(reader, record) => {
            graph.set_consent(*reader, record).await.expect("the graph answers");
        }
        Event::Erased(reader) => graph.erase(*reader, at(500)).await.expect("the graph answers"),
    }
}

/// Returns the events of one reader, who consents, withdraws, consents again, and reads all the time. If
/// `erased` is set, the account is erased at the end.
fn story(of: UserId, erased: bool) -> Vec<Event> {
    let consents = [consent_record(true, 1, 0), consent_record(false, 2, 100), consent_record(true, 3, 200)];
    let mut events: Vec<Event> =
        consents.into_iter().map(|record| Event::ConsentChanged(of, record)).collect();
    for minutes in (1..400_i64).step_by(11) {
        let article = 1 + u128::from(minutes.unsigned_abs() % 3);
        let labels: &[&str] = if minutes % 2 == 0 { &["even", "all"] } else { &["all"] };
        events.push(Event::Read(reading(of, article, minutes, labels)));
    }
    events.extend(erased.then_some(Event::Erased(of)));
    events
}

/// Returns the items in an order that only `seed` decides.
fn shuffled<T>(mut items: Vec<T>, seed: u64) -> Vec<T> {
    items.shuffle(&mut testkit::random(seed));
    items
}

pub(crate) async fn readings_consents_and_erasures_end_the_same_in_any_order_and_number(graph: TestGraph) {
    let orderly = reader(1);
    for event in story(orderly, false) {
        deliver(&graph, &event).await;
    }
    let expected = tastes_of(&graph, orderly).await;
    assert_eq!(expected.len(), 2);
    for seed in 2..8 {
        let (chaotic, erased) = (reader(seed), reader(seed + 100));
        let events =
            (0..3).flat_map(|_| story(chaotic, false).into_iter().chain(story(erased, true))).collect();
        for event in shuffled(events, u64::try_from(seed).expect("small")) {
            deliver(&graph, &event).await;
        }
        // A reading that was refused before the event about the consent arrived comes once more, as it does
        // after a call to users.
        for event in shuffled(story(chaotic, false), 77) {
            deliver(&graph, &event).await;
        }
        assert_eq!(tastes_of(&graph, chaotic).await, expected, "seed {seed}");
        assert!(tastes_of(&graph, erased).await.is_empty(), "seed {seed}");
    }
}

pub(crate) async fn one_reader_changes_nothing_about_another(graph: TestGraph) {
    let (anna, ben) = (reader(1), reader(2));
    give_consent(&graph, anna).await;
    give_consent(&graph, ben).await;
    read(&graph, anna, 1, 10, &["budget"]).await;
    let before = tastes_of(&graph, anna).await;
    read(&graph, ben, 1, 11, &["budget"]).await;
    graph.set_consent(ben, &consent_record(false, 2, 20)).await.expect("a consent is stored");
    graph.erase(ben, at(30)).await.expect("erases");
    assert_eq!(tastes_of(&graph, anna).await, before);
    assert_eq!(graph.readers_of(&label("budget"), 10).await.expect("readers"), [anna]);
    assert_eq!(
        graph.reader_status(anna).await.expect("the graph answers"),
        Some(ReaderStatus::Known(consent_record(true, 1, 0)))
    );
}
