//! A limit for log lines that an attacker could multiply.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The shortest time between two log lines about the same event.
pub(crate) const LOG_PAUSE: Duration = Duration::from_secs(1);

/// A gate in front of a log line. It lets one line pass in each [`LOG_PAUSE`] and counts the events in
/// between.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    /// The time of the next line, in milliseconds of [`uptime`]; 0 before the first one.
    next: AtomicU64,
    /// The number of events since the last line.
    events: AtomicU64,
}

impl LogLimit {
    pub(crate) const fn new() -> Self {
        Self { next: AtomicU64::new(0), events: AtomicU64::new(0) }
    }

    /// Counts an event. Returns the number of events since the last line if a line may be written now.
    pub(crate) fn count(&self) -> Option<u64> {
        self.count_at(uptime())
    }

    fn count_at(&self, now: Duration) -> Option<u64> {
        self.events.fetch_add(1, Ordering::Relaxed);
        let now = millis(now);
        let next = self.next.load(Ordering::Relaxed);
        if now < next {
            return None;
        }
        let following = now + millis(LOG_PAUSE);
        let won = self.next.compare_exchange(next, following, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        won.then(|| self.events.swap(0, Ordering::Relaxed))
    }
}

/// Returns the time since its first call in this process. It never goes back.
pub(crate) fn uptime() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Returns the whole milliseconds of `duration`.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_a_second_has_the_number_of_events() {
        let gate = LogLimit::new();
        assert_eq!(gate.count_at(Duration::ZERO), Some(1));
        assert!((0..500).all(|_| gate.count_at(Duration::from_millis(999)).is_none()));
        assert_eq!(gate.count_at(Duration::from_secs(1)), Some(501));
        assert_eq!(gate.count_at(Duration::from_secs(1)), None);
    }
}
