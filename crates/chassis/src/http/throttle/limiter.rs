//! A rate limiter for many keys, with several windows each.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::HeaderValue;
use moka::sync::Cache;

use super::window::Window;

/// The maximum number of keys in one limiter. If there are more clients, those with few requests are evicted
/// first and start again. A crowd then uses no memory and does not hide frequent clients.
const MAX_KEYS: u64 = 50_000;

/// Counts the requests of each key in all of its windows.
///
/// Each window is the generic cell rate algorithm (ITU-T I.371) in its form with one number: the moment at
/// which the client's use will have drained to zero. A request moves this moment by one pace. It is refused
/// if the moment would then lie further ahead than the burst allows.
pub(super) struct Limiter<K> {
    class: Class,
    windows: Vec<Window>,
    keys: Cache<K, Arc<[AtomicU64]>>,
    epoch: Instant,
}

/// The subject that a limiter counts, for the names of its windows. A window of a client is named by its
/// period (`day`), all others by both (`writes-day`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Client,
    Other(&'static str),
}

impl Class {
    /// Returns the name of a window, as in `RateLimit: "writes-day"`.
    pub(super) fn name(self, window: &str) -> String {
        match self {
            Class::Client => window.to_owned(),
            Class::Other(class) => format!("{class}-{window}"),
        }
    }
}

/// The decision of a limiter about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The subject that is counted.
    pub class: Class,
    /// The window with the fewest requests left.
    pub window: &'static str,
    /// The number of requests left in this window.
    pub left: u32,
    /// The time after which one more request is allowed.
    pub more_after: Duration,
    /// True if this request may pass.
    pub passes: bool,
}

impl<K: Hash + Eq + Send + Sync + 'static> Limiter<K> {
    pub(super) fn new(class: Class, windows: &[Window]) -> Self {
        let memory = windows.iter().map(Window::memory).max().unwrap_or_default();
        let keys =
            Cache::builder().max_capacity(MAX_KEYS).time_to_idle(memory.max(Duration::from_secs(1))).build();
        Self { class, windows: windows.to_vec(), keys, epoch: Instant::now() }
    }

    /// Returns the value of `RateLimit-Policy` for its windows; `None` if there is no limit.
    pub(super) fn policy(&self) -> Option<HeaderValue> {
        let each = self.windows.iter().map(|window| window.policy(&self.class.name(window.name())));
        let policy = each.collect::<Vec<_>>().join(", ");
        HeaderValue::from_str(&policy).ok().filter(|policy| !policy.is_empty())
    }

    /// Counts one request of `key`. Returns `None` if there is no limit. A refused request is not counted.
    pub(super) fn take(&self, key: K) -> Option<Verdict> {
        self.take_at(key, self.epoch.elapsed())
    }

    /// Undoes the counting of one request of `key`.
    pub(super) fn give_back(&self, key: K) {
        let Some(cells) = self.cells(key) else { return };
        for (window, cell) in self.windows.iter().zip(&*cells) {
            let less = |used: u64| Some(used.saturating_sub(nanos(window.pace())));
            let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }

    fn take_at(&self, key: K, now: Duration) -> Option<Verdict> {
        let cells = self.cells(key)?;
        let preview =
            self.verdict(&cells, now, |window, cell| ahead(window, cell.load(Ordering::Relaxed), now, 1));
        if preview.is_some_and(|verdict| !verdict.passes) {
            return preview;
        }
        self.verdict(&cells, now, |window, cell| {
            let moved = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                let next = ahead(window, used, now, 1);
                (next <= limit(window, now)).then_some(next)
            });
            // A request that lost a race gets the position that it would have had.
            moved.map_or_else(|used| ahead(window, used, now, 1), |used| ahead(window, used, now, 1))
        })
    }

    fn cells(&self, key: K) -> Option<Arc<[AtomicU64]>> {
        let fresh = || self.windows.iter().map(|_| AtomicU64::new(0)).collect();
        (!self.windows.is_empty()).then(|| self.keys.get_with(key, fresh))
    }

    /// Returns the verdict of the strictest window. `moved` returns the position of a window after this
    /// request.
    fn verdict(
        &self,
        cells: &[AtomicU64],
        now: Duration,
        moved: impl Fn(&Window, &AtomicU64) -> u64,
    ) -> Option<Verdict> {
        let each = self.windows.iter().zip(cells).map(|(window, cell)| {
            let (next, limit) = (moved(window, cell), limit(window, now));
            let pace = nanos(window.pace());
            let left = limit.saturating_sub(next) / pace;
            let more_after = if left == 0 { (next + pace).saturating_sub(limit) } else { 0 };
            // For a refused request, this is the time after which it would have passed.
            let more_after = if next > limit { next - limit } else { more_after };
            Verdict {
                class: self.class,
                window: window.name(),
                left: u32::try_from(left).unwrap_or(u32::MAX),
                more_after: Duration::from_nanos(more_after),
                passes: next <= limit,
            }
        });
        each.min_by_key(|verdict| (verdict.passes, verdict.left, std::cmp::Reverse(verdict.more_after)))
    }

    #[cfg(test)]
    fn key_count(&self) -> u64 {
        self.keys.run_pending_tasks();
        self.keys.entry_count()
    }
}

