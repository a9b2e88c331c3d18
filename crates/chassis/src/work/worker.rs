use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::FutureExt;
use kernel::Fault;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::task::{back_off, pause};
use crate::observe::Context;
use crate::values::causes;

/// The outcome of a step of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There was nothing to do: wait for a wake-up.
    Idle,
    /// There will be something to do after this time: wait so long, or for a wake-up. At most [`POLL`].
    IdleFor(Duration),
    /// There was something to do, and there may be more.
    Worked,
}

/// A loop that is driven from outside. The chassis waits, backs off, logs and stops; tests call
/// [`Worker::step`] themselves.
#[async_trait]
pub trait Worker: Send + Sync + 'static {
    /// Returns `<service>.<purpose>`, as in logs.
    fn name(&self) -> &'static str;
    /// Does one batch of the work. A failed step is repeated later, after growing pauses.
    async fn step(&self) -> Result<Step, Box<dyn Fault>>;
    /// Returns the signal that there may be something to do. A missed signal costs [`POLL`] and nothing else.
    fn wake(&self) -> Arc<Notify>;
}

/// A part of a service that runs until it is stopped: the consumer of a queue, or a server of calls.
#[async_trait]
pub trait Runnable: Send + 'static {
    /// Returns `<service>.<purpose>`, as in logs.
    fn name(&self) -> String;
    /// Runs until `stop` is cancelled, and returns when its current work is finished.
    async fn run(self: Box<Self>, stop: CancellationToken);
}

/// The time after which an idle worker looks for work without a wake-up.
pub const POLL: Duration = Duration::from_secs(1);
/// The pause after the first failed step.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause after several failed steps.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// The longest time of a step. A step that never returns must not prevent a process from stopping.
const STEP_BUDGET: Duration = Duration::from_secs(10);

/// Steps `worker` until `stop` is cancelled, and then until it is idle or `grace` is over.
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
            Ok(Step::IdleFor(time)) => {
                failures = 0;
                time.min(POLL)
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
                            "a step failed and will be repeated"
                        );
                    } else {
                        tracing::error!(worker = name, code = code.as_str(), cause, "a step failed");
                    }
                    Err(())
                }
                // The hook has logged the panic itself.
                Ok(Err(_panic)) => {
                    tracing::error!(worker = name, "a step panicked and will be repeated");
                    Err(())
                }
                Err(_over) => {
                    tracing::warn!(worker = name, "a step took too long, was dropped and will be repeated");
                    Err(())
                }
            }
        })
        .await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::spawn;

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

    #[tokio::test]
    async fn a_worker_goes_on_after_a_panic() {
        let worker =
            Arc::new(Clumsy { steps: AtomicU32::new(0), wake: Arc::default(), recovered: Arc::default() });
        let stop = CancellationToken::new();
        let driven = spawn("test.drive", drive("test", worker.clone(), stop.clone(), Duration::ZERO));
        worker.recovered.notified().await;
        stop.cancel();
        driven.await.expect("the loop ends");
    }

    #[tokio::test]
    async fn a_worker_steps_until_it_is_idle_wakes_on_a_signal_and_finishes_its_work_before_it_stops() {
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
