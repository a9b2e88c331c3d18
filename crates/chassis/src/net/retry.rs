//! Retries of calls that failed for a reason that may pass.

use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::observe::{Context, metrics};
use crate::work::{back_off, pause};

/// The number of retries of a failed call, and their pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRule {
    /// The most attempts after the first one.
    pub retries: u32,
    /// The longest pause before the first retry. It doubles with each further retry.
    pub pause: Duration,
    /// The longest pause before any retry.
    pub longest: Duration,
}

/// Repeats calls that failed for a reason that may pass, until the deadline of the current [`Context`].
///
/// A pause is random between zero and its maximum (full jitter), so that callers that failed together do not
/// return together.
#[derive(Debug)]
pub struct Retry {
    rule: RetryRule,
    budget: Option<RetryBudget>,
}

impl Retry {
    /// Retries by this rule, limited to a tenth of the calls. A dependency that fails every call then gets 10
    /// % more calls, and not three times as many.
    pub fn within_budget(rule: RetryRule) -> Self {
        Self { rule, budget: Some(RetryBudget::default()) }
    }

    /// Retries by this rule alone: for failures that say nothing about the load of the dependency, such as
    /// deadlocks.
    pub fn without_budget(rule: RetryRule) -> Self {
        Self { rule, budget: None }
    }

    /// Calls `attempt` until it succeeds, or until its failure is final, the rule or the budget is exhausted,
    /// or the next pause would exceed the deadline.
    ///
    /// Each attempt receives the failure of the one before. `dependency` is the label of the metric
    /// `retry_total`.
    ///
    /// # Errors
    /// The failure of the last attempt.
    pub async fn run<T, E, F>(
        &self,
        dependency: &'static str,
        may_pass: impl Fn(&E) -> bool,
        mut attempt: impl FnMut(Option<E>) -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        if let Some(budget) = &self.budget {
            budget.earn();
        }
        let mut last = None;
        let mut failures = 0;
        loop {
            let error = match attempt(last).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            failures += 1;
            let Some(before_next) = self.pause_after(failures).filter(|_| may_pass(&error)) else {
                return Err(error);
            };
            if before_next >= Context::current().deadline.left() || !self.spend() {
                return Err(error);
            }
            metrics::RETRY.count([dependency.into()]);
            tracing::debug!(dependency, failures, "a call failed and is repeated");
            pause(before_next).await;
            last = Some(error);
        }
    }

    /// Draws the pause after this many failures. Returns `None` if the rule allows no further retry.
    fn pause_after(&self, failures: u32) -> Option<Duration> {
        let longest = back_off(failures, self.rule.pause, self.rule.longest);
        (failures <= self.rule.retries).then(|| longest.mul_f64(rand::random_range(0.0..1.0)))
    }

    fn spend(&self) -> bool {
        self.budget.as_ref().is_none_or(RetryBudget::spend)
    }
}

/// Limits retries to a tenth of the calls.
#[derive(Debug)]
struct RetryBudget {
    /// In tenths of a retry: a call earns one, a retry costs ten.
    tenths: AtomicI64,
}

impl RetryBudget {
    const RETRY: i64 = 10;
    /// The most that is saved: ten retries. A new process starts with them.
    const MOST: i64 = 10 * Self::RETRY;

    fn earn(&self) {
        // A lost race here costs a tenth of a retry.
        if self.tenths.load(Ordering::Relaxed) < Self::MOST {
            self.tenths.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn spend(&self) -> bool {
        let rest = |tenths: i64| (tenths >= Self::RETRY).then_some(tenths - Self::RETRY);
        self.tenths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).is_ok()
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { tenths: AtomicI64::new(Self::MOST) }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;

    use super::*;

    const RULE: RetryRule =
        RetryRule { retries: 2, pause: Duration::from_nanos(1), longest: Duration::from_nanos(4) };

    /// Runs one call whose attempts all fail with `error`. Returns the number of attempts.
    async fn attempts_of(retry: &Retry, error: &'static str) -> u32 {
        let attempts = Cell::new(0);
        let failed: Result<(), _> = retry
            .run(
                "test",
                |error: &&str| *error == "unavailable",
                |_| {
                    attempts.set(attempts.get() + 1);
                    ready(Err(error))
                },
            )
            .await;
        assert_eq!(failed, Err(error));
        attempts.get()
    }

    #[tokio::test]
    async fn a_dependency_that_fails_every_call_gets_a_tenth_more_calls() {
        let retry = Retry::within_budget(RULE);
        let mut attempts = 0;
        for _ in 0..1000 {
            attempts += attempts_of(&retry, "unavailable").await;
        }
        assert!((1100..=1112).contains(&attempts), "{attempts} attempts for 1000 calls");
    }

    #[tokio::test]
    async fn without_a_budget_every_call_is_repeated_as_often_as_the_rule_allows() {
        let retry = Retry::without_budget(RULE);
        for _ in 0..100 {
            assert_eq!(attempts_of(&retry, "unavailable").await, 3);
        }
    }

    #[tokio::test]
    async fn a_final_failure_is_not_repeated() {
        assert_eq!(attempts_of(&Retry::within_budget(RULE), "forbidden").await, 1);
    }

    #[tokio::test]
    async fn a_call_is_not_repeated_after_its_deadline() {
        let retry = Retry::within_budget(RULE);
        let context = Context::for_work("test", Duration::ZERO);
        assert_eq!(context.scope(attempts_of(&retry, "unavailable")).await, 1);
    }

    #[tokio::test]
    async fn an_attempt_receives_the_failure_of_the_one_before() {
        let retry = Retry::within_budget(RULE);
        let answer: Result<&str, &str> = retry
            .run(
                "test",
                |_| true,
                |last| ready(if last.is_none() { Err("first") } else { last.ok_or("none") }),
            )
            .await;
        assert_eq!(answer, Ok("first"));
    }

    #[test]
    fn pauses_are_random_and_never_longer_than_the_rule_allows() {
        let rule =
            RetryRule { retries: 9, pause: Duration::from_millis(5), longest: Duration::from_millis(40) };
        let retry = Retry::within_budget(rule);
        for _ in 0..100 {
            let longest = [5, 10, 20, 40, 40, 40, 40, 40, 40].map(Duration::from_millis);
            for (failures, longest) in (1..).zip(longest) {
                assert!(retry.pause_after(failures).expect("the rule allows it") <= longest);
            }
        }
        assert_eq!(retry.pause_after(10), None);
    }
}