/// Returns the position of a cell after further requests.
fn ahead(window: &Window, used: u64, now: Duration, requests: u64) -> u64 {
    used.max(nanos(now)) + nanos(window.pace()) * requests
}

/// Returns the position that a cell may have at most.
fn limit(window: &Window, now: Duration) -> u64 {
    nanos(now) + nanos(window.memory())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limiter(windows: &[&str]) -> Limiter<u64> {
        Limiter::new(
            Class::Client,
            &windows.iter().map(|text| text.parse().expect("a limit")).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn a_burst_passes_and_then_the_pace_applies() {
        let limiter = limiter(&["10/second burst 20"]);
        let start = Duration::from_secs(5);
        let passed = (0..50).filter(|_| limiter.take_at(1, start).expect("a limit").passes).count();
        assert_eq!(passed, 20);
        let refused = limiter.take_at(1, start).expect("a limit");
        assert_eq!((refused.left, refused.more_after), (0, Duration::from_millis(100)));
        let later = start + Duration::from_secs(1);
        assert_eq!((0..50).filter(|_| limiter.take_at(1, later).expect("a limit").passes).count(), 10);
        assert!(limiter.take_at(2, later).expect("a limit").passes, "another client has its own");
    }

    #[test]
    fn the_strictest_window_decides_and_a_refused_request_is_not_counted() {
        let limiter = limiter(&["100/second", "5/day"]);
        let verdicts: Vec<_> = (0..6).map(|_| limiter.take_at(1, Duration::ZERO).expect("a limit")).collect();
        assert!(verdicts[..5].iter().all(|verdict| verdict.passes));
        assert_eq!((verdicts[0].window, verdicts[0].left), ("day", 4));
        assert_eq!((verdicts[5].window, verdicts[5].passes), ("day", false));
        assert_eq!(verdicts[5].more_after, Duration::from_secs(86_400 / 5));
        let second = Duration::from_secs(86_400 / 5);
        assert!(limiter.take_at(1, second).expect("a limit").passes, "the refused one was not counted");
    }

    #[test]
    fn an_undone_request_is_free_again_and_no_windows_means_no_limit() {
        let limiter = limiter(&["1/minute"]);
        let passes = || limiter.take_at(1, Duration::ZERO).expect("a limit").passes;
        assert!(passes() && !passes());
        limiter.give_back(1);
        assert!(passes() && !passes());
        assert_eq!(Limiter::<u32>::new(Class::Client, &[]).take_at(1, Duration::ZERO), None);
    }

    #[test]
    fn more_clients_than_its_maximum_do_not_grow_its_memory() {
        let limiter = limiter(&["50/second burst 200", "100000/day"]);
        for client in 0..4 * MAX_KEYS {
            limiter.take_at(client, Duration::ZERO);
        }
        assert!(limiter.key_count() <= MAX_KEYS);
    }

    #[test]
    fn racing_threads_get_no_more_than_the_burst() {
        let limiter = limiter(&["1/hour burst 100"]);
        let passed = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        if limiter.take_at(1, Duration::ZERO).expect("a limit").passes {
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 100);
    }

    proptest! {
        #[test]
        fn no_interval_has_more_requests_than_the_burst_and_the_pace_allow(
            gaps in prop::collection::vec(0u64..400, 1..200),
        ) {
            let limiter = limiter(&["10/second burst 5"]);
            let (mut now, mut passed) = (Duration::ZERO, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                if limiter.take_at(1, now).is_some_and(|verdict| verdict.passes) {
                    passed.push(now);
                }
            }
            for (first, start) in passed.iter().enumerate() {
                for (count, end) in passed[first..].iter().enumerate() {
                    let allowed = 5 + (*end - *start).as_millis() / 100;
                    prop_assert!((count as u128) < allowed, "{} in {:?}", count + 1, *end - *start);
                }
            }
        }
    }
}
