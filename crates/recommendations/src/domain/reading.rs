use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kernel::{ArticleId, Code, Fault, Kind, Label, MatchedLabel, MessageId, TextError, Timestamp, UserId};

use super::Taste;

/// A reader and an article count once in so long.
pub const WINDOW: Duration = Duration::from_secs(30 * 60);

/// How late a reading may come and still count: what is needed to count it once is not kept much longer.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How far the clocks of two services may lie apart.
pub const SKEW: Duration = Duration::from_secs(5 * 60);

/// The most labels an article has.
pub const MAX_LABELS: usize = 20;

const MINUTE: i64 = 60 * 1000;

/// A reader read an article: the fact, before anybody has asked whether it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The message that said so.
    pub message: MessageId,
    /// Who read.
    pub reader: UserId,
    /// What they read.
    pub article: ArticleId,
    /// What it is about; each label once, whatever its spellings.
    pub labels: BTreeSet<MatchedLabel>,
    /// When.
    pub at: Timestamp,
}

/// Why a message about a reading can't be true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadingFault {
    /// It can't be decoded, or lacks an id.
    #[error("the message is no reading of an article")]
    Unreadable,
    /// A label breaks the rules of labels, or there are more than [`MAX_LABELS`].
    #[error("the article's labels break the rules of labels")]
    Labels,
    /// It lies further ahead than clocks may differ.
    #[error("the reading lies in the future")]
    Future,
}

impl Fault for ReadingFault {
    fn kind(&self) -> Kind {
        match self {
            ReadingFault::Unreadable => Kind::Malformed,
            ReadingFault::Labels | ReadingFault::Future => Kind::Invalid,
        }
    }

    fn code(&self) -> Code {
        Code::new(match self {
            ReadingFault::Unreadable => "unreadable_message",
            ReadingFault::Labels => "bad_labels",
            ReadingFault::Future => "reading_in_the_future",
        })
    }
}

impl Reading {
    /// Parses the labels that an author typed: each counts once, however often and in however many spellings it stands there.
    ///
    /// # Errors
    /// [`ReadingFault::Labels`]. One that can't be seen is left out: articles of an older program may have such.
    pub fn labels<'a>(
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

    /// True where it comes too late to count.
    pub fn is_late(&self, now: Timestamp) -> bool {
        now.since(self.at) > KEPT
    }

    /// True where no honest clock can have said so yet.
    pub fn is_ahead(&self, now: Timestamp) -> bool {
        self.at.since(now) > SKEW
    }
}

/// The minute of a moment, counted from the Unix epoch.
pub fn minute_of(at: Timestamp) -> i64 {
    at.millis().div_euclid(MINUTE)
}

/// What is kept of one reader's readings of one article in one minute: somebody who reloads a page all day leaves a
/// bounded trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The first reading of the minute: the only one that can count.
    pub first_at: Timestamp,
    /// The last reading of the minute.
    pub last_at: Timestamp,
    /// The message that told of the first reading.
    pub message: MessageId,
    /// The labels of the first reading.
    pub labels: BTreeSet<MatchedLabel>,
    /// Whether it counts.
    pub counted: bool,
}

impl Visit {
    fn of(reading: &Reading) -> Self {
        Self {
            first_at: reading.at,
            last_at: reading.at,
            message: reading.message,
            labels: reading.labels.clone(),
            counted: false,
        }
    }

    /// Takes in another reading of the same minute. Of two in one millisecond the smaller message id is the first, so
    /// that the order of delivery does not matter.
    fn merge(&mut self, reading: &Reading) {
        self.last_at = self.last_at.max(reading.at);
        if (reading.at, reading.message) < (self.first_at, self.message) {
            self.first_at = reading.at;
            self.message = reading.message;
            self.labels.clone_from(&reading.labels);
        }
    }

    /// The readings that are known of the minute: the first, and the last where it was another.
    pub fn readings(&self, reader: UserId, article: ArticleId) -> Vec<Reading> {
        let told = |at| Reading { message: self.message, reader, article, labels: self.labels.clone(), at };
        let mut readings = vec![told(self.first_at)];
        readings.extend((self.last_at > self.first_at).then(|| told(self.last_at)));
        readings
    }
}

