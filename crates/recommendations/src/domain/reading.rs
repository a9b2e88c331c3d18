use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kernel::{ArticleId, Class, Fault, Kind, Label, MatchedLabel, MessageId, TextError, Timestamp, UserId};

use super::Taste;

/// The period in which a reader and an article count once.
pub const COUNT_WINDOW: Duration = Duration::from_secs(30 * 60);

/// The latest arrival of a reading that still counts. The data that is needed to count it once is not kept
/// much longer.
pub const MAX_LATENESS: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The largest difference between the clocks of two services.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// The largest number of labels of an article.
const MAX_LABELS: usize = 20;

const MINUTE: i64 = 60 * 1000;

/// One read of an article by a reader, before it is known whether it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The id of the message that reported it.
    pub message: MessageId,
    /// The account of the reader.
    pub reader: UserId,
    /// The article that was read.
    pub article: ArticleId,
    /// The labels of the article. Each label occurs once, whatever its spellings.
    pub labels: BTreeSet<MatchedLabel>,
    /// The moment of the read.
    pub at: Timestamp,
}

/// A fault that makes the message about a reading unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadingFault {
    /// The message can't be decoded, or an id is missing or malformed.
    #[error("the message is not a valid reading of an article")]
    Unreadable,
    /// A label breaks the rules of labels, or there are more than `MAX_LABELS`.
    #[error("the article's labels break the rules of labels")]
    Labels,
    /// The reading is further in the future than clocks may differ.
    #[error("the reading is in the future")]
    Future,
}

impl Fault for ReadingFault {
    fn classify(&self) -> Class<'_> {
        match self {
            ReadingFault::Unreadable => Class::own(Kind::Malformed, "unreadable_message"),
            ReadingFault::Labels => Class::own(Kind::Invalid, "bad_labels"),
            ReadingFault::Future => Class::own(Kind::Invalid, "reading_in_the_future"),
        }
    }
}

impl Reading {
    /// Parses the labels that an author typed. Each label counts once, even if it is repeated in several
    /// spellings. A label that can't be seen is left out, because articles of an older program may have such
    /// labels.
    ///
    /// # Errors
    /// Fails with [`ReadingFault::Labels`] if a label is not valid, or if there are too many.
    pub fn parse_labels<'a>(
        typed: impl IntoIterator<Item = &'a str>,
    ) -> Result<BTreeSet<MatchedLabel>, ReadingFault> {
        let mut labels = BTreeSet::new();
        for typed in typed {
            match Label::parse(typed) {
                // The first spelling stays.
                Ok(label) => drop(labels.insert(MatchedLabel::from(label))),
                Err(TextError::Empty) => {}
                Err(_) => return Err(ReadingFault::Labels),
            }
        }
        Some(labels).filter(|labels| labels.len() <= MAX_LABELS).ok_or(ReadingFault::Labels)
    }

    /// Returns true if the reading arrives too late to count.
    pub fn is_late(&self, now: Timestamp) -> bool {
        now.since(self.at) > MAX_LATENESS
    }

    /// Returns true if the moment lies in the future by more than clocks may differ.
    pub fn is_in_the_future(&self, now: Timestamp) -> bool {
        self.at.since(now) > MAX_CLOCK_SKEW
    }
}

/// Returns the minute of a moment, counted from the Unix epoch.
pub fn minute_of(at: Timestamp) -> i64 {
    at.millis().div_euclid(MINUTE)
}

/// One reader's readings of one article in one minute, as they are kept. A reader who reloads a page all day
/// leaves a bounded amount of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The first reading of the minute: the only one that can count.
    pub first_at: Timestamp,
    /// The last reading of the minute.
    pub last_at: Timestamp,
    /// The id of the message that reported the first reading.
    pub message: MessageId,
    /// The labels of the first reading.
    pub labels: BTreeSet<MatchedLabel>,
    /// True if the visit counts.
    pub counted: bool,
}

/// The key of a visit among those of its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct VisitKey {
    /// The article.
    pub article: ArticleId,
    /// The minute, counted from the epoch.
    pub minute: i64,
}

impl Visit {
    /// Creates the visit of a minute with one reading, which does not count yet.
    fn first(reading: &Reading) -> Self {
        Self {
            first_at: reading.at,
            last_at: reading.at,
            message: reading.message,
            labels: reading.labels.clone(),
            counted: false,
        }
    }

    /// Adds another reading of the same minute. If two readings share a millisecond, the one with the smaller
    /// message id is the first, so that the order of delivery does not matter.
    fn merge(&mut self, reading: &Reading) {
        self.last_at = self.last_at.max(reading.at);
        if (reading.at, reading.message) < (self.first_at, self.message) {
            self.first_at = reading.at;
            self.message = reading.message;
            self.labels.clone_from(&reading.labels);
        }
    }

