//! What a service does besides answering: workers that step, consumers that run, stores that are watched and closed.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::FutureExt;
use kernel::Fault;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Context, causes};

/// What a step of a worker found to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing: wait until woken.
    Idle,
    /// Something: there may be more.
    Worked,
}

/// A loop that is driven from outside: the chassis waits, backs off, logs and stops; tests call [`Worker::step`] by hand.
#[async_trait]
pub trait Worker: Send + Sync + 'static {
    /// `<service>.<purpose>`, as in logs.
    fn name(&self) -> &'static str;
    /// Does one batch of what there is to do. A failed step is tried again later, with growing pauses.
    async fn step(&self) -> Result<Step, Box<dyn Fault>>;
    /// Told when there may be something to do. A missed call costs [`POLL`], nothing else.
    fn wake(&self) -> Arc<Notify>;
}

/// A part of a service that runs by itself until it is stopped: the consumer of a queue, a server of calls.
#[async_trait]
pub trait Runnable: Send + 'static {
    /// `<service>.<purpose>`, as in logs.
    fn name(&self) -> String;
    /// Runs until `stop` is cancelled, then returns as soon as what it has in hand is finished.
    async fn run(self: Box<Self>, stop: CancellationToken);
}

/// How long an idle worker waits before it looks without having been woken.
pub const POLL: Duration = Duration::from_secs(1);
/// The pause after a failed step …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// … and the longest after several.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// The time a single step may take; one that never returns must not keep a process from stopping.
const STEP_BUDGET: Duration = Duration::from_secs(10);

/// Starts a task of this process under a name, and hands back how to wait for its end. Everything but the parts of a
/// [`crate::Host`], which waits for them itself, is started here.
#[allow(clippy::disallowed_methods, reason = "this is the one place that spawns")]
pub fn spawn<F>(name: &'static str, work: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(async move {
        tracing::debug!(task = name, "a task starts");
        work.await
    })
}

/// Waits; for back-off and for nothing else.
#[allow(clippy::disallowed_methods, reason = "back-off is what this is for")]
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// How long to wait after so many failures in a row: `first` after the first, doubled with each, at most `longest`.
pub fn back_off(failures: u32, first: Duration, longest: Duration) -> Duration {
    first.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1))).min(longest)
}

/// Steps `worker` until `stop` is cancelled, and then on until it is idle or `grace` is over.
pub async fn drive(service: &'static str, worker: Arc<dyn Worker>, stop: CancellationToken, grace: Duration) {
    let wake = worker.wake();
    let mut failures = 0u32;
    while !stop.is_cancelled() {
        let outcome = step(service, &*worker).await;
        let pause = match outcome {
            Ok(Step::Worked) => {
                failures = 0;
                continue;
            }
            Ok(Step::Idle) => {
                failures = 0;
                POLL
            }
            Err(()) => {
                failures = failures.saturating_add(1);
                back_off(failures, FIRST_PAUSE, MAX_PAUSE)
            }
        };
        tokio::select! {
            () = wake.notified(), if failures == 0 => {}
            () = self::pause(pause) => {}
            () = stop.cancelled() => {}
        }
    }
    let end = Instant::now() + grace;
    while Instant::now() < end && matches!(step(service, &*worker).await, Ok(Step::Worked)) {}
}

