//! A circuit breaker: a dependency that keeps failing is not called for a while, and its callers fail
//! immediately.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kernel::Fault;

use crate::observe::metrics::BREAKER;

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

/// The reason why a guarded call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken<E> {
    /// The call was made and failed.
    #[error(transparent)]
    Failed(E),
    /// The call was not made: the dependency rests for this time.
    #[error("the dependency failed too often and rests")]
    Resting(Duration),
}

/// A circuit breaker for one dependency.
///
/// A closed breaker lets every call pass. An open one refuses calls immediately. After the rest one call
/// passes as a probe: a success closes the breaker, and a failure opens it for twice as long. Only failures
/// of the dependency count ([`kernel::Kind::is_server_error`]); a refusal with a reason is an answer. A call
/// that its caller gave up counts as neither. The state is a metric, from the first call on.
#[derive(Debug)]
pub struct Breaker {
    dependency: Cow<'static, str>,
    circuit: Mutex<Circuit>,
    /// The state in the metric.
    reported: AtomicU8,
}

/// The state of the metric before the first call.
const UNREPORTED: u8 = u8::MAX;

impl Breaker {
    /// Creates a closed breaker. `dependency` is the name in logs and metrics.
    pub fn new(dependency: impl Into<Cow<'static, str>>, settings: BreakerSettings) -> Self {
        let circuit = Mutex::new(Circuit::new(settings));
        Self { dependency: dependency.into(), circuit, reported: AtomicU8::new(UNREPORTED) }
    }

    /// Runs `work` unless the dependency rests.
    ///
    /// # Errors
    /// The failure of `work`, or [`Broken::Resting`] with the time until the next probe.
    pub async fn call<T, E: Fault>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, Broken<E>> {
        self.call_if(work, |_| true).await
    }

    /// Runs `work` unless the dependency rests. A failure for which `counts` is false says nothing about the
    /// dependency, as if the call had been given up.
    ///
    /// # Errors
    /// As [`Breaker::call`].
    pub async fn call_if<T, E: Fault>(
        &self,
        work: impl Future<Output = Result<T, E>>,
        counts: impl FnOnce(&E) -> bool,
    ) -> Result<T, Broken<E>> {
        let pass = self.circuit(|circuit, now| circuit.admit(now)).map_err(Broken::Resting)?;
        // A caller that gives up drops this future. The next call is then the probe.
        let mut ticket = Ticket { breaker: self, pass, settled: false };
        let outcome = work.await;
        match &outcome {
            Err(fault) if fault.kind().is_server_error() && !counts(fault) => drop(ticket),
            Err(fault) => ticket.settle(!fault.kind().is_server_error()),
            Ok(_) => ticket.settle(true),
        }
        outcome.map_err(Broken::Failed)
    }

    /// Counts a failure: the call was given up because the dependency took too long.
    pub fn fail(&self) {
        self.log(self.circuit(Circuit::fail));
    }

    fn log(&self, change: Option<Change>) {
        let dependency = &*self.dependency;
        match change {
            Some(Change::Opened(rest)) => tracing::warn!(dependency, ?rest, "the circuit breaker opened"),
            Some(Change::Closed) => tracing::info!(dependency, "the circuit breaker closed"),
            None => {}
        }
    }

    /// True while calls are refused or probed.
    pub fn is_open(&self) -> bool {
        self.circuit(|circuit, _| circuit.open.is_some())
    }

    fn circuit<T>(&self, change: impl FnOnce(&mut Circuit, Instant) -> T) -> T {
        // The lock guards counters. If it is poisoned, a few calls are counted wrongly at worst.
        let mut circuit = self.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut circuit, Instant::now());
        self.report(circuit.state());
        changed
    }

    /// Reports a new state. It runs under the lock, so that the last state is reported last.
    fn report(&self, state: u8) {
        if self.reported.swap(state, Ordering::Relaxed) != state {
            BREAKER.set([self.dependency.clone().into_owned().into()], f64::from(state));
        }
    }
}

/// The reason why a call passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Ordinary,
    Probe,
}

/// A call that passed. If it is dropped before it is settled, it was given up.
struct Ticket<'a> {
    breaker: &'a Breaker,
    pass: Pass,
    settled: bool,
}

