use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chassis::metrics::{Counting, Timing, Value};
use chassis::{Context, Upstream, causes, log_failure};
use futures::FutureExt;
use kernel::{Deadline, Fault, Kind, Refusal};

use crate::metrics::{DEAD, HANDLE, REDELIVERED};
use crate::{Envelope, Handler, told};

/// Why a message could not be handled: what decides its fate, and what the log is told.
pub(crate) struct Failed {
    pub(crate) refusal: Refusal,
    /// The whole chain of causes.
    pub(crate) cause: String,
}

impl From<Box<dyn Fault>> for Failed {
    fn from(fault: Box<dyn Fault>) -> Self {
        Self { refusal: fault.refusal(), cause: causes(&*fault) }
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self { cause: refusal.to_string(), refusal }
    }
}

/// How a handler is run, the same for every kind of subscription on every bus.
pub(crate) struct Receiver {
    pub(crate) service: &'static str,
    /// The name of the queue, as in metrics and traces.
    queue: Arc<str>,
    /// Which bus it is, as in traces.
    system: &'static str,
    budget: Duration,
    handler: Arc<dyn Handler>,
    counted: OnceLock<Counted>,
}

/// What is counted of one queue, found at its first message.
struct Counted {
    ok: Timing,
    failed: Timing,
    redelivered: Counting,
    dead: Counting,
}

impl Counted {
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
    /// A handler of what comes to the durable queue of this name, or without one as a broadcast.
    pub(crate) fn new(
        system: &'static str,
        service: &'static str,
        queue: Option<&str>,
        budget: Duration,
        handler: Arc<dyn Handler>,
    ) -> Self {
        let queue = queue.map_or_else(|| format!("{service}.broadcast").into(), Arc::from);
        Self { service, queue, system, budget, handler, counted: OnceLock::new() }
    }

    fn counted(&self) -> &Counted {
        self.counted.get_or_init(|| Counted::of(&self.queue))
    }

    /// A delivery of this queue was delivered before.
    pub(crate) fn comes_again(&self) {
        self.counted().redelivered.count();
    }

    /// A message of this queue was given up.
    pub(crate) fn buried(&self) {
        self.counted().dead.count();
    }

    /// The context in which a message is handled, and in which is logged what came of it.
    pub(crate) fn context(&self, message: &Envelope) -> Context {
        Context {
            service: self.service,
            trace: message.trace.child(),
            request_id: None,
            deadline: Deadline::after(self.budget),
            upstream: Upstream::default(),
        }
    }

    /// Runs the handler within the current context. A panic is `Internal`; a handler over its budget is dropped and is
    /// `Timeout`.
    pub(crate) async fn handle(&self, message: &Envelope) -> Result<(), Failed> {
        let span = told::process(self.system, self.service, &self.queue, message, Context::current().trace);
        let (counted, begun) = (self.counted(), Instant::now());
        let outcome = self.run(message).await;
        match &outcome {
            Ok(()) => {
                counted.ok.took(begun.elapsed());
                span.end();
            }
            Err(Failed { refusal, .. }) => {
                counted.failed.took(begun.elapsed());
                span.fail(refusal.code.as_str().to_owned());
            }
        }
        outcome
    }

    async fn run(&self, message: &Envelope) -> Result<(), Failed> {
        let work = AssertUnwindSafe(async { self.handler.handle(message).await }).catch_unwind();
        match tokio::time::timeout(self.budget, work).await {
            Ok(Ok(outcome)) => outcome.map_err(Failed::from),
            Ok(Err(_panic)) => {
                Err(Refusal::new(Kind::Internal, "handler_panicked", "The handler panicked.").into())
            }
            Err(_elapsed) => {
                let said = format!("The handler took longer than {:?}.", self.budget);
                Err(Refusal::new(Kind::Timeout, "handler_timed_out", said).into())
            }
        }
    }

    /// Handles a message that nobody keeps: what is refused is gone, with a line in the log.
    pub(crate) async fn hear(&self, message: &Envelope) {
        if let Err(Failed { refusal, cause }) = self.handle(message).await {
            tracing::warn!(
                message_id = %message.id, kind = message.kind, code = refusal.code.as_str(), cause,
                "a broadcast could not be handled"
            );
        }
    }
}

/// What the caller is told of a call that failed. Where the cause lies with us this is where it is logged.
pub(crate) fn refused(fault: &dyn Fault) -> Refusal {
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
    fn what_is_answered_to_a_call_does_not_grow_with_what_it_asked() {
        let fields = vec![kernel::FieldFault::new("/x".repeat(10_000), "odd", "y".repeat(10_000)); 1_000];
        let large = Refusal::new(Kind::Invalid, "invalid", "z".repeat(100_000)).with_fields(fields);
        assert!(serde_json::to_vec(&refused(&large)).expect("JSON").len() < 64 * 1024);
    }

    #[test]
    fn what_a_driver_said_is_kept_for_the_log_and_told_to_nobody() {
        let fault = || StoreFailure::Unavailable("connection refused".into());
        let Failed { refusal, cause } = Failed::from(Box::<dyn Fault>::from(fault()));
        assert!(cause.contains("connection refused"), "{cause}");
        assert_eq!(refusal.kind, Kind::Unavailable);
        for told in [refusal, refused(&fault())] {
            assert!(!format!("{told:?}").contains("connection"), "{told:?}");
        }
    }
}
