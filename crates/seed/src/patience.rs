//! Retries for a seed beside a busy portal: a step that is refused for a temporary reason is run again.

use std::time::{Duration, Instant};

use anyhow::Context;
use chassis::{StoreFailure, back_off, pause};
use indicatif::ProgressBar;
use kernel::{Fault, Kind};
use recommendations::TasteError;
use tokio_util::sync::CancellationToken;

/// The limits of retrying a step.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The first pause. It doubles with each attempt.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// The longest time for all attempts of a step.
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
    /// Runs `attempt` until it succeeds, is refused for good, or the time is over. An attempt without an
    /// answer may have had its effect, so each attempt first looks at what exists. The reason for a pause is
    /// shown above the progress.
    ///
    /// # Errors
    /// Fails with the error of the last attempt.
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
            let Some(refusal) = TemporaryRefusal::find(&error) else { return Err(error) };
            failures += 1;
            let wait = back_off(failures, self.first, self.longest).max(refusal.retry_after);
            if stop.is_cancelled() {
                return Err(error);
            }
            if Instant::now() + wait > end {
                let seconds = self.total.as_secs();
                return Err(error).with_context(|| {
                    format!(
                        "given up after {failures} attempts in {seconds} s; run the same command again once the \
                         portal is less busy: it continues where this one ended"
                    )
                });
            }
            progress.println(format!(
                "refused for now ({}); the next attempt is in {:.1} s",
                refusal.code,
                wait.as_secs_f32()
            ));
            tokio::select! {
                () = pause(wait) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

/// A refusal that may pass: 429, 503, or an expired deadline.
struct TemporaryRefusal {
    code: String,
    retry_after: Duration,
}

impl TemporaryRefusal {
    fn find(error: &anyhow::Error) -> Option<Self> {
        error.chain().find_map(|cause| {
            read::<users::UserError>(cause)
                .or_else(|| read::<news::NewsError>(cause))
                .or_else(|| read::<TasteError>(cause))
                .or_else(|| read::<StoreFailure>(cause))
                .or_else(|| read::<kernel::Refusal>(cause))
        })
    }
}

fn read<E: Fault>(cause: &(dyn std::error::Error + 'static)) -> Option<TemporaryRefusal> {
    let fault = cause.downcast_ref::<E>()?;
    matches!(fault.kind(), Kind::TooMany | Kind::Unavailable | Kind::Timeout).then(|| TemporaryRefusal {
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

    /// Runs a step that fails this many times with this kind and then succeeds. Returns the outcome and the
    /// number of attempts.
    async fn run(patience: Patience, failures: u32, kind: Kind) -> (anyhow::Result<u32>, u32) {
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
    async fn a_step_is_run_again_after_a_temporary_refusal_and_not_after_a_final_one() {
        for kind in [Kind::TooMany, Kind::Unavailable, Kind::Timeout] {
            let (outcome, attempts) = run(QUICK, 5, kind).await;
            assert_eq!((outcome.expect("at the sixth time"), attempts), (5, 6), "{kind:?}");
        }
        for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_transient()) {
            let (outcome, attempts) = run(QUICK, 5, kind).await;
            assert_eq!((outcome.is_err(), attempts), (true, 1), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_seed_that_gives_up_says_how_to_continue() {
        let brief = Patience { total: Duration::from_millis(20), ..QUICK };
        let (outcome, attempts) = run(brief, u32::MAX, Kind::Unavailable).await;
        let message = format!("{:#}", outcome.expect_err("it gives up"));
        assert!(attempts > 1 && message.contains("run the same command again"), "{message}");
        assert!(message.contains("not now"), "{message}");
    }

    #[tokio::test]
    async fn a_seed_that_is_asked_to_stop_does_not_wait() {
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