impl Ticket<'_> {
    fn settle(&mut self, well: bool) {
        self.settled = true;
        let change = self.breaker.circuit(|circuit, now| circuit.settle(self.pass, well, now));
        self.breaker.log(change);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.breaker.circuit(|circuit, _| circuit.give_up(self.pass));
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Change {
    Opened(Duration),
    Closed,
}

#[derive(Debug)]
struct Open {
    until: Instant,
    rest: Duration,
    probing: bool,
}

/// The rules without a clock or a lock.
#[derive(Debug)]
struct Circuit {
    settings: BreakerSettings,
    calls: VecDeque<(Instant, bool)>,
    failed: usize,
    in_a_row: u32,
    open: Option<Open>,
}

impl Circuit {
    fn new(settings: BreakerSettings) -> Self {
        Self { settings, calls: VecDeque::new(), failed: 0, in_a_row: 0, open: None }
    }

    /// Returns the value of the metric.
    fn state(&self) -> u8 {
        match &self.open {
            None => 0,
            Some(open) if open.probing => 1,
            Some(_) => 2,
        }
    }

    fn admit(&mut self, now: Instant) -> Result<Pass, Duration> {
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

    fn settle(&mut self, pass: Pass, well: bool, now: Instant) -> Option<Change> {
        match &self.open {
            // A call that began before the breaker opened says nothing about the present.
            Some(_) if pass == Pass::Ordinary => None,
            Some(_) if well => {
                *self = Self::new(self.settings);
                Some(Change::Closed)
            }
            Some(open) => Some(self.rest((open.rest * 2).min(self.settings.longest_rest), now)),
            None => self.count(well, now),
        }
    }

    fn fail(&mut self, now: Instant) -> Option<Change> {
        match &self.open {
            // It rests already, or a probe runs.
            Some(open) if open.probing || now < open.until => None,
            // The call was the probe.
            Some(_) => self.settle(Pass::Probe, false, now),
            None => self.count(false, now),
        }
    }

    fn give_up(&mut self, pass: Pass) {
        if let Some(open) = self.open.as_mut().filter(|_| pass == Pass::Probe) {
            open.probing = false;
        }
    }

    fn count(&mut self, well: bool, now: Instant) -> Option<Change> {
        self.calls.push_back((now, well));
        self.failed += usize::from(!well);
        self.in_a_row = if well { 0 } else { self.in_a_row + 1 };
        while self
            .calls
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > self.settings.window)
        {
            let gone = self.calls.pop_front();
            self.failed -= usize::from(gone.is_some_and(|(_, well)| !well));
        }
        // The share is taken over the newest calls. They are enough to judge by, and they limit the memory
        // under any load.
        while self.calls.len() > self.settings.at_least.max(100) {
            let gone = self.calls.pop_front();
            self.failed -= usize::from(gone.is_some_and(|(_, well)| !well));
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
    use kernel::{Kind, Refusal};

    use super::Pass::{Ordinary, Probe};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn circuit() -> (Circuit, Instant) {
        (Circuit::new(BreakerSettings::default()), Instant::now())
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_one_success_between_them_does_not() {
        let (mut circuit, now) = circuit();
        for well in [false, false, false, false, true, false, false, false, false] {
            assert_eq!(circuit.settle(Ordinary, well, now), None);
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

    #[tokio::test]
    async fn a_failure_that_does_not_count_neither_opens_nor_closes_it() {
        let breaker =
            Breaker::new("test", BreakerSettings { rest: Duration::ZERO, ..BreakerSettings::default() });
        let fail = || std::future::ready(Err::<(), _>(Refusal::new(Kind::Timeout, "test", "test")));
        for _ in 0..10 {
            assert!(breaker.call_if(fail(), |_| false).await.is_err());
        }
        assert!(!breaker.is_open());
        for _ in 0..5 {
            assert!(breaker.call(fail()).await.is_err());
        }
        assert!(breaker.call_if(fail(), |_| false).await.is_err());
        assert!(breaker.is_open());
        assert!(
            breaker.call(std::future::ready(Ok::<_, Refusal>(()))).await.is_ok(),
            "the next one is the probe"
        );
        assert!(!breaker.is_open());
    }

    #[tokio::test]
    async fn a_resting_dependency_is_not_called_and_a_refusal_with_a_reason_is_an_answer() {
        let breaker = Breaker::new("test", BreakerSettings::default());
        let fail = |kind| std::future::ready(Err::<(), _>(Refusal::new(kind, "test", "test")));
        for _ in 0..10 {
            assert!(matches!(breaker.call(fail(Kind::NotFound)).await, Err(Broken::Failed(_))));
        }
        assert!(!breaker.is_open());
        for _ in 0..5 {
            assert!(matches!(breaker.call(fail(Kind::Unavailable)).await, Err(Broken::Failed(_))));
        }
        assert!(breaker.is_open());
        let never = async { unreachable!("a resting dependency is not called") };
        assert!(matches!(breaker.call::<(), Refusal>(never).await, Err(Broken::Resting(_))));
    }

    #[tokio::test]
    async fn its_state_is_a_metric_from_the_first_call_on() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _here = ::metrics::set_default_local_recorder(&recorder);
        let says = |state: u8| {
            let text = recorder.handle().render();
            text.contains(&format!("breaker_state{{dependency=\"test\"}} {state}\n"))
        };
        let settings = BreakerSettings { rest: Duration::ZERO, ..BreakerSettings::default() };
        let breaker = Breaker::new("test", settings);
        assert!(!recorder.handle().render().contains("breaker_state"));
        let fail = || std::future::ready(Err::<(), _>(Refusal::new(Kind::Unavailable, "test", "test")));
        assert!(breaker.call(fail()).await.is_err());
        assert!(says(0));
        for _ in 0..4 {
            assert!(breaker.call(fail()).await.is_err());
        }
        assert!(says(2));
        let probed = breaker.call(async {
            assert!(says(1));
            Ok::<_, Refusal>(())
        });
        assert!(probed.await.is_ok() && says(0));
    }

    #[tokio::test]
    async fn a_call_that_was_given_up_counts_as_neither() {
        let breaker = Breaker::new("test", BreakerSettings::default());
        for _ in 0..10 {
            let call = breaker.call(std::future::pending::<Result<(), Refusal>>());
            assert!(tokio::time::timeout(Duration::ZERO, call).await.is_err());
        }
        assert!(!breaker.is_open());
    }
}