async fn step(service: &'static str, worker: &dyn Worker) -> Result<Step, ()> {
    let context = Context::for_work(service, STEP_BUDGET);
    let name = worker.name();
    context
        .scope(async {
            let work = AssertUnwindSafe(worker.step()).catch_unwind();
            match tokio::time::timeout(STEP_BUDGET, work).await {
                Ok(Ok(Ok(step))) => Ok(step),
                Ok(Ok(Err(fault))) => {
                    let (code, cause) = (fault.code(), causes(&*fault));
                    if fault.kind().is_transient() {
                        tracing::warn!(
                            worker = name,
                            code = code.as_str(),
                            cause,
                            "a step failed and will be tried again"
                        );
                    } else {
                        tracing::error!(worker = name, code = code.as_str(), cause, "a step failed");
                    }
                    Err(())
                }
                // The panic itself was logged where it happened; the loop goes on.
                Ok(Err(_panic)) => {
                    tracing::error!(worker = name, "a step panicked and will be tried again");
                    Err(())
                }
                Err(_over) => {
                    tracing::warn!(
                        worker = name,
                        "a step took too long, was dropped and will be tried again"
                    );
                    Err(())
                }
            }
        })
        .await
}

type Probe = dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync;

/// How long the answer of a store to a probe that writes is kept.
const KEPT: Duration = Duration::from_secs(5);
/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(1);

/// The outcome of a probe that costs something, such as a write to a disk. It is kept for five seconds, and one caller at a time asks.
#[derive(Default)]
pub struct Kept(tokio::sync::Mutex<Option<(Instant, Result<(), String>)>>);

impl Kept {
    /// Returns the outcome that is kept, or else asks: a probe that takes over a second has failed.
    ///
    /// # Errors
    /// What is wrong, for the log and for operators.
    pub async fn ask<E: std::error::Error>(
        &self,
        probe: impl Future<Output = Result<(), E>>,
    ) -> Result<(), String> {
        let mut last = self.0.lock().await;
        if let Some((at, outcome)) = &*last
            && at.elapsed() < KEPT
        {
            return outcome.clone();
        }
        let asked = tokio::time::timeout(PROBE, probe).await;
        let outcome =
            asked.map_or_else(|_| Err(no_answer()), |outcome| outcome.map_err(|error| causes(&error)));
        *last = Some((Instant::now(), outcome.clone()));
        outcome
    }
}

fn no_answer() -> String {
    "no answer within a second".to_owned()
}

/// Something outside the service that it works with.
#[derive(Clone)]
pub struct Dependency {
    name: &'static str,
    probe: Arc<Probe>,
    last_success: Arc<Mutex<Option<Instant>>>,
    write_probe: Option<Arc<Probe>>,
    optional: bool,
}

impl Dependency {
    /// A dependency by its name and how to ask whether it is there. An answer that takes over a second is a failure.
    pub fn new<F, E>(name: &'static str, probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error,
    {
        let probe = move || -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
            let asked = probe();
            Box::pin(async move { asked.await.map_err(|error| causes(&error)) })
        };
        Self {
            name,
            probe: Arc::new(probe),
            last_success: Arc::default(),
            write_probe: None,
            optional: false,
        }
    }

    /// Says that the service does all its work without it: that it is away is told, and the service is ready nevertheless.
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// Adds how to ask whether it takes writes, by writing a byte. A store that does not is reported, and goes on serving reads.
    pub fn that_writes<F, E>(self, probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + 'static,
    {
        let kept = Arc::new(Kept::default());
        let probe = move || -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
            let (kept, asked) = (kept.clone(), probe());
            Box::pin(async move { kept.ask(asked).await })
        };
        Self { write_probe: Some(Arc::new(probe)), ..self }
    }

    /// Asks whether it takes writes; what can't be asked does. The answer is kept for five seconds.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn check_writes(&self) -> Result<(), String> {
        match &self.write_probe {
            Some(probe) => probe().await,
            None => Ok(()),
        }
    }

    /// True where the service is ready without it.
    pub fn is_optional(&self) -> bool {
        self.optional
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Asks it now. The answer is how long ago it last answered well, and what is wrong if it did not just now.
    pub async fn check(&self) -> (Option<Duration>, Result<(), String>) {
        let outcome = tokio::time::timeout(PROBE, (self.probe)()).await.unwrap_or_else(|_| Err(no_answer()));
        let mut last = self.last_success.lock().unwrap_or_else(PoisonError::into_inner);
        if outcome.is_ok() {
            *last = Some(Instant::now());
        }
        (last.map(|at| at.elapsed()), outcome)
    }
}

