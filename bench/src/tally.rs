//! The result of a load.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

/// Latencies are kept in microseconds, up to a minute.
const LONGEST: u64 = 60_000_000;

/// Answers, errors and latencies.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Successes.
    pub answered: u64,
    /// Everything else.
    pub errors: u64,
    /// The first of these errors.
    pub first_error: Option<String>,
    /// Requests per second of the timetable. `None` if the load was as fast as the responses.
    pub offered: Option<f64>,
    /// From the first request to the last answer.
    pub time: Duration,
    latencies: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let latencies = Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order");
        Self { answered: 0, errors: 0, first_error: None, offered: None, time: Duration::ZERO, latencies }
    }
}

impl Tally {
    /// Counts one outcome: the status of a response, or the reason why there is none. Errors have latencies
    /// too.
    pub fn count(&mut self, latency: Duration, outcome: Result<u16>) {
        self.latencies.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LONGEST).max(1));
        let error = match outcome {
            Ok(status) if (200..300).contains(&status) => return self.answered += 1,
            Ok(status) => format!("the status {status}"),
            Err(error) => format!("{error:#}"),
        };
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    /// Adds the counts of several connections in the same time.
    pub fn sum(parts: impl IntoIterator<Item = Self>, offered: Option<f64>, time: Duration) -> Self {
        let mut all = Self { offered, time, ..Self::default() };
        for part in parts {
            all.answered += part.answered;
            all.errors += part.errors;
            all.first_error = all.first_error.or(part.first_error);
            all.latencies += part.latencies;
        }
        all
    }

    /// Successes a second.
    pub fn achieved(&self) -> f64 {
        self.answered as f64 / self.time.as_secs_f64().max(f64::EPSILON)
    }

    /// The latency that this part (0 to 1) of all requests stayed below, in milliseconds.
    pub fn milliseconds(&self, part: f64) -> f64 {
        self.latencies.value_at_quantile(part) as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_summed_and_percentiles_are_of_all() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        for _ in 0..99 {
            one.count(Duration::from_millis(2), Ok(200));
        }
        other.count(Duration::from_millis(500), Ok(503));
        let all = Tally::sum([one, other], None, Duration::from_secs(2));
        assert_eq!((all.answered, all.errors), (99, 1));
        assert!((all.achieved() - 49.5).abs() < 1e-9);
        assert!((all.milliseconds(0.5) - 2.0).abs() < 0.01 && all.milliseconds(1.0) > 499.0);
        assert_eq!(all.first_error.as_deref(), Some("the status 503"));
    }
}
