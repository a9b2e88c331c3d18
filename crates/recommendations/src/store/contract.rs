//! The laws of [`TasteGraph`], one case each, named by the sentence in its documentation. Every adapter runs all of them.

use std::sync::Arc;

use kernel::{ArticleId, Label, MessageId, Timestamp, UserId};
use uuid::Uuid;

use crate::domain::{Consent, ConsentRecord, Reading, Standing};
use crate::ports::{Recorded, TasteGraph};

/// Runs every case against the graph that `$open` gives, with whatever has to live as long as it.
macro_rules! every_case {
    ($open:ident $(, ignore = $why:literal)?) => {
        crate::store::contract::cases! { ($open $(, ignore = $why)?)
            a_reading_adds_one_to_each_of_its_labels_with_its_time
            a_message_that_comes_again_changes_nothing
            a_reader_and_an_article_count_once_in_30_minutes
            a_reading_that_comes_late_counts_as_if_it_had_come_in_time
            without_a_consent_on_record_nothing_is_kept
            what_consent_does_not_permit_is_not_kept
            what_was_read_before_the_consent_is_not_kept
            a_reading_that_comes_after_the_erasure_adds_nothing
            parallel_deliveries_of_one_reading_count_once
            spellings_of_one_label_are_one_label
            the_labels_come_heaviest_first
            an_unknown_reader_has_no_labels
            the_readers_of_a_label_come_heaviest_first_and_no_more_than_asked_for
            an_unknown_label_has_no_readers
            a_newer_consent_holds_whatever_the_order_of_delivery
            a_withdrawal_deletes_what_is_kept_about_the_reader
            a_new_permission_keeps_only_what_was_read_under_it
            a_consent_that_comes_after_the_erasure_adds_nothing
            of_a_reader_never_heard_of_there_is_no_standing
            erasure_deletes_edges_visits_and_consent
            erasing_twice_is_erasing_once
            forgotten_visits_leave_the_tastes_as_they_are
            facts_in_any_order_and_number_end_the_same
            what_one_reader_does_changes_nothing_about_another
        }
    };
}
macro_rules! cases {
    ($fixture:tt $($case:ident)*) => { $(crate::store::contract::case! { $fixture $case })* };
}
macro_rules! case {
    (($open:ident $(, ignore = $why:literal)?) $case:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        $(#[ignore = $why])?
        async fn $case() {
            let (graph, _kept) = $open().await;
            crate::store::contract::$case(graph).await;
        }
    };
}
pub(super) use {case, cases, every_case};

type Graph = Arc<dyn TasteGraph>;

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

/// A reading of article `article` at so many minutes; its message is unique to reader, article and time.
fn reading(by: UserId, article: u128, minutes: i64, labels: &[&str]) -> Reading {
    let message = (by.uuid().as_u128() << 100) + (article << 60) + u128::from(minutes.unsigned_abs());
    Reading {
        message: MessageId::new(Uuid::from_u128(message)),
        reader: by,
        article: ArticleId::new(Uuid::from_u128(article)),
        labels: Reading::labels(labels.iter().copied()).expect("labels"),
        at: at(minutes),
    }
}

fn says(permits: bool, version: u32, minutes: i64) -> ConsentRecord {
    let consent = Consent { personalisation: permits, history: permits };
    ConsentRecord { consent, version, since: at(minutes) }
}

async fn consents(graph: &Graph, by: UserId) {
    graph.set_consent(by, &says(true, 1, 0)).await.expect("a consent is put on record");
}

async fn reads(graph: &Graph, by: UserId, article: u128, minutes: i64, labels: &[&str]) -> Recorded {
    graph.record_read(&reading(by, article, minutes, labels)).await.expect("the graph answers")
}

/// Label, reads, minute of the last reading, and the weight a day after the start in thousandths.
async fn liked(graph: &Graph, by: UserId) -> Vec<(String, u32, i64, f64)> {
    let tastes = graph.labels_of(by, 100).await.expect("the graph answers");
    let told = tastes.iter().map(|taste| {
        let last = (taste.last_read_at().millis() - at(0).millis()) / MINUTE;
        let weight = (taste.weight_at(at(DAY / MINUTE)) * 1000.0).round();
        (taste.label().to_string(), taste.reads(), last, weight)
    });
    told.collect()
}

async fn counts(graph: &Graph, by: UserId) -> Vec<(String, u32)> {
    liked(graph, by).await.into_iter().map(|(label, reads, ..)| (label, reads)).collect()
}

fn told(counts: &[(&str, u32)]) -> Vec<(String, u32)> {
    counts.iter().map(|(label, reads)| ((*label).to_owned(), *reads)).collect()
}

/// How many visits there are at all, found by forgetting them.
async fn visits(graph: &Graph) -> u64 {
    graph.forget_visits(at(i64::from(u32::MAX)), u32::MAX).await.expect("the graph answers")
}

pub(super) async fn a_reading_adds_one_to_each_of_its_labels_with_its_time(graph: Graph) {
    let anna = reader(1);
    consents(&graph, anna).await;
    assert_eq!(reads(&graph, anna, 1, 10, &["budget", "tax"]).await, Recorded::Taken);
    assert_eq!(reads(&graph, anna, 2, 70, &["budget"]).await, Recorded::Taken);
    let tastes = graph.labels_of(anna, 10).await.expect("labels");
    let budget = tastes.iter().find(|taste| taste.label().typed() == &label("budget")).expect("the label");
    assert_eq!((budget.reads(), budget.last_read_at()), (2, at(70)));
    // An hour of fourteen days has left a little less than 2.
    let hour = (-1.0_f64 / (14.0 * 24.0)).exp2();
    assert!((budget.kept_weight() - (1.0 + hour)).abs() < 1e-9);
    assert_eq!(counts(&graph, anna).await, told(&[("budget", 2), ("tax", 1)]));
}

pub(super) async fn a_message_that_comes_again_changes_nothing(graph: Graph) {
    let anna = reader(1);
    consents(&graph, anna).await;
    reads(&graph, anna, 1, 10, &["budget"]).await;
    reads(&graph, anna, 1, 45, &["budget"]).await;
    let before = liked(&graph, anna).await;
    for minutes in [45, 10, 45, 10] {
        assert_eq!(reads(&graph, anna, 1, minutes, &["budget"]).await, Recorded::Taken);
    }
    assert_eq!(liked(&graph, anna).await, before);
    assert_eq!(before[0].1, 2);
}

pub(super) async fn a_reader_and_an_article_count_once_in_30_minutes(graph: Graph) {
    let anna = reader(1);
    consents(&graph, anna).await;
    for (minutes, expected) in [(0, 1), (1, 1), (29, 1), (30, 2), (59, 2), (60, 3)] {
        reads(&graph, anna, 1, minutes, &["budget"]).await;
        assert_eq!(counts(&graph, anna).await, told(&[("budget", expected)]), "minute {minutes}");
    }
    // Another article with the same label, and the same article for another reader, are no repetitions.
    reads(&graph, anna, 2, 61, &["budget"]).await;
    assert_eq!(counts(&graph, anna).await, told(&[("budget", 4)]));
    consents(&graph, reader(2)).await;
    reads(&graph, reader(2), 1, 61, &["budget"]).await;
    assert_eq!(counts(&graph, reader(2)).await, told(&[("budget", 1)]));
}

pub(super) async fn a_reading_that_comes_late_counts_as_if_it_had_come_in_time(graph: Graph) {
    let (anna, ben) = (reader(1), reader(2));
    consents(&graph, anna).await;
    consents(&graph, ben).await;
    // Between the versions of the article its labels changed: the count of a label goes with the reading that counts.
    let all: [(i64, &[&str]); 4] = [(0, &["old"]), (20, &["old", "mid"]), (40, &["new"]), (75, &["new"])];
    for (minutes, labels) in all {
        reads(&graph, anna, 1, minutes, labels).await;
    }
    for place in [1, 2, 3, 0] {
        reads(&graph, ben, 1, all[place].0, all[place].1).await;
    }
    assert_eq!(liked(&graph, anna).await, liked(&graph, ben).await);
    assert_eq!(counts(&graph, anna).await, told(&[("new", 2), ("old", 1)]));
}

pub(super) async fn without_a_consent_on_record_nothing_is_kept(graph: Graph) {
    assert_eq!(reads(&graph, reader(1), 1, 0, &["budget"]).await, Recorded::Unheard);
    assert!(liked(&graph, reader(1)).await.is_empty());
    assert_eq!(visits(&graph).await, 0);
}

pub(super) async fn what_consent_does_not_permit_is_not_kept(graph: Graph) {
    for (number, personalisation, history) in [(1, true, false), (2, false, true), (3, false, false)] {
        let consent = Consent { personalisation, history };
        let record = ConsentRecord { consent, version: 1, since: at(0) };
        graph.set_consent(reader(number), &record).await.expect("a consent is put on record");
        assert_eq!(reads(&graph, reader(number), 1, 10, &["budget"]).await, Recorded::Refused);
        assert!(liked(&graph, reader(number)).await.is_empty());
    }
    assert_eq!(visits(&graph).await, 0);
}

pub(super) async fn what_was_read_before_the_consent_is_not_kept(graph: Graph) {
    let anna = reader(1);
    graph.set_consent(anna, &says(true, 1, 100)).await.expect("a consent is put on record");
    assert_eq!(reads(&graph, anna, 1, 99, &["budget"]).await, Recorded::Refused);
    assert_eq!(reads(&graph, anna, 1, 100, &["budget"]).await, Recorded::Taken);
    assert_eq!(counts(&graph, anna).await, told(&[("budget", 1)]));
}

pub(super) async fn a_reading_that_comes_after_the_erasure_adds_nothing(graph: Graph) {
    let anna = reader(1);
    consents(&graph, anna).await;
    reads(&graph, anna, 1, 10, &["budget"]).await;
    graph.erase(anna, at(20)).await.expect("erases");
    assert_eq!(reads(&graph, anna, 1, 10, &["budget"]).await, Recorded::Refused);
    assert_eq!(reads(&graph, anna, 2, 30, &["budget"]).await, Recorded::Refused);
    assert!(liked(&graph, anna).await.is_empty());
    assert_eq!(visits(&graph).await, 0);
}

pub(super) async fn parallel_deliveries_of_one_reading_count_once(graph: Graph) {
    let anna = reader(1);
    consents(&graph, anna).await;
    let deliveries = (0..16).map(|_| {
        let graph = graph.clone();
        async move { reads(&graph, anna, 1, 10, &["budget", "tax"]).await }
    });
    let all = futures::future::join_all(deliveries).await;
    assert!(all.iter().all(|recorded| *recorded == Recorded::Taken));
    assert_eq!(counts(&graph, anna).await, told(&[("budget", 1), ("tax", 1)]));
}

pub(super) async fn spellings_of_one_label_are_one_label(graph: Graph) {
    let anna = reader(1);
    consents(&graph, anna).await;
    reads(&graph, anna, 1, 0, &["Zürich", "tax"]).await;
    reads(&graph, anna, 2, 10, &["ZU\u{308}RICH "]).await;
    assert_eq!(counts(&graph, anna).await, told(&[("ZU\u{308}RICH ", 2), ("tax", 1)]));
    // A late delivery counts, and the label is shown as it was spelled last.
    reads(&graph, anna, 3, 5, &["zürich"]).await;
    assert_eq!(counts(&graph, anna).await, told(&[("ZU\u{308}RICH ", 3), ("tax", 1)]));
    for spelling in ["zürich", "ZÜRICH", " Zu\u{308}rich"] {
        assert_eq!(graph.readers_of(&label(spelling), 10).await.expect("readers"), [anna], "{spelling:?}");
    }
}

pub(super) async fn the_labels_come_heaviest_first(graph: Graph) {
    let anna = reader(1);
    consents(&graph, anna).await;
    let days = |days: i64| days * DAY / MINUTE;
    reads(&graph, anna, 1, days(0), &["often", "old"]).await;
    reads(&graph, anna, 2, days(1), &["often"]).await;
    reads(&graph, anna, 3, days(28), &["fresh", "also fresh"]).await;
    // 28 days are two half-lives: two old readings weigh half of a fresh one. Of equal weight: by label.
    let all = counts(&graph, anna).await;
    assert_eq!(all, told(&[("also fresh", 1), ("fresh", 1), ("often", 2), ("old", 1)]));
    assert_eq!(graph.labels_of(anna, 2).await.expect("labels").len(), 2);
}

pub(super) async fn an_unknown_reader_has_no_labels(graph: Graph) {
    consents(&graph, reader(1)).await;
    reads(&graph, reader(1), 1, 0, &["budget"]).await;
    assert_eq!(graph.labels_of(reader(2), 100).await.expect("the graph answers"), []);
}

pub(super) async fn the_readers_of_a_label_come_heaviest_first_and_no_more_than_asked_for(graph: Graph) {
    for number in 1..=4 {
        consents(&graph, reader(number)).await;
    }
    reads(&graph, reader(1), 1, 0, &["budget"]).await;
    reads(&graph, reader(2), 1, 5, &["budget", "tax"]).await;
    reads(&graph, reader(3), 1, 0, &["budget"]).await;
    reads(&graph, reader(3), 2, 5, &["budget"]).await;
    reads(&graph, reader(4), 1, 9, &["tax"]).await;
    let budget = graph.readers_of(&label("budget"), 10).await.expect("readers");
    assert_eq!(budget, [reader(3), reader(2), reader(1)]);
    assert_eq!(graph.readers_of(&label("budget"), 1).await.expect("readers"), [reader(3)]);
}

pub(super) async fn an_unknown_label_has_no_readers(graph: Graph) {
    consents(&graph, reader(1)).await;
    reads(&graph, reader(1), 1, 0, &["budget"]).await;
    // A repetition with another label meets that label and likes it not yet: nobody is told.
    reads(&graph, reader(1), 1, 5, &["tax"]).await;
    assert_eq!(graph.readers_of(&label("sport' or 1=1 --"), 10).await.expect("readers"), []);
    assert_eq!(graph.readers_of(&label("tax"), 10).await.expect("readers"), []);
}

pub(super) async fn a_newer_consent_holds_whatever_the_order_of_delivery(graph: Graph) {
    let records = [says(true, 1, 0), says(false, 2, 10), says(true, 3, 20)];
    for (number, order) in (1..).zip([[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]]) {
        for place in order {
            graph.set_consent(reader(number), &records[place]).await.expect("a consent is put on record");
        }
        let standing = graph.consent_of(reader(number)).await.expect("the graph answers");
        assert_eq!(standing, Some(Standing::Said(records[2])));
    }
    // The same version again, now with its time: an answer over gRPC does not say since when, the event does.
    let anna = reader(9);
    let vague = ConsentRecord { since: Timestamp::from_millis(0), ..says(true, 3, 0) };
    for record in [vague, records[2], vague] {
        graph.set_consent(anna, &record).await.expect("a consent is put on record");
    }
    assert_eq!(graph.consent_of(anna).await.expect("the graph answers"), Some(Standing::Said(records[2])));
}

pub(super) async fn a_withdrawal_deletes_what_is_kept_about_the_reader(graph: Graph) {
    let anna = reader(1);
    consents(&graph, anna).await;
    reads(&graph, anna, 1, 10, &["budget"]).await;
    let half = Consent { personalisation: true, history: false };
    let record = ConsentRecord { consent: half, version: 2, since: at(20) };
    graph.set_consent(anna, &record).await.expect("a consent is put on record");
    assert!(liked(&graph, anna).await.is_empty());
    assert_eq!(graph.readers_of(&label("budget"), 10).await.expect("readers"), []);
    assert_eq!(visits(&graph).await, 0);
}

pub(super) async fn a_new_permission_keeps_only_what_was_read_under_it(graph: Graph) {
    let anna = reader(1);
    consents(&graph, anna).await;
    reads(&graph, anna, 1, 10, &["before"]).await;
    reads(&graph, anna, 2, 90, &["both"]).await;
    // These come before word of the second permission does. The first of them now counts: what kept it from it is gone.
    reads(&graph, anna, 2, 105, &["both"]).await;
    reads(&graph, anna, 3, 110, &["after"]).await;
    graph.set_consent(anna, &says(true, 3, 100)).await.expect("a consent is put on record");
    let ben = reader(2);
    graph.set_consent(ben, &says(true, 3, 100)).await.expect("a consent is put on record");
    reads(&graph, ben, 2, 105, &["both"]).await;
    reads(&graph, ben, 3, 110, &["after"]).await;
    assert_eq!(liked(&graph, anna).await, liked(&graph, ben).await);
    assert_eq!(counts(&graph, anna).await, told(&[("after", 1), ("both", 1)]));
}

pub(super) async fn a_consent_that_comes_after_the_erasure_adds_nothing(graph: Graph) {
    let anna = reader(1);
    graph.erase(anna, at(10)).await.expect("erases");
    graph.set_consent(anna, &says(true, 9, 20)).await.expect("a consent is put on record");
    assert_eq!(graph.consent_of(anna).await.expect("the graph answers"), Some(Standing::Erased));
    assert_eq!(reads(&graph, anna, 1, 30, &["budget"]).await, Recorded::Refused);
}

pub(super) async fn of_a_reader_never_heard_of_there_is_no_standing(graph: Graph) {
    consents(&graph, reader(1)).await;
    assert_eq!(graph.consent_of(reader(2)).await.expect("the graph answers"), None);
}

pub(super) async fn erasure_deletes_edges_visits_and_consent(graph: Graph) {
    let anna = reader(1);
    consents(&graph, anna).await;
    reads(&graph, anna, 1, 10, &["budget"]).await;
    graph.erase(anna, at(20)).await.expect("erases");
    assert!(liked(&graph, anna).await.is_empty());
    assert_eq!(graph.readers_of(&label("budget"), 10).await.expect("readers"), []);
    assert_eq!(graph.consent_of(anna).await.expect("the graph answers"), Some(Standing::Erased));
    assert_eq!(visits(&graph).await, 0);
}

pub(super) async fn erasing_twice_is_erasing_once(graph: Graph) {
    let anna = reader(1);
    for minutes in [10, 20, 10] {
        graph.erase(anna, at(minutes)).await.expect("erases");
    }
    assert_eq!(graph.consent_of(anna).await.expect("the graph answers"), Some(Standing::Erased));
}

pub(super) async fn forgotten_visits_leave_the_tastes_as_they_are(graph: Graph) {
    let anna = reader(1);
    consents(&graph, anna).await;
    for minutes in [0, 40, 80, 120] {
        reads(&graph, anna, 1, minutes, &["budget"]).await;
    }
    let before = liked(&graph, anna).await;
    assert_eq!(graph.forget_visits(at(100), 2).await.expect("forgets"), 2);
    assert_eq!(graph.forget_visits(at(100), 2).await.expect("forgets"), 1);
    assert_eq!(graph.forget_visits(at(100), 2).await.expect("forgets"), 0);
    assert_eq!(liked(&graph, anna).await, before);
    // What is needed for the rule within what is kept is still there.
    reads(&graph, anna, 1, 125, &["budget"]).await;
    assert_eq!(counts(&graph, anna).await, told(&[("budget", 4)]));
}

enum Fact {
    Read(Reading),
    Said(UserId, ConsentRecord),
    Erased(UserId),
}

async fn deliver(graph: &Graph, fact: &Fact) {
    match fact {
        Fact::Read(reading) => drop(graph.record_read(reading).await.expect("the graph answers")),
        Fact::Said(by, record) => graph.set_consent(*by, record).await.expect("the graph answers"),
        Fact::Erased(by) => graph.erase(*by, at(500)).await.expect("the graph answers"),
    }
}

/// What happens to one reader: they consent, withdraw, consent again, and read all the time; `erased` at the end or not.
fn story(of: UserId, erased: bool) -> Vec<Fact> {
    let mut facts: Vec<Fact> = [says(true, 1, 0), says(false, 2, 100), says(true, 3, 200)]
        .into_iter()
        .map(|record| Fact::Said(of, record))
        .collect();
    for minutes in (1..400_i64).step_by(11) {
        let article = 1 + u128::from(minutes.unsigned_abs() % 3);
        let labels: &[&str] = if minutes % 2 == 0 { &["even", "all"] } else { &["all"] };
        facts.push(Fact::Read(reading(of, article, minutes, labels)));
    }
    facts.extend(erased.then_some(Fact::Erased(of)));
    facts
}

/// The same in an order that only `seed` decides (SplitMix64).
fn shuffled<T>(mut items: Vec<T>, seed: u64) -> Vec<T> {
    let mut state = seed;
    for last in (1..items.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let place = (mixed ^ (mixed >> 31)) % (last as u64 + 1);
        items.swap(last, usize::try_from(place).expect("an index"));
    }
    items
}

pub(super) async fn facts_in_any_order_and_number_end_the_same(graph: Graph) {
    let orderly = reader(1);
    for fact in story(orderly, false) {
        deliver(&graph, &fact).await;
    }
    let expected = liked(&graph, orderly).await;
    assert_eq!(expected.len(), 2);
    for seed in 2..8 {
        let (chaotic, erased) = (reader(seed), reader(seed + 100));
        let facts =
            (0..3).flat_map(|_| story(chaotic, false).into_iter().chain(story(erased, true))).collect();
        for fact in shuffled(facts, u64::try_from(seed).expect("small")) {
            deliver(&graph, &fact).await;
        }
        // What was refused before word of the consent came, comes once more; so it does when users is asked.
        for fact in shuffled(story(chaotic, false), 77) {
            deliver(&graph, &fact).await;
        }
        assert_eq!(liked(&graph, chaotic).await, expected, "seed {seed}");
        assert!(liked(&graph, erased).await.is_empty(), "seed {seed}");
    }
}

pub(super) async fn what_one_reader_does_changes_nothing_about_another(graph: Graph) {
    let (anna, ben) = (reader(1), reader(2));
    consents(&graph, anna).await;
    consents(&graph, ben).await;
    reads(&graph, anna, 1, 10, &["budget"]).await;
    let before = liked(&graph, anna).await;
    reads(&graph, ben, 1, 11, &["budget"]).await;
    graph.set_consent(ben, &says(false, 2, 20)).await.expect("a consent is put on record");
    graph.erase(ben, at(30)).await.expect("erases");
    assert_eq!(liked(&graph, anna).await, before);
    assert_eq!(graph.readers_of(&label("budget"), 10).await.expect("readers"), [anna]);
    assert_eq!(
        graph.consent_of(anna).await.expect("the graph answers"),
        Some(Standing::Said(says(true, 1, 0)))
    );
}
