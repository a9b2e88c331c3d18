use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

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
}

impl Context {
    /// A context for work that nobody asked for over a wire: a new trace and a budget of its own.
    pub fn for_work(service: &'static str, budget: Duration) -> Self {
        Self { service, trace: Trace::start(), request_id: None, deadline: Deadline::after(budget) }
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

    /// The same on behalf of another service.
    pub fn of(mut self, service: &'static str) -> Self {
        self.service = service;
        self
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
