//! A seed beside a busy portal: what is refused for a passing reason is tried again.

use std::time::{Duration, Instant};

use anyhow::Context;
use chassis::{StoreFailure, back_off, pause};
use indicatif::ProgressBar;
use kernel::{Fault, Kind};
use recommendations::TasteError;
use tokio_util::sync::CancellationToken;

/// How long and how often a step is tried again.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The first pause; it doubles with each attempt.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// How long a step may take with all of its attempts.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            longest: Duration::from_secs(10),
            total: Duration::from_secs(120),
        }
    }
}

impl Patience {
    /// Does `attempt` until it succeeds, is refused for good, or the time is over. It may be done again after an attempt of which nobody
    /// knows whether it had its effect, so it looks at what is there first. What it waits for is shown beside the progress.
    ///
    /// # Errors
    /// What the last attempt failed with.
    pub async fn with<T>(
        self,
        progress: &ProgressBar,
        stop: &CancellationToken,
        attempt: impl AsyncFn() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let (end, mut failures) = (Instant::now() + self.total, 0);
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(passing) = Passing::of(&error) else { return Err(error) };
            failures += 1;
            let wait = back_off(failures, self.first, self.longest).max(passing.retry_after);
            if stop.is_cancelled() {
                return Err(error);
            }
            if Instant::now() + wait > end {
                let seconds = self.total.as_secs();
                return Err(error).with_context(|| {
                    format!(
                        "given up after {failures} attempts in {seconds} s; run the same command again once the \
                         portal is less busy: it goes on where this one ended"
                    )
                });
            }
            progress.println(format!(
                "refused for now ({}), trying again in {:.1} s",
                passing.code,
                wait.as_secs_f32()
            ));
            tokio::select! {
                () = pause(wait) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

/// A refusal that may pass: 429, 503, or a deadline that is over.
struct Passing {
    code: String,
    retry_after: Duration,
}

impl Passing {
    fn of(error: &anyhow::Error) -> Option<Self> {
        error.chain().find_map(|cause| {
            of::<users::UserError>(cause)
                .or_else(|| of::<news::app::NewsError>(cause))
                .or_else(|| of::<TasteError>(cause))
                .or_else(|| of::<StoreFailure>(cause))
                .or_else(|| of::<kernel::Refusal>(cause))
        })
    }
}

fn of<E: Fault>(cause: &(dyn std::error::Error + 'static)) -> Option<Passing> {
    let fault = cause.downcast_ref::<E>()?;
    matches!(fault.kind(), Kind::TooMany | Kind::Unavailable | Kind::Timeout).then(|| Passing {
        code: fault.code().as_str().to_owned(),
        retry_after: fault.retry_after().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use kernel::Refusal;

    use super::*;

    const QUICK: Patience = Patience {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(2),
        total: Duration::from_secs(30),
    };

    /// Fails so often, with this kind, and then succeeds. Returns the outcome and the number of attempts.
    async fn after(patience: Patience, failures: u32, kind: Kind) -> (anyhow::Result<u32>, u32) {
        let (attempts, hidden, stop) = (AtomicU32::new(0), ProgressBar::hidden(), CancellationToken::new());
        let outcome = patience.with(&hidden, &stop, async || {
            let attempt = attempts.fetch_add(1, Ordering::Relaxed);
            if attempt < failures {
                return Err(Refusal::new(kind, "busy", "not now")).context("an account of the seed");
            }
            Ok(attempt)
        });
        (outcome.await, attempts.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn what_is_refused_for_a_passing_reason_is_tried_again_and_what_is_refused_for_good_is_not() {
        for kind in [Kind::TooMany, Kind::Unavailable, Kind::Timeout] {
            let (outcome, attempts) = after(QUICK, 5, kind).await;
            assert_eq!((outcome.expect("at the sixth time"), attempts), (5, 6), "{kind:?}");
        }
        for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_transient()) {
            let (outcome, attempts) = after(QUICK, 5, kind).await;
            assert_eq!((outcome.is_err(), attempts), (true, 1), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_seed_gives_up_in_the_end_and_says_what_to_do() {
        let brief = Patience { total: Duration::from_millis(20), ..QUICK };
        let (outcome, attempts) = after(brief, u32::MAX, Kind::Unavailable).await;
        let said = format!("{:#}", outcome.expect_err("it gives up"));
        assert!(attempts > 1 && said.contains("run the same command again"), "{said}");
        assert!(said.contains("not now"), "{said}");
    }

    #[tokio::test]
    async fn a_seed_that_is_asked_to_stop_waits_no_longer() {
        let (stop, attempts) = (CancellationToken::new(), AtomicU32::new(0));
        let forever =
            Patience { first: Duration::from_secs(3600), longest: Duration::from_secs(3600), ..QUICK };
        let forever = Patience { total: Duration::from_secs(7200), ..forever };
        let hidden = ProgressBar::hidden();
        let outcome = forever.with(&hidden, &stop, async || {
            attempts.fetch_add(1, Ordering::Relaxed);
            stop.cancel();
            Err::<(), _>(Refusal::new(Kind::Unavailable, "busy", "not now").into())
        });
        assert!(outcome.await.is_err());
        assert_eq!(attempts.load(Ordering::Relaxed), 1);
    }
}
