use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chassis::metrics;
use kernel::{Deadline, Kind, Refusal};

use crate::ports::SectionError;

/// The section has waited for a version that was asked for and does not have it yet.
const NOT_YET_PROJECTED: &str = "not_yet_projected";
/// The section has no room for one more comparison.
const BUSY: &str = "busy";

/// True if the section works well although it is unavailable for this request. Another attempt would not
/// help, and neither would a pause for the section.
pub(super) fn is_well(refusal: &Refusal) -> bool {
    [NOT_YET_PROJECTED, BUSY].contains(&refusal.code.as_str())
}

/// The rule for retries of failed calls.
#[derive(Debug, Clone, Copy)]
pub struct RetryRule {
    /// The largest number of retries of a call.
    pub retries: u32,
    /// The longest pause before the first retry. It doubles with each retry.
    pub pause: Duration,
}

/// The retries of a client, within a budget of a tenth of its requests. So a section that fails every call
/// does not get three times as many calls.
#[derive(Debug)]
pub struct Retries {
    rule: RetryRule,
    /// The budget in tenths of a retry: a request earns one, a retry costs ten.
    budget: AtomicI64,
}

/// The cost of a retry.
const RETRY: i64 = 10;
/// The largest budget: ten retries. A new process starts with it.
const MAX_BUDGET: i64 = 10 * RETRY;

impl Retries {
    /// Creates retries by this rule.
    pub fn new(rule: RetryRule) -> Self {
        Self { rule, budget: AtomicI64::new(MAX_BUDGET) }
    }

    /// Counts a first attempt.
    pub fn earn(&self) {
        // A lost race costs only a tenth of a retry.
        if self.budget.load(Ordering::Relaxed) < MAX_BUDGET {
            self.budget.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the pause before a retry, and takes the retry from the budget. Returns `None` if `error` is
    /// final: the section refused, has already waited for the version, or must not be called now, or there is
    /// no budget or time left.
    pub fn pause(
        &self,
        dependency: &'static str,
        attempt: u32,
        error: &SectionError,
        deadline: Deadline,
    ) -> Option<Duration> {
        let SectionError::Refused(refusal) = error else { return None };
        self.pause_after(dependency, attempt, refusal, deadline)
    }

    /// Like [`Retries::pause`], for the refusal of any service.
    pub fn pause_after(
        &self,
        dependency: &'static str,
        attempt: u32,
        refusal: &Refusal,
        deadline: Deadline,
    ) -> Option<Duration> {
        let is_worth_it = refusal.kind == Kind::Unavailable && !is_well(refusal);
        if !is_worth_it || attempt > self.rule.retries {
            return None;
        }
        // Full jitter, so that callers that failed together do not retry together.
        let longest = self.rule.pause * 2u32.saturating_pow(attempt.saturating_sub(1));
        let pause = longest.mul_f64(rand::random_range(0.0..1.0));
        if pause >= deadline.left() || !self.spend() {
            return None;
        }
        metrics::RETRY.count([dependency.into()]);
        Some(pause)
    }

    fn spend(&self) -> bool {
        let spend = |left: i64| (left >= RETRY).then_some(left - RETRY);
        self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable(code: &'static str) -> SectionError {
        Refusal::new(Kind::Unavailable, code, "The section is unavailable.").into()
    }

    fn retries() -> Retries {
        Retries::new(RetryRule { retries: 2, pause: Duration::from_millis(20) })
    }

    #[test]
    fn a_section_that_fails_every_call_gets_only_a_tenth_more_calls() {
        let retries = retries();
        let deadline = Deadline::after(Duration::from_secs(60));
        let mut attempts = 0;
        for _ in 0..1000 {
            retries.earn();
            attempts += 1;
            let mut attempt = 1;
            while retries.pause("test", attempt, &unavailable("no_reply"), deadline).is_some() {
                attempts += 1;
                attempt += 1;
            }
        }
        assert!((1000..=1200).contains(&attempts), "{attempts} attempts for 1000 requests");
    }

    #[test]
    fn a_final_refusal_is_not_retried() {
        let retries = retries();
        let deadline = Deadline::after(Duration::from_secs(60));
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Unavailable) {
            let error = Refusal::new(kind, "some_code", "no").into();
            assert_eq!(retries.pause("test", 1, &error, deadline), None, "{kind:?}");
        }
        assert_eq!(
            retries.pause("test", 1, &unavailable("not_yet_projected"), deadline),
            None,
            "the section has waited already"
        );
        assert!(retries.pause("test", 1, &unavailable("no_reply"), deadline).is_some());
        assert_eq!(
            retries.pause("test", 3, &unavailable("no_reply"), deadline),
            None,
            "two retries are the limit"
        );
        assert_eq!(
            retries.pause("test", 1, &unavailable("no_reply"), Deadline::after(Duration::ZERO)),
            None,
            "no time is left"
        );
    }
}
