use std::time::Duration;

use kernel::{MatchedLabel, Timestamp};

/// The time in which a weight halves: 14 days.
pub const HALF_LIFE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The edge from a reader to a label: how much they like it.
///
/// Each counted reading weighs 1 at its moment and halves every [`HALF_LIFE`]. The decay is lazy: the sum at
/// `last_read_at` is stored, and the weight at any later moment is computed. The decay is exponential, so
/// readings may be added and removed in any order; the sum is the same, apart from rounding.
#[derive(Debug, Clone, PartialEq)]
pub struct Taste {
    label: MatchedLabel,
    weight: f64,
    reads: u32,
    last_read_at: Timestamp,
}

impl Taste {
    /// Creates the edge to a label that was first read at `at` and has not counted yet.
    pub fn new(label: MatchedLabel, at: Timestamp) -> Self {
        Self { label, weight: 0.0, reads: 0, last_read_at: at }
    }

    /// Restores an edge from the store. `weight` is the weight at `last_read_at`.
    pub fn from_store(label: MatchedLabel, weight: f64, reads: u32, last_read_at: Timestamp) -> Self {
        Self { label, weight: weight.max(0.0), reads, last_read_at }
    }

    /// Returns the label, as it was spelled in the last reading.
    pub fn label(&self) -> &MatchedLabel {
        &self.label
    }

    /// Returns the number of readings that counted.
    pub const fn reads(&self) -> u32 {
        self.reads
    }

    /// Returns the moment of the last reading with this label, whether it counted or was a repetition.
    pub const fn last_read_at(&self) -> Timestamp {
        self.last_read_at
    }

    /// Returns the weight at [`Taste::last_read_at`], which is the weight that is stored.
    pub const fn stored_weight(&self) -> f64 {
        self.weight
    }

    /// Returns the weight at `now`, which is never negative. Before the last reading it is the stored weight.
    pub fn weight_at(&self, now: Timestamp) -> f64 {
        self.weight * decay(now.since(self.last_read_at))
    }

    /// Returns a number that orders any two edges by weight, at every moment. It is the base-2 logarithm of
    /// the weight that the edge would have had at the Unix epoch: the weight at `t` is `2^(rank - t /
    /// half-life)`. An edge without a weight comes last. The stores keep it
    /// as `heft`.
    pub fn weight_rank(&self) -> f64 {
        if self.weight > 0.0 {
            self.weight.log2() + half_lives_since_epoch(self.last_read_at)
        } else {
            f64::MIN
        }
    }

    /// Notes a reading at `at` with this spelling of the label, whether it counts or not.
    pub fn note_reading(&mut self, label: &MatchedLabel, at: Timestamp) {
        // If two readings share a moment, the smaller spelling is shown, so the order of delivery does not
        // matter.
        if at > self.last_read_at || (at == self.last_read_at && label.typed() < self.label.typed()) {
            self.label = label.clone();
        }
        self.advance(at);
    }

    fn advance(&mut self, at: Timestamp) {
        if at > self.last_read_at {
            self.weight *= decay(at.since(self.last_read_at));
            self.last_read_at = at;
        }
    }

    /// Adds the weight of a reading at `at`, which counts.
    pub fn count(&mut self, at: Timestamp) {
        self.advance(at);
        self.weight += decay(self.last_read_at.since(at));
        self.reads = self.reads.saturating_add(1);
    }

    /// Removes the weight of a reading at `at`, because an earlier reading was delivered later and counts
    /// instead.
    pub fn discount(&mut self, at: Timestamp) {
        self.advance(at);
        self.reads = self.reads.saturating_sub(1);
        let rest = self.weight - decay(self.last_read_at.since(at));
        // Rounding may leave a tiny rest, also below zero.
        self.weight = if self.reads == 0 { 0.0 } else { rest.max(0.0) };
    }
}

impl Taste {
    /// Joins two edges of one reader to spellings of one label. All readings of both count.
    pub fn join(mut self, other: &Self) -> Self {
        self.note_reading(&other.label, other.last_read_at);
        self.weight += other.weight_at(self.last_read_at);
        self.reads = self.reads.saturating_add(other.reads);
        self
    }
}