    /// Returns the readings that are known of the minute: the first, and the last if it is a different one.
    pub fn readings(&self, reader: UserId, article: ArticleId) -> Vec<Reading> {
        let reading_at =
            |at| Reading { message: self.message, reader, article, labels: self.labels.clone(), at };
        let mut readings = vec![reading_at(self.first_at)];
        readings.extend((self.last_at > self.first_at).then(|| reading_at(self.last_at)));
        readings
    }
}

/// The changes that one more reading makes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recount {
    /// Visits that are new or changed. Each replaces the stored visit of its minute.
    pub changed: Vec<Visit>,
    /// Visits that counted and no longer count, in their old state.
    pub discounted: Vec<Visit>,
    /// Visits that count now and did not count before, in their new state.
    pub counted: Vec<Visit>,
}

impl Recount {
    /// Returns the labels whose edges may change.
    pub fn labels<'a>(&'a self, reading: &'a Reading) -> BTreeSet<&'a MatchedLabel> {
        let recounted = self.discounted.iter().chain(&self.counted).flat_map(|visit| &visit.labels);
        reading.labels.iter().chain(recounted).collect()
    }

    /// Returns the edges that are new or changed, in the order of their labels. `known` contains the reader's
    /// existing edges to [`Recount::labels`].
    pub fn changed_tastes(&self, reading: &Reading, known: &BTreeMap<MatchedLabel, Taste>) -> Vec<Taste> {
        let new_taste = |label: &MatchedLabel| Taste::new(label.clone(), reading.at);
        let mut tastes: BTreeMap<&MatchedLabel, Taste> = self
            .labels(reading)
            .into_iter()
            .map(|label| (label, known.get(label).cloned().unwrap_or_else(|| new_taste(label))))
            .collect();
        for label in &reading.labels {
            tastes.get_mut(label).into_iter().for_each(|taste| taste.note_reading(label, reading.at));
        }
        let mut change = |labels: &BTreeSet<MatchedLabel>, change: &dyn Fn(&mut Taste)| {
            for label in labels {
                tastes.get_mut(label).into_iter().for_each(change);
            }
        };
        for visit in &self.discounted {
            change(&visit.labels, &|taste| taste.discount(visit.first_at));
        }
        for visit in &self.counted {
            change(&visit.labels, &|taste| taste.count(visit.first_at));
        }
        let is_unchanged = |taste: &Taste| {
            let stored = known.get(taste.label());
            stored.is_some_and(|stored| stored == taste && stored.label().typed() == taste.label().typed())
        };
        tastes.into_values().filter(|taste| !is_unchanged(taste)).collect()
    }
}

/// Applies the rule "once per reader and article in 30 minutes", independently of the order in which readings
/// arrive.
///
/// The visits of a reader to an article are looked at in the order of time. A visit counts if the last visit
/// that counted is [`COUNT_WINDOW`] or more before it. So a reading that is delivered late can take the count
/// from a reading that was delivered earlier, and give a count to a third. `visits` are the stored visits, in
/// any order. Visits more than a window before the minute of the reading are not needed.
pub fn recount(visits: &[Visit], reading: &Reading) -> Recount {
    let minute = minute_of(reading.at);
    let mut before = visits.to_vec();
    before.sort_by_key(|visit| visit.first_at);
    let mut after = before.clone();
    match after.iter_mut().find(|visit| minute_of(visit.first_at) == minute) {
        Some(visit) => visit.merge(reading),
        None => {
            let index = after.partition_point(|visit| visit.first_at < reading.at);
            after.insert(index, Visit::first(reading));
        }
    }
    // A reading can only change visits after it. Earlier visits keep their result, which may depend on visits
    // that are no longer stored.
    let mut last_counted: Option<Timestamp> = None;
    for visit in &mut after {
        if minute_of(visit.first_at) >= minute {
            visit.counted = last_counted.is_none_or(|last| visit.first_at.since(last) >= COUNT_WINDOW);
        }
        if visit.counted {
            last_counted = Some(visit.first_at);
        }
    }
    differences(&before, &after)
}