/// What one more reading changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recount {
    /// Visits that are new or different: to be kept in place of what is kept of their minutes.
    pub changed: Vec<Visit>,
    /// Visits as they were that counted and do not count any more.
    pub discounted: Vec<Visit>,
    /// Visits as they are now that did not count and do.
    pub counted: Vec<Visit>,
}

impl Recount {
    /// The labels whose edges may change.
    pub fn labels<'a>(&'a self, reading: &'a Reading) -> BTreeSet<&'a MatchedLabel> {
        let told = self.discounted.iter().chain(&self.counted).flat_map(|visit| &visit.labels);
        reading.labels.iter().chain(told).collect()
    }

    /// The edges that are new or different, in the order of their labels. `known` holds what there is of the reader's edges
    /// to [`Recount::labels`].
    pub fn settle(&self, reading: &Reading, known: &BTreeMap<MatchedLabel, Taste>) -> Vec<Taste> {
        let met = |label: &MatchedLabel| Taste::met(label.clone(), reading.at);
        let mut tastes: BTreeMap<&MatchedLabel, Taste> = self
            .labels(reading)
            .into_iter()
            .map(|label| (label, known.get(label).cloned().unwrap_or_else(|| met(label))))
            .collect();
        for label in &reading.labels {
            tastes.get_mut(label).into_iter().for_each(|taste| taste.see(label, reading.at));
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
        let is_as_kept = |taste: &Taste| {
            let kept = known.get(taste.label());
            kept.is_some_and(|kept| kept == taste && kept.label().typed() == taste.label().typed())
        };
        tastes.into_values().filter(|taste| !is_as_kept(taste)).collect()
    }
}

/// The rule "once per reader and article in 30 minutes", made independent of the order in which readings arrive.
///
/// Of all visits of a reader to an article, in the order of time, one counts where the last that counted lies
/// [`WINDOW`] or more before it. A reading that was delivered late can therefore take its count from one that was
/// delivered before it, and give one to a third. `visits` are those that are kept, in any order; of what lies more than
/// a window before the reading's minute nothing is needed.
pub fn recount(visits: &[Visit], reading: &Reading) -> Recount {
    let minute = minute_of(reading.at);
    let mut before = visits.to_vec();
    before.sort_by_key(|visit| visit.first_at);
    let mut after = before.clone();
    match after.iter_mut().find(|visit| minute_of(visit.first_at) == minute) {
        Some(visit) => visit.merge(reading),
        None => {
            let place = after.partition_point(|visit| visit.first_at < reading.at);
            after.insert(place, Visit::of(reading));
        }
    }
    // Readings can only change what comes after them, so earlier visits keep their verdicts: they may rest on visits
    // that are not kept any more.
    let mut last_counted: Option<Timestamp> = None;
    for visit in &mut after {
        if minute_of(visit.first_at) >= minute {
            visit.counted = last_counted.is_none_or(|last| visit.first_at.since(last) >= WINDOW);
        }
        if visit.counted {
            last_counted = Some(visit.first_at);
        }
    }
    differences(&before, &after)
}

/// Both lists hold at most one visit a minute, and every minute of `before` is in `after`.
fn differences(before: &[Visit], after: &[Visit]) -> Recount {
    let mut recount = Recount::default();
    for now in after {
        let minute = minute_of(now.first_at);
        let was = before.iter().find(|visit| minute_of(visit.first_at) == minute);
        if was == Some(now) {
            continue;
        }
        recount.changed.push(now.clone());
        let told_alike = was.is_some_and(|was| (was.first_at, &was.labels) == (now.first_at, &now.labels));
        let was_counted = was.filter(|was| was.counted);
        if told_alike && was_counted.is_some() == now.counted {
            continue;
        }
        recount.discounted.extend(was_counted.cloned());
        recount.counted.extend(Some(now).filter(|now| now.counted).cloned());
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
            labels: Reading::labels(["budget"]).expect("labels"),
            at: Timestamp::from_millis(START + at),
        }
    }

