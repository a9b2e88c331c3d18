//! A circuit breaker: a dependency that keeps failing is not called for a while, and its callers fail
//! immediately.

mod circuit;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::future::Future;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kernel::Fault;

pub use self::circuit::BreakerSettings;
use self::circuit::{Change, Circuit, Pass};
use crate::observe::metrics::BREAKER;

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
        self.circuit(|circuit, _| circuit.is_open())
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

/// A call that passed. If it is dropped before it is settled, it was given up.
struct Ticket<'a> {
    breaker: &'a Breaker,
    pass: Pass,
    settled: bool,
}

impl Ticket<'_> {
    fn settle(&mut self, is_success: bool) {
        self.settled = true;
        let change = self.breaker.circuit(|circuit, now| circuit.settle(self.pass, is_success, now));
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
