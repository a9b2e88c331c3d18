//! The rules of the breaker: when it opens, what it lets pass, when it closes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The conditions under which a breaker opens, and for how long. Decision 3 says why it is our own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerSettings {
    /// The number of failures in a row that opens it.
    pub in_a_row: u32,
    /// The share of failed calls within the window that opens it, from 0 to 1.
    pub share: f64,
    /// The number of calls within the window from which the share counts.
    pub at_least: usize,
    /// The time for which a call counts.
    pub window: Duration,
    /// The first rest. It doubles each time that the probe after it fails.
    pub rest: Duration,
    /// The longest rest.
    pub longest_rest: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            in_a_row: 5,
            share: 0.5,
            at_least: 20,
            window: Duration::from_secs(10),
            rest: Duration::from_secs(1),
            longest_rest: Duration::from_secs(30),
        }
    }
}

/// The reason why a call passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The breaker is closed.
    Ordinary,
    /// The call tries whether the dependency has recovered.
    Probe,
}

/// A change of the state.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// Calls are refused for this time.
    Opened(Duration),
    /// Calls pass again.
    Closed,
}

/// The state of a breaker that refuses calls.
#[derive(Debug)]
struct Open {
    until: Instant,
    rest: Duration,
    probing: bool,
}

/// The rules of a breaker, without a clock and a lock.
#[derive(Debug)]
pub struct Circuit {
    settings: BreakerSettings,
    /// The newest calls, with their times and whether they succeeded.
    calls: VecDeque<(Instant, bool)>,
    /// The number of failed ones among them.
    failed: usize,
    in_a_row: u32,
    open: Option<Open>,
}

impl Circuit {
    /// Returns the rules of a closed breaker.
    pub fn new(settings: BreakerSettings) -> Self {
        Self { settings, calls: VecDeque::new(), failed: 0, in_a_row: 0, open: None }
    }

    /// Returns true while calls are refused or probed.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Returns the value of the metric.
    pub fn state(&self) -> u8 {
        match &self.open {
            None => 0,
            Some(open) if open.probing => 1,
            Some(_) => 2,
        }
    }

    /// Lets a call pass, or returns the time until the next probe.
    ///
    /// # Errors
    /// The time for which the dependency still rests.
    pub fn admit(&mut self, now: Instant) -> Result<Pass, Duration> {
        match &mut self.open {
            None => Ok(Pass::Ordinary),
            Some(open) if now >= open.until && !open.probing => {
                open.probing = true;
                Ok(Pass::Probe)
            }
            // The duration of the probe is unknown; a short time is a fair guess.
            Some(open) => Err(open.until.saturating_duration_since(now).max(Duration::from_millis(100))),
        }
    }

    /// Counts the result of a call that passed.
    pub fn settle(&mut self, pass: Pass, is_success: bool, now: Instant) -> Option<Change> {
        match &self.open {
            // A call that began before the breaker opened says nothing about the present.
            Some(_) if pass == Pass::Ordinary => None,
            Some(_) if is_success => {
                *self = Self::new(self.settings);
                Some(Change::Closed)
            }
            Some(open) => Some(self.rest((open.rest * 2).min(self.settings.longest_rest), now)),
            None => self.count(is_success, now),
        }
    }

    /// Counts a call that took too long and was given up.
    pub fn fail(&mut self, now: Instant) -> Option<Change> {
        match &self.open {
            // It rests already, or a probe runs.
            Some(open) if open.probing || now < open.until => None,
            // The call was the probe.
            Some(_) => self.settle(Pass::Probe, false, now),
            None => self.count(false, now),
        }
    }

    /// Counts a call that was given up as neither: after a probe, the next call is the probe.
    pub fn give_up(&mut self, pass: Pass) {
        if let Some(open) = self.open.as_mut().filter(|_| pass == Pass::Probe) {
            open.probing = false;
        }
    }