    /// The visits that are kept after these readings were delivered in this order.
    fn delivered(readings: &[Reading]) -> Vec<Visit> {
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

    fn counted(visits: &[Visit]) -> Vec<i64> {
        visits.iter().filter(|visit| visit.counted).map(|visit| visit.first_at.millis() - START).collect()
    }

    #[test]
    fn a_reading_counts_again_after_thirty_minutes_and_not_before() {
        let minutes = |list: &[i64]| -> Vec<Reading> {
            list.iter().zip(1..).map(|(minute, number)| reading(number, minute * MINUTE)).collect()
        };
        assert_eq!(counted(&delivered(&minutes(&[0, 29]))), [0]);
        assert_eq!(counted(&delivered(&minutes(&[0, 30]))), [0, 30 * MINUTE]);
        // The window goes from what counted, not from what was repeated: a reader who reloads is not silenced for ever.
        assert_eq!(counted(&delivered(&minutes(&[0, 20, 40, 60]))), [0, 40 * MINUTE]);
    }

    #[test]
    fn a_late_delivery_takes_the_count_from_a_repetition() {
        let readings = [reading(1, 20 * MINUTE), reading(2, 40 * MINUTE), reading(3, 0)];
        let visits = delivered(&readings[..2]);
        assert_eq!(counted(&visits), [20 * MINUTE]);
        let change = recount(&visits, &readings[2]);
        assert_eq!(counted(&change.counted), [0, 40 * MINUTE]);
        assert_eq!(change.discounted.len(), 1);
    }

    #[test]
    fn labels_are_each_counted_once_and_parsed() {
        assert_eq!(Reading::labels(["a", "b", "a"]).map(|labels| labels.len()), Ok(2));
        let spellings = Reading::labels(["Zürich", "ZU\u{308}RICH ", "\u{3164}"]).expect("labels");
        assert_eq!(spellings.iter().map(ToString::to_string).collect::<Vec<_>>(), ["Zürich"]);
        assert_eq!(Reading::labels(["a\u{0}b"]), Err(ReadingFault::Labels));
        let many: Vec<String> = (0..=MAX_LABELS).map(|n| n.to_string()).collect();
        assert_eq!(Reading::labels(many.iter().map(String::as_str)), Err(ReadingFault::Labels));
    }

    fn readings() -> impl Strategy<Value = Vec<Reading>> {
        prop::collection::vec(0..3 * 60 * 60 * SECOND, 1..40)
            .prop_map(|moments| moments.iter().zip(1..).map(|(at, number)| reading(number, *at)).collect())
    }

    proptest! {
        #[test]
        fn deliveries_in_any_order_and_number_count_the_same(
            (shuffled, readings) in readings().prop_flat_map(|readings| {
                let thrice: Vec<Reading> = readings.iter().cycle().take(readings.len() * 3).cloned().collect();
                (Just(thrice).prop_shuffle(), Just(readings))
            }),
        ) {
            prop_assert_eq!(delivered(&shuffled), delivered(&readings));
        }

        #[test]
        fn no_two_that_count_lie_within_a_window(readings in readings()) {
            let counted = counted(&delivered(&readings));
            let window = i64::try_from(WINDOW.as_millis()).expect("small");
            prop_assert!(counted.windows(2).all(|pair| pair[1] - pair[0] >= window));
        }

        #[test]
        fn nothing_is_left_uncounted_without_a_reason(readings in readings()) {
            // Whatever is not counted lies within a window after something that is, or within the minute of a visit.
            let visits = delivered(&readings);
            let counted = counted(&visits);
            let window = i64::try_from(WINDOW.as_millis()).expect("small");
            for visit in visits.iter().filter(|visit| !visit.counted) {
                let at = visit.first_at.millis() - START;
                prop_assert!(counted.iter().any(|last| *last <= at && at - last < window));
            }
        }

        #[test]
        fn what_is_kept_is_bounded_by_minutes(readings in readings()) {
            prop_assert!(delivered(&readings).len() <= 3 * 60 + 1);
        }
    }
}