/// Returns the rest of a weight of 1 after `age`.
fn decay(age: Duration) -> f64 {
    (-age.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2()
}

/// Returns a moment as a number of half-lives. The milliseconds fit 53 bits for 280,000 years.
fn half_lives_since_epoch(at: Timestamp) -> f64 {
    at.millis() as f64 / HALF_LIFE.as_millis() as f64
}

#[cfg(test)]
mod tests {
    use kernel::Label;
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_790_000_000_000;
    const DAY: i64 = 24 * 60 * 60 * 1000;

    fn label() -> MatchedLabel {
        Label::parse("budget").expect("a label").into()
    }

    fn taste_of(moments: &[i64]) -> Taste {
        let mut taste = Taste::new(label(), Timestamp::from_millis(moments[0]));
        moments.iter().for_each(|at| taste.count(Timestamp::from_millis(*at)));
        taste
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
    }

    #[test]
    fn a_weight_halves_in_fourteen_days() {
        let taste = taste_of(&[START]);
        assert!(near(taste.weight_at(Timestamp::from_millis(START)), 1.0));
        assert!(near(taste.weight_at(Timestamp::from_millis(START + 14 * DAY)), 0.5));
        assert!(near(taste.weight_at(Timestamp::from_millis(START + 28 * DAY)), 0.25));
    }

    #[test]
    fn a_label_is_shown_as_it_was_spelled_last_in_any_order_of_delivery() {
        let spelled = |text: &str| MatchedLabel::from(Label::parse(text).expect("a label"));
        let readings = [("Budget", START), ("BUDGET", START + DAY), ("budget ", START + DAY)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let (first, at) = readings[order[0]];
            let mut taste = Taste::new(spelled(first), Timestamp::from_millis(at));
            for (text, at) in order.map(|index| readings[index]) {
                taste.note_reading(&spelled(text), Timestamp::from_millis(at));
            }
            assert_eq!(taste.label().to_string(), "BUDGET");
        }
    }

    #[test]
    fn a_clock_that_goes_back_does_not_raise_a_weight() {
        assert!(near(taste_of(&[START]).weight_at(Timestamp::from_millis(START - DAY)), 1.0));
    }

    fn moments() -> impl Strategy<Value = Vec<i64>> {
        prop::collection::vec(START..START + 200 * DAY, 1..40)
    }

    proptest! {
        #[test]
        fn the_order_of_readings_does_not_matter(moments in moments(), seed in any::<u64>()) {
            let mut shuffled = moments.clone();
            shuffled.sort_by_key(|at| (*at).unsigned_abs().wrapping_mul(seed | 1).rotate_left(17));
            let (one, other) = (taste_of(&moments), taste_of(&shuffled));
            prop_assert_eq!((one.reads(), one.last_read_at()), (other.reads(), other.last_read_at()));
            prop_assert!(near(one.stored_weight(), other.stored_weight()));
        }

        #[test]
        fn two_joined_edges_weigh_as_much_as_one_edge_with_all_readings(a in moments(), b in moments()) {
            let joined = taste_of(&a).join(&taste_of(&b));
            let all = taste_of(&[a, b].concat());
            prop_assert_eq!((joined.reads(), joined.last_read_at()), (all.reads(), all.last_read_at()));
            prop_assert!(near(joined.stored_weight(), all.stored_weight()));
        }

        #[test]
        fn a_weight_is_the_sum_of_the_decayed_weights_of_its_readings(moments in moments(), later in 0..400 * DAY) {
            let now = Timestamp::from_millis(START + 200 * DAY + later);
            let sum: f64 = moments.iter().map(|at| decay(now.since(Timestamp::from_millis(*at)))).sum();
            prop_assert!(near(taste_of(&moments).weight_at(now), sum));
        }

        #[test]
        fn a_weight_is_never_negative_and_never_more_than_the_reads(
            moments in moments(),
            removed in prop::collection::vec(START..START + 200 * DAY, 0..60),
            now in START..START + 900 * DAY,
        ) {
            let mut taste = taste_of(&moments);
            removed.iter().for_each(|at| taste.discount(Timestamp::from_millis(*at)));
            let weight = taste.weight_at(Timestamp::from_millis(now));
            prop_assert!(weight >= 0.0 && weight.is_finite());
            prop_assert!(taste.reads() > 0 || weight == 0.0);
            prop_assert!(taste_of(&moments).weight_at(Timestamp::from_millis(now)) <= moments.len() as f64 + 1e-9);
        }

        #[test]
        fn a_removed_reading_leaves_the_weight_as_it_was_before(moments in moments(), more in START..START + 200 * DAY) {
            let mut taste = taste_of(&moments);
            taste.count(Timestamp::from_millis(more));
            taste.discount(Timestamp::from_millis(more));
            let now = Timestamp::from_millis(START + 300 * DAY);
            prop_assert_eq!(taste.reads() as usize, moments.len());
            prop_assert!(near(taste.weight_at(now), taste_of(&moments).weight_at(now)));
        }

        #[test]
        fn the_weight_rank_orders_edges_as_their_weights_do_at_any_moment(
            a in moments(),
            b in moments(),
            later in 0..300 * DAY,
        ) {
            let now = Timestamp::from_millis(START + 200 * DAY + later);
            let (a, b) = (taste_of(&a), taste_of(&b));
            prop_assume!((a.weight_rank() - b.weight_rank()).abs() > 1e-9);
            prop_assert_eq!(a.weight_rank() > b.weight_rank(), a.weight_at(now) > b.weight_at(now));
        }
    }
}
