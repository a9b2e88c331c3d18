use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kernel::{Deadline, Trace};

tokio::task_local! {
    static CURRENT: Context;
}

/// The context of the current work. Every boundary sets it: the HTTP edge, a gRPC server, a consumer of the
/// bus, the step of a worker. Adapters read it when work leaves the process. It travels with the task, as the
/// context of OpenTelemetry does, so that no use case has to carry what it does not use.
#[derive(Clone, Debug)]
pub struct Context {
    /// The service that does the work: in one process several share a log.
    pub service: &'static str,
    /// The trace that the work belongs to.
    pub trace: Trace,
    /// The id that the client gave to its request.
    pub request_id: Option<Arc<str>>,
    /// The time at which the work stops.
    pub deadline: Deadline,
    /// The time that the work has spent in calls to other services.
    pub upstream: Upstream,
}

/// The time that some work has spent in calls to other services, for its access line. It is their sum, so
/// parallel calls each count.
#[derive(Clone, Debug, Default)]
pub struct Upstream(Arc<AtomicU64>);

impl Upstream {
    /// Returns the sum so far.
    pub fn spent(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    /// Counts from now until the returned value is dropped, however the call ends.
    pub fn count(&self) -> Counting {
        Counting { upstream: self.clone(), since: Instant::now() }
    }
}

/// A call that is counted.
pub struct Counting {
    upstream: Upstream,
    since: Instant,
}

impl Drop for Counting {
    fn drop(&mut self) {
        let spent = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.upstream.0.fetch_add(spent, Ordering::Relaxed);
    }
}

impl Context {
    /// Creates a context for work that no request caused, with a new trace and a budget of its own.
    pub fn for_work(service: &'static str, budget: Duration) -> Self {
        let (trace, deadline) = (Trace::start(), Deadline::after(budget));
        Self { service, trace, request_id: None, deadline, upstream: Upstream::default() }
    }

    /// Returns the context of the running task. Outside of every scope it is a new one with ten seconds.
    pub fn current() -> Self {
        Self::try_current().unwrap_or_else(|| Self::for_work("process", Duration::from_secs(10)))
    }

    /// Returns the context of the running task, if it has one.
    pub fn try_current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Limits the deadline to `budget` from now.
    pub fn within(mut self, budget: Duration) -> Self {
        self.deadline = self.deadline.within(budget);
        self
    }

    /// Moves the deadline 50 ms forward (a tenth of the time left, if that is less), so that after a call
    /// that takes too long there is still time to count it and to answer.
    pub fn with_margin(self) -> Self {
        const MARGIN: Duration = Duration::from_millis(50);
        let left = self.deadline.left();
        self.within(left - MARGIN.min(left / 10))
    }

    /// Names another service that does the work.
    pub fn of(mut self, service: &'static str) -> Self {
        self.service = service;
        self
    }

    /// Returns the context of a callee: the same deadline and request, the next step of the trace, and its
    /// own time in calls.
    pub fn callee(self, service: &'static str) -> Self {
        Self { service, trace: self.trace.child(), upstream: Upstream::default(), ..self }
    }

    /// Runs `work` in this context.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// Runs synchronous `work` in this context.
    pub fn scope_now<R>(self, work: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self, work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_time_in_calls_adds_up_over_copies_and_a_callee_has_its_own() {
        let context = Context::for_work("test", Duration::from_secs(1));
        assert_eq!(context.upstream.spent(), Duration::ZERO);
        let copy = context.clone().within(Duration::from_millis(1)).of("other");
        let counting = copy.upstream.count();
        assert_eq!(context.upstream.spent(), Duration::ZERO, "it counts when the call has ended");
        while counting.since.elapsed() < Duration::from_millis(2) {
            tokio::task::yield_now().await;
        }
        drop(counting);
        assert!(context.upstream.spent() >= Duration::from_millis(2));
        assert_eq!(context.callee("callee").upstream.spent(), Duration::ZERO);
    }
}
