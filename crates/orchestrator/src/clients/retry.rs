use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chassis::metrics;
use kernel::{Deadline, Kind, Refusal};

use crate::ports::SectionError;

/// The section has waited for a version that was asked for and does not have it yet.
const NOT_YET_PROJECTED: &str = "not_yet_projected";
/// The section has no room for one more comparison.
const BUSY: &str = "busy";

/// True if the section works well although it is unavailable for this request. Another attempt would not help, and neither would a
/// pause for the section.
pub(super) fn is_well(refusal: &Refusal) -> bool {
    [NOT_YET_PROJECTED, BUSY].contains(&refusal.code.as_str())
}

/// When a call that failed is tried again.
#[derive(Debug, Clone, Copy)]
pub struct RetryRule {
    /// How often more, at the most.
    pub retries: u32,
    /// The longest pause before the first of them; it doubles with each.
    pub pause: Duration,
}

/// Retries, within a budget of a tenth of the requests: a section that fails every call is not asked three times as often
/// because of that.
#[derive(Debug)]
pub struct Retries {
    rule: RetryRule,
    /// In tenths of a retry: a request earns one, a retry costs ten.
    budget: AtomicI64,
}

const RETRY: i64 = 10;
/// What may be saved for a bad moment: ten retries. A new process has them at once.
const MOST: i64 = 10 * RETRY;

impl Retries {
    /// Retries by this rule.
    pub fn new(rule: RetryRule) -> Self {
        Self { rule, budget: AtomicI64::new(MOST) }
    }

    /// Counts a first attempt.
    pub fn earn(&self) {
        // A lost race here is worth a tenth of a retry.
        if self.budget.load(Ordering::Relaxed) < MOST {
            self.budget.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The pause before another attempt at this dependency, which counts as one, or `None` where `error` is final: the section has said no, has already waited for what
    /// was wanted, is to be left in peace, or there is no budget or no time.
    pub fn pause(
        &self,
        dependency: &'static str,
        tried: u32,
        error: &SectionError,
        deadline: Deadline,
    ) -> Option<Duration> {
        let SectionError::Refused(refusal) = error else { return None };
        self.pause_after(dependency, tried, refusal, deadline)
    }

    /// The same for what any neighbour said.
    pub fn pause_after(
        &self,
        dependency: &'static str,
        tried: u32,
        refusal: &Refusal,
        deadline: Deadline,
    ) -> Option<Duration> {
        let worth_it = refusal.kind == Kind::Unavailable && !is_well(refusal);
        if !worth_it || tried > self.rule.retries {
            return None;
        }
        // Full jitter: callers that failed together do not come back together.
        let longest = self.rule.pause * 2u32.saturating_pow(tried.saturating_sub(1));
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

    fn away(code: &'static str) -> SectionError {
        Refusal::new(Kind::Unavailable, code, "away").into()
    }

    fn retries() -> Retries {
        Retries::new(RetryRule { retries: 2, pause: Duration::from_millis(20) })
    }

    #[test]
    fn a_section_that_fails_every_call_gets_a_tenth_more_calls_not_three_times_as_many() {
        let retries = retries();
        let deadline = Deadline::after(Duration::from_secs(60));
        let mut attempts = 0;
        for _ in 0..1000 {
            retries.earn();
            attempts += 1;
            let mut tried = 1;
            while retries.pause("test", tried, &away("no_reply"), deadline).is_some() {
                attempts += 1;
                tried += 1;
            }
        }
        assert!((1000..=1200).contains(&attempts), "{attempts} attempts for 1000 requests");
    }

    #[test]
    fn what_was_refused_for_good_is_not_tried_again() {
        let retries = retries();
        let deadline = Deadline::after(Duration::from_secs(60));
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Unavailable) {
            let error = Refusal::new(kind, "some_code", "no").into();
            assert_eq!(retries.pause("test", 1, &error, deadline), None, "{kind:?}");
        }
        assert_eq!(
            retries.pause("test", 1, &away("not_yet_projected"), deadline),
            None,
            "the section has waited already"
        );
        assert!(retries.pause("test", 1, &away("no_reply"), deadline).is_some());
        assert_eq!(retries.pause("test", 3, &away("no_reply"), deadline), None, "two more are all");
        assert_eq!(
            retries.pause("test", 1, &away("no_reply"), Deadline::after(Duration::ZERO)),
            None,
            "no time is left"
        );
    }
}
