use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chassis::metrics::{Counting, Timing, Value};
use chassis::{Context, Upstream, causes, log_failure};
use futures::FutureExt;
use kernel::{Deadline, Fault, Kind, Refusal};

use crate::metrics::{DEAD, HANDLE, REDELIVERED};
use crate::{Envelope, Handler, instrument};

/// The failure of a handler: the refusal, which decides the message's fate, and the cause for the log.
pub(crate) struct HandlerFailure {
    pub(crate) refusal: Refusal,
    /// The whole chain of causes.
    pub(crate) cause: String,
}

impl From<Box<dyn Fault>> for HandlerFailure {
    fn from(fault: Box<dyn Fault>) -> Self {
        Self { refusal: fault.refusal(), cause: causes(&*fault) }
    }
}

impl From<Refusal> for HandlerFailure {
    fn from(refusal: Refusal) -> Self {
        Self { cause: refusal.to_string(), refusal }
    }
}

/// The runner of one handler, the same for every kind of subscription on every bus.
pub(crate) struct Receiver {
    pub(crate) service: &'static str,
    /// The name of the queue, as in metrics and traces.
    queue: Arc<str>,
    /// The name of the adapter in traces.
    system: &'static str,
    budget: Duration,
    handler: Arc<dyn Handler>,
    metrics: OnceLock<QueueMetrics>,
}

/// The metrics of one queue, looked up at its first message.
struct QueueMetrics {
    ok: Timing,
    failed: Timing,
    redelivered: Counting,
    dead: Counting,
}

impl QueueMetrics {
    fn of(queue: &Arc<str>) -> Self {
        let queue = || Value::from(queue.clone());
        Self {
            ok: HANDLE.of([queue(), "ok".into()]),
            failed: HANDLE.of([queue(), "failed".into()]),
            redelivered: REDELIVERED.of([queue()]),
            dead: DEAD.of([queue()]),
        }
    }
}

impl Receiver {
    /// Creates a receiver for the durable queue of this name, or for broadcasts if there is no name.
    pub(crate) fn new(
        system: &'static str,
        service: &'static str,
        queue: Option<&str>,
        budget: Duration,
        handler: Arc<dyn Handler>,
    ) -> Self {
        let queue = queue.map_or_else(|| format!("{service}.broadcast").into(), Arc::from);
        Self { service, queue, system, budget, handler, metrics: OnceLock::new() }
    }

    fn metrics(&self) -> &QueueMetrics {
        self.metrics.get_or_init(|| QueueMetrics::of(&self.queue))
    }

    /// Counts a delivery whose message was delivered before.
    pub(crate) fn count_redelivery(&self) {
        self.metrics().redelivered.count();
    }

    /// Counts a message that was given up.
    pub(crate) fn count_dead(&self) {
        self.metrics().dead.count();
    }

    /// Returns the context in which a message is handled and its outcome is logged.
    pub(crate) fn context(&self, message: &Envelope) -> Context {
        Context {
            service: self.service,
            trace: message.trace.child(),
            request_id: None,
            deadline: Deadline::after(self.budget),
            upstream: Upstream::default(),
        }
    }

    /// Runs the handler within the current context. A panic is `Internal`. A handler that exceeds its budget
    /// is dropped, which is `Timeout`.
    pub(crate) async fn handle(&self, message: &Envelope) -> Result<(), HandlerFailure> {
        let trace = Context::current().trace;
        let span = instrument::start_process(self.system, self.service, &self.queue, message, trace);
        let (metrics, begun) = (self.metrics(), Instant::now());
        let outcome = self.run(message).await;
        match &outcome {
            Ok(()) => {
                metrics.ok.record(begun.elapsed());
                span.end();
            }
            Err(HandlerFailure { refusal, .. }) => {
                metrics.failed.record(begun.elapsed());
                span.fail(refusal.code.as_str().to_owned());
            }
        }
        outcome
    }

    async fn run(&self, message: &Envelope) -> Result<(), HandlerFailure> {
        let work = AssertUnwindSafe(async { self.handler.handle(message).await }).catch_unwind();
        match tokio::time::timeout(self.budget, work).await {
            Ok(Ok(outcome)) => outcome.map_err(HandlerFailure::from),
            Ok(Err(_panic)) => {
                Err(Refusal::new(Kind::Internal, "handler_panicked", "The handler panicked.").into())
            }
            Err(_elapsed) => {
                let detail = format!("The handler took longer than {:?}.", self.budget);
                Err(Refusal::new(Kind::Timeout, "handler_timed_out", detail).into())
            }
        }
    }

    /// Handles a broadcast. A refused one is lost, with a line in the log.
    pub(crate) async fn handle_broadcast(&self, message: &Envelope) {
        if let Err(HandlerFailure { refusal, cause }) = self.handle(message).await {
            tracing::warn!(
                message_id = %message.id, kind = message.kind, code = refusal.code.as_str(), cause,
                "a broadcast could not be handled"
            );
        }
    }
}

/// Returns the refusal for the caller of a failed call. If the cause is a fault of ours, logs it here.
pub(crate) fn refusal_of_call(fault: &dyn Fault) -> Refusal {
    let refusal = fault.refusal();
    if refusal.kind.is_server_error() {
        let code = refusal.code.as_str();
        log_failure(refusal.kind, code, &causes(fault), "a call could not be answered");
    }
    refusal.bounded()
}

#[cfg(test)]
mod tests {
    use chassis::StoreFailure;

    use super::*;

    #[test]
    fn a_refusal_does_not_grow_with_the_call() {
        let fields = vec![kernel::FieldFault::new("/x".repeat(10_000), "odd", "y".repeat(10_000)); 1_000];
        let large = Refusal::new(Kind::Invalid, "invalid", "z".repeat(100_000)).with_fields(fields);
        assert!(serde_json::to_vec(&refusal_of_call(&large)).expect("JSON").len() < 64 * 1024);
    }

    #[test]
    fn the_message_of_a_driver_goes_to_the_log_and_not_to_the_caller() {
        let fault = || StoreFailure::Unavailable("connection refused".into());
        let HandlerFailure { refusal, cause } = HandlerFailure::from(Box::<dyn Fault>::from(fault()));
        assert!(cause.contains("connection refused"), "{cause}");
        assert_eq!(refusal.kind, Kind::Unavailable);
        for refusal in [refusal, refusal_of_call(&fault())] {
            assert!(!format!("{refusal:?}").contains("connection"), "{refusal:?}");
        }
    }
}
