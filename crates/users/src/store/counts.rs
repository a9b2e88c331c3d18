//! Counts by bucket in the memory of this process.

use std::time::Duration;

use kernel::Timestamp;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::ports::Count;

/// The most buckets. Beyond them the one goes that was counted in longest ago, so that somebody who tries a million names makes
/// this neither grow nor forget whom it is busy with.
const BUCKETS: u64 = 100_000;
/// What nobody counted in for so long goes, whatever its window.
const REST: Duration = Duration::from_secs(3600);

/// A bounded map of counts.
pub struct Counts(Cache<String, Window>);

#[derive(Clone, Copy)]
struct Window {
    begun: Timestamp,
    times: u64,
}

impl Counts {
    /// Nothing is counted yet.
    pub fn new() -> Self {
        Self::holding(BUCKETS)
    }

    fn holding(buckets: u64) -> Self {
        let policy = EvictionPolicy::lru();
        Self(Cache::builder().max_capacity(buckets).eviction_policy(policy).time_to_idle(REST).build())
    }

    /// Counts one more.
    pub fn count(&self, bucket: &str, window: Duration, now: Timestamp) -> Count {
        let entry = self.0.entry(bucket.to_owned()).and_upsert_with(|there| {
            match there.map(moka::Entry::into_value) {
                Some(running) if now.since(running.begun) < window => {
                    // One that begins after now was begun by a clock that has gone back since: it begins now.
                    Window { times: running.times.saturating_add(1), begun: running.begun.min(now) }
                }
                _ => Window { begun: now, times: 1 },
            }
        });
        let Window { begun, times } = entry.into_value();
        count(times, begun, window, now)
    }

    /// Looks, and counts nothing.
    pub fn counted(&self, bucket: &str, window: Duration, now: Timestamp) -> u64 {
        self.0.get(bucket).map_or(0, |Window { begun, times }| running(times, begun, window, now))
    }
}

/// How often was counted in a window that began then.
pub fn running(times: u64, begun: Timestamp, window: Duration, now: Timestamp) -> u64 {
    if now.since(begun) < window { times } else { 0 }
}

/// A count in a window that began then. A clock that is behind another replica's makes no window longer.
pub fn count(times: u64, begun: Timestamp, window: Duration, now: Timestamp) -> Count {
    Count { times, left: window.saturating_sub(now.since(begun)).max(Duration::from_millis(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const NOW: Timestamp = Timestamp::from_millis(1_763_712_000_123);

    #[test]
    fn a_hundred_times_more_buckets_than_fit_do_not_grow_memory_and_hide_nobody_who_comes_back() {
        let counts = Counts::holding(500);
        for number in 0..50_000 {
            counts.count(&format!("login.account:{number}"), MINUTE, NOW);
            if number % 250 == 0 {
                counts.count("the one who is guessed at", MINUTE, NOW);
            }
        }
        counts.0.run_pending_tasks();
        assert!(counts.0.entry_count() <= 500, "{}", counts.0.entry_count());
        assert_eq!(counts.count("the one who is guessed at", MINUTE, NOW).times, 201);
    }

    #[test]
    fn a_clock_that_goes_back_an_hour_makes_no_window_longer_than_it_is() {
        let counts = Counts::new();
        assert_eq!(counts.count("b", MINUTE, NOW).times, 1);
        let back = NOW.minus(Duration::from_secs(3_600));
        assert_eq!(counts.count("b", MINUTE, back), Count { times: 2, left: MINUTE });
        assert_eq!(counts.count("b", MINUTE, back.plus(MINUTE)).times, 1);
    }

    #[test]
    fn a_clock_that_is_behind_makes_no_window_longer() {
        let behind = NOW.minus(Duration::from_secs(5));
        assert_eq!(count(1, NOW, MINUTE, behind).left, MINUTE);
        assert_eq!(count(1, NOW, MINUTE, NOW.plus(MINUTE)).left, Duration::from_millis(1));
    }
}