/// What is done last, when nothing uses a store any more.
pub type Closer = Pin<Box<dyn Future<Output = ()> + Send>>;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Countdown {
        left: AtomicU32,
        wake: Arc<Notify>,
        idle: Arc<Notify>,
    }

    #[async_trait]
    impl Worker for Countdown {
        fn name(&self) -> &'static str {
            "test.countdown"
        }

        async fn step(&self) -> Result<Step, Box<dyn Fault>> {
            let took = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if took.is_ok() {
                return Ok(Step::Worked);
            }
            self.idle.notify_one();
            Ok(Step::Idle)
        }

        fn wake(&self) -> Arc<Notify> {
            self.wake.clone()
        }
    }

    struct Clumsy {
        steps: AtomicU32,
        wake: Arc<Notify>,
        recovered: Arc<Notify>,
    }

    #[async_trait]
    impl Worker for Clumsy {
        fn name(&self) -> &'static str {
            "test.clumsy"
        }

        async fn step(&self) -> Result<Step, Box<dyn Fault>> {
            if self.steps.fetch_add(1, Ordering::SeqCst) == 0 {
                panic!("on purpose");
            }
            self.recovered.notify_one();
            Ok(Step::Idle)
        }

        fn wake(&self) -> Arc<Notify> {
            self.wake.clone()
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pause =
            |failures| back_off(failures, Duration::from_millis(100), Duration::from_secs(1)).as_millis();
        assert_eq!([0, 1, 2, 3, 4, 5, 100, u32::MAX].map(pause), [100, 100, 200, 400, 800, 1000, 1000, 1000]);
    }

    #[tokio::test]
    async fn a_probe_that_writes_is_made_once_in_five_seconds_however_many_ask() {
        let written = Arc::new(AtomicU32::new(0));
        let seen = written.clone();
        let is_there = || std::future::ready(Ok::<(), std::fmt::Error>(()));
        let dependency = Dependency::new("store", is_there).that_writes(move || {
            let seen = seen.clone();
            async move {
                seen.fetch_add(1, Ordering::SeqCst);
                Err(std::fmt::Error)
            }
        });
        let clone = dependency.clone();
        let asked = (0..10).map(|_| clone.check_writes());
        for outcome in futures::future::join_all(asked).await {
            assert_eq!(outcome, Err(std::fmt::Error.to_string()));
        }
        assert!(dependency.check().await.1.is_ok(), "reads are another matter");
        assert_eq!(written.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_worker_that_panics_is_stepped_again() {
        let worker =
            Arc::new(Clumsy { steps: AtomicU32::new(0), wake: Arc::default(), recovered: Arc::default() });
        let stop = CancellationToken::new();
        let driven = spawn("test.drive", drive("test", worker.clone(), stop.clone(), Duration::ZERO));
        worker.recovered.notified().await;
        stop.cancel();
        driven.await.expect("the loop ends");
    }

    #[tokio::test]
    async fn a_worker_steps_until_idle_wakes_when_told_and_drains_before_it_stops() {
        let worker =
            Arc::new(Countdown { left: AtomicU32::new(3), wake: Arc::default(), idle: Arc::default() });
        let stop = CancellationToken::new();
        let driven = spawn("test.drive", drive("test", worker.clone(), stop.clone(), Duration::from_secs(5)));
        worker.idle.notified().await;
        assert_eq!(worker.left.load(Ordering::SeqCst), 0);
        worker.left.store(2, Ordering::SeqCst);
        worker.wake.notify_one();
        worker.idle.notified().await;
        worker.left.store(7, Ordering::SeqCst);
        stop.cancel();
        driven.await.expect("the loop ends");
        assert_eq!(worker.left.load(Ordering::SeqCst), 0);
    }
}
