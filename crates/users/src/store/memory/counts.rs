//! Counts by bucket in the memory of this process.

use std::time::Duration;

use kernel::Timestamp;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::ports::Count;

/// The most buckets. Beyond them the bucket is evicted that was counted in longest ago. So an attacker who
/// tries a million names makes this neither grow nor forget the accounts under attack.
const BUCKETS: u64 = 100_000;
/// The time for which a bucket stays after its last count, whatever its window.
const IDLE: Duration = Duration::from_secs(3600);

/// A bounded map of counts.
pub struct Counts(Cache<String, Window>);

#[derive(Clone, Copy)]
struct Window {
    begun: Timestamp,
    times: u64,
}

impl Counts {
    /// Creates a map without counts.
    pub fn new() -> Self {
        Self::with_capacity(BUCKETS)
    }

    fn with_capacity(buckets: u64) -> Self {
        let policy = EvictionPolicy::lru();
        Self(Cache::builder().max_capacity(buckets).eviction_policy(policy).time_to_idle(IDLE).build())
    }

    /// Counts one more, and returns the count.
    pub fn count(&self, bucket: &str, window: Duration, now: Timestamp) -> Count {
        let entry = self.0.entry(bucket.to_owned()).and_upsert_with(|there| {
            match there.map(moka::Entry::into_value) {
                Some(current) if now.since(current.begun) < window => {
                    // If the window begins after now, the clock has gone back since: it begins now.
                    Window { times: current.times.saturating_add(1), begun: current.begun.min(now) }
                }
                _ => Window { begun: now, times: 1 },
            }
        });
        let Window { begun, times } = entry.into_value();
        count_in(times, begun, window, now)
    }

    /// Returns the count without counting.
    pub fn current_count(&self, bucket: &str, window: Duration, now: Timestamp) -> u64 {
        self.0.get(bucket).map_or(0, |Window { begun, times }| times_in(times, begun, window, now))
    }
}

/// Returns `times` if the window that began at `begun` has not ended, otherwise 0.
pub fn times_in(times: u64, begun: Timestamp, window: Duration, now: Timestamp) -> u64 {
    if now.since(begun) < window { times } else { 0 }
}

/// Returns the count of a window that began at `begun`. A clock that is behind another replica's makes no
/// window longer.
pub fn count_in(times: u64, begun: Timestamp, window: Duration, now: Timestamp) -> Count {
    Count { times, left: window.saturating_sub(now.since(begun)).max(Duration::from_millis(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const NOW: Timestamp = Timestamp::from_millis(1_763_712_000_123);

    #[test]
    fn a_flood_of_buckets_neither_grows_memory_nor_evicts_a_bucket_that_is_still_counted_in() {
        let counts = Counts::with_capacity(500);
        for number in 0..50_000 {
            counts.count(&format!("login.account:{number}"), MINUTE, NOW);
            if number % 250 == 0 {
                counts.count("the account under attack", MINUTE, NOW);
            }
        }
        counts.0.run_pending_tasks();
        assert!(counts.0.entry_count() <= 500, "{}", counts.0.entry_count());
        assert_eq!(counts.count("the account under attack", MINUTE, NOW).times, 201);
    }

    #[test]
    fn a_clock_that_goes_back_an_hour_makes_no_window_longer() {
        let counts = Counts::new();
        assert_eq!(counts.count("b", MINUTE, NOW).times, 1);
        let back = NOW.minus(Duration::from_secs(3_600));
        assert_eq!(counts.count("b", MINUTE, back), Count { times: 2, left: MINUTE });
        assert_eq!(counts.count("b", MINUTE, back.plus(MINUTE)).times, 1);
    }

    #[test]
    fn a_clock_that_is_behind_makes_no_window_longer() {
        let behind = NOW.minus(Duration::from_secs(5));
        assert_eq!(count_in(1, NOW, MINUTE, behind).left, MINUTE);
        assert_eq!(count_in(1, NOW, MINUTE, NOW.plus(MINUTE)).left, Duration::from_millis(1));
    }
}
