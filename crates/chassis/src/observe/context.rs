use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kernel::{Deadline, Trace};

tokio::task_local! {
    static CURRENT: Context;
}

/// The facts of the work in hand. Every seam sets it (the HTTP edge, a gRPC server, a bus consumer, a worker's step),
/// and adapters read it where work leaves the process. It travels with the task, as OpenTelemetry's context does, so
/// that no use case has to carry what it does not use.
#[derive(Clone, Debug)]
pub struct Context {
    /// The service that does the work: in one process several share a log.
    pub service: &'static str,
    /// The trace that the work belongs to.
    pub trace: Trace,
    /// What the client calls its request.
    pub request_id: Option<Arc<str>>,
    /// When the work stops being worth doing.
    pub deadline: Deadline,
    /// What the work has spent waiting for others.
    pub upstream: Upstream,
}

/// The time that a piece of work has spent in calls to other services, for its access line: their sum, so that calls made at once
/// count each for itself.
#[derive(Clone, Debug, Default)]
pub struct Upstream(Arc<AtomicU64>);

impl Upstream {
    /// The sum so far.
    pub fn spent(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    /// Counts from now until what it gives back is dropped, however the call ends.
    pub fn count(&self) -> Counting {
        Counting { upstream: self.clone(), since: Instant::now() }
    }
}

/// A call under way.
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
    /// A context for work that nobody asked for over a wire: a new trace and a budget of its own.
    pub fn for_work(service: &'static str, budget: Duration) -> Self {
        let (trace, deadline) = (Trace::start(), Deadline::after(budget));
        Self { service, trace, request_id: None, deadline, upstream: Upstream::default() }
    }

    /// The context of the running task; outside of every scope a new one, with ten seconds.
    pub fn current() -> Self {
        Self::try_current().unwrap_or_else(|| Self::for_work("process", Duration::from_secs(10)))
    }

    /// The context of the running task, if it has one.
    pub fn try_current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// The same with no more time than `budget`.
    pub fn within(mut self, budget: Duration) -> Self {
        self.deadline = self.deadline.within(budget);
        self
    }

    /// Ends 50 ms before the deadline of the caller (a tenth earlier for a short one), so that a call that takes too long
    /// still leaves time to count it and to answer.
    pub fn with_margin(self) -> Self {
        const MARGIN: Duration = Duration::from_millis(50);
        let left = self.deadline.left();
        self.within(left - MARGIN.min(left / 10))
    }

    /// The same on behalf of another service.
    pub fn of(mut self, service: &'static str) -> Self {
        self.service = service;
        self
    }

    /// The context of work that somebody else does for this one: the same time and request, a step further in the trace, and a
    /// count of its own.
    pub fn callee(self, service: &'static str) -> Self {
        Self { service, trace: self.trace.child(), upstream: Upstream::default(), ..self }
    }

    /// Runs `work` in this context.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// Runs `work`, which waits for nothing, in this context.
    pub fn scope_now<R>(self, work: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self, work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_time_spent_with_others_adds_up_over_copies_and_a_callee_counts_for_itself() {
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