    fn count(&mut self, is_success: bool, now: Instant) -> Option<Change> {
        self.calls.push_back((now, is_success));
        self.failed += usize::from(!is_success);
        self.in_a_row = if is_success { 0 } else { self.in_a_row + 1 };
        while self
            .calls
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > self.settings.window)
        {
            let gone = self.calls.pop_front();
            self.failed -= usize::from(gone.is_some_and(|(_, is_success)| !is_success));
        }
        // The share is taken over the newest calls. They are enough to judge by, and they limit the memory
        // under any load.
        while self.calls.len() > self.settings.at_least.max(100) {
            let gone = self.calls.pop_front();
            self.failed -= usize::from(gone.is_some_and(|(_, is_success)| !is_success));
        }
        (self.in_a_row >= self.settings.in_a_row || self.failed_by_share())
            .then(|| self.rest(self.settings.rest, now))
    }

    #[expect(clippy::cast_precision_loss, reason = "a few hundred calls")]
    fn failed_by_share(&self) -> bool {
        let calls = self.calls.len();
        calls >= self.settings.at_least && self.failed as f64 >= self.settings.share * calls as f64
    }

    fn rest(&mut self, rest: Duration, now: Instant) -> Change {
        *self = Self::new(self.settings);
        self.open = Some(Open { until: now + rest, rest, probing: false });
        Change::Opened(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::Pass::{Ordinary, Probe};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn circuit() -> (Circuit, Instant) {
        (Circuit::new(BreakerSettings::default()), Instant::now())
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_one_success_between_them_does_not() {
        let (mut circuit, now) = circuit();
        for is_success in [false, false, false, false, true, false, false, false, false] {
            assert_eq!(circuit.settle(Ordinary, is_success, now), None);
        }
        assert_eq!(circuit.settle(Ordinary, false, now), Some(Change::Opened(SECOND)));
        assert_eq!(circuit.admit(now), Err(SECOND));
    }

    #[test]
    fn half_of_twenty_calls_open_it_and_half_of_nineteen_do_not() {
        let (mut circuit, now) = circuit();
        for call in 1..20 {
            assert_eq!(circuit.settle(Ordinary, call % 2 == 1, now), None, "call {call}");
        }
        assert_eq!(circuit.settle(Ordinary, false, now), Some(Change::Opened(SECOND)));
    }

    #[test]
    fn failures_outside_of_the_window_do_not_count() {
        let (mut circuit, start) = circuit();
        for call in 0..100u32 {
            // Every other call fails, but never twenty of them within the window.
            assert_eq!(circuit.settle(Ordinary, call.is_multiple_of(2), start + SECOND * call), None);
        }
        assert!(circuit.calls.len() <= 11);
    }

    #[test]
    fn the_rest_doubles_with_every_failed_probe_up_to_thirty_seconds() {
        let (mut circuit, mut now) = circuit();
        (0..5).for_each(|_| {
            circuit.settle(Ordinary, false, now);
        });
        for rest in [2, 4, 8, 16, 30, 30] {
            now += SECOND * 30;
            assert_eq!(circuit.admit(now), Ok(Probe));
            assert_eq!(circuit.settle(Probe, false, now), Some(Change::Opened(SECOND * rest)));
        }
    }

    #[test]
    fn after_the_rest_one_probe_passes_and_its_success_closes() {
        let (mut circuit, now) = circuit();
        (0..5).for_each(|_| {
            circuit.settle(Ordinary, false, now);
        });
        let later = now + SECOND;
        assert_eq!(circuit.admit(later), Ok(Probe));
        assert!(circuit.admit(later).is_err());
        // A call from before it opened neither closes it nor takes the probe's place.
        assert_eq!(circuit.settle(Ordinary, true, later), None);
        assert!(circuit.admit(later).is_err());
        assert_eq!(circuit.settle(Probe, true, later), Some(Change::Closed));
        assert_eq!(circuit.admit(later), Ok(Ordinary));
    }

    #[test]
    fn after_a_probe_that_was_given_up_the_next_call_probes() {
        let (mut circuit, now) = circuit();
        (0..5).for_each(|_| {
            circuit.settle(Ordinary, false, now);
        });
        assert_eq!(circuit.admit(now + SECOND), Ok(Probe));
        circuit.give_up(Probe);
        assert_eq!(circuit.admit(now + SECOND), Ok(Probe));
    }

    #[test]
    fn calls_that_were_too_slow_open_it_and_lengthen_each_rest_only_once() {
        let (mut circuit, now) = circuit();
        for _ in 0..4 {
            assert_eq!(circuit.fail(now), None);
        }
        assert_eq!(circuit.fail(now), Some(Change::Opened(SECOND)));
        assert_eq!(circuit.fail(now), None, "it rests already");
        let later = now + SECOND;
        assert_eq!(circuit.admit(later), Ok(Probe));
        assert_eq!(circuit.fail(later), None, "the probe is out");
        circuit.give_up(Probe);
        assert_eq!(circuit.fail(later), Some(Change::Opened(SECOND * 2)));
    }
}