/// Compares two lists of visits. Both contain at most one visit for each minute, and `after` contains every
/// minute of `before`.
fn differences(before: &[Visit], after: &[Visit]) -> Recount {
    let mut recount = Recount::default();
    for new in after {
        let minute = minute_of(new.first_at);
        let old = before.iter().find(|visit| minute_of(visit.first_at) == minute);
        if old == Some(new) {
            continue;
        }
        recount.changed.push(new.clone());
        let is_same_reading =
            old.is_some_and(|old| (old.first_at, &old.labels) == (new.first_at, &new.labels));
        let old_count = old.filter(|old| old.counted);
        if is_same_reading && old_count.is_some() == new.counted {
            continue;
        }
        recount.discounted.extend(old_count.cloned());
        recount.counted.extend(Some(new).filter(|new| new.counted).cloned());
    }
    recount
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const START: i64 = 1_790_000_000_000;
    const SECOND: i64 = 1000;

    fn reading(number: u128, at: i64) -> Reading {
        Reading {
            message: MessageId::new(Uuid::from_u128(number)),
            reader: UserId::new(Uuid::from_u128(1)),
            article: ArticleId::new(Uuid::from_u128(2)),
            labels: Reading::parse_labels(["budget"]).expect("labels"),
            at: Timestamp::from_millis(START + at),
        }
    }

    /// Returns the stored visits after these readings were delivered in this order.
    fn visits_after(readings: &[Reading]) -> Vec<Visit> {
        let mut visits: Vec<Visit> = Vec::new();
        for reading in readings {
            for changed in recount(&visits, reading).changed {
                visits.retain(|visit| minute_of(visit.first_at) != minute_of(changed.first_at));
                visits.push(changed);
            }
        }
        visits.sort_by_key(|visit| visit.first_at);
        visits
    }

    fn counted_at(visits: &[Visit]) -> Vec<i64> {
        visits.iter().filter(|visit| visit.counted).map(|visit| visit.first_at.millis() - START).collect()
    }

    #[test]
    fn a_reading_counts_again_after_thirty_minutes_and_not_before() {
        let minutes = |list: &[i64]| -> Vec<Reading> {
            list.iter().zip(1..).map(|(minute, number)| reading(number, minute * MINUTE)).collect()
        };
        assert_eq!(counted_at(&visits_after(&minutes(&[0, 29]))), [0]);
        assert_eq!(counted_at(&visits_after(&minutes(&[0, 30]))), [0, 30 * MINUTE]);
        // The window starts at the last visit that counted, not at a repetition, so a reader who reloads
        // counts again.
        assert_eq!(counted_at(&visits_after(&minutes(&[0, 20, 40, 60]))), [0, 40 * MINUTE]);
    }

    #[test]
    fn a_late_delivery_takes_the_count_from_a_repetition() {
        let readings = [reading(1, 20 * MINUTE), reading(2, 40 * MINUTE), reading(3, 0)];
        let visits = visits_after(&readings[..2]);
        assert_eq!(counted_at(&visits), [20 * MINUTE]);
        let change = recount(&visits, &readings[2]);
        assert_eq!(counted_at(&change.counted), [0, 40 * MINUTE]);
        assert_eq!(change.discounted.len(), 1);
    }

    #[test]
    fn each_label_is_parsed_and_counted_once() {
        assert_eq!(Reading::parse_labels(["a", "b", "a"]).map(|labels| labels.len()), Ok(2));
        let spellings = Reading::parse_labels(["Zürich", "ZU\u{308}RICH ", "\u{3164}"]).expect("labels");
        assert_eq!(spellings.iter().map(ToString::to_string).collect::<Vec<_>>(), ["Zürich"]);
        assert_eq!(Reading::parse_labels(["a\u{0}b"]), Err(ReadingFault::Labels));
        let many: Vec<String> = (0..=MAX_LABELS).map(|n| n.to_string()).collect();
        assert_eq!(Reading::parse_labels(many.iter().map(String::as_str)), Err(ReadingFault::Labels));
    }

    fn readings() -> impl Strategy<Value = Vec<Reading>> {
        prop::collection::vec(0..3 * 60 * 60 * SECOND, 1..40)
            .prop_map(|moments| moments.iter().zip(1..).map(|(at, number)| reading(number, *at)).collect())
    }

    proptest! {
        #[test]
        fn readings_count_the_same_in_any_order_and_number_of_deliveries(
            (shuffled, readings) in readings().prop_flat_map(|readings| {
                let thrice: Vec<Reading> = readings.iter().cycle().take(readings.len() * 3).cloned().collect();
                (Just(thrice).prop_shuffle(), Just(readings))
            }),
        ) {
            prop_assert_eq!(visits_after(&shuffled), visits_after(&readings));
        }

        #[test]
        fn two_counted_visits_are_at_least_a_window_apart(readings in readings()) {
            let moments = counted_at(&visits_after(&readings));
            let window = i64::try_from(COUNT_WINDOW.as_millis()).expect("small");
            prop_assert!(moments.windows(2).all(|pair| pair[1] - pair[0] >= window));
        }

        #[test]
        fn every_uncounted_visit_lies_within_a_window_after_a_counted_one(readings in readings()) {
            let visits = visits_after(&readings);
            let moments = counted_at(&visits);
            let window = i64::try_from(COUNT_WINDOW.as_millis()).expect("small");
            for visit in visits.iter().filter(|visit| !visit.counted) {
                let at = visit.first_at.millis() - START;
                prop_assert!(moments.iter().any(|last| *last <= at && at - last < window));
            }
        }

        #[test]
        fn at_most_one_visit_is_kept_for_each_minute(readings in readings()) {
            prop_assert!(visits_after(&readings).len() <= 3 * 60 + 1);
        }
    }
}
