use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chassis::Context;
use futures::FutureExt;
use kernel::{Deadline, Kind, Refusal};

use crate::{Envelope, Handler};

/// How a handler is run, the same for every kind of subscription on every bus.
pub(crate) struct Receiver {
    pub(crate) service: &'static str,
    pub(crate) budget: Duration,
    pub(crate) handler: Arc<dyn Handler>,
}

impl Receiver {
    /// The context in which a message is handled, and in which is logged what came of it.
    pub(crate) fn context(&self, message: &Envelope) -> Context {
        let deadline = Deadline::after(self.budget);
        Context { service: self.service, trace: message.trace.child(), request_id: None, deadline }
    }

    /// Runs the handler within the current context. A panic is `Internal`; a handler over its budget is dropped and is
    /// `Timeout`.
    pub(crate) async fn handle(&self, message: &Envelope) -> Result<(), Refusal> {
        let work = AssertUnwindSafe(async { self.handler.handle(message).await }).catch_unwind();
        match tokio::time::timeout(self.budget, work).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_panic)) => Err(Refusal::new(Kind::Internal, "handler_panicked", "The handler panicked.")),
            Err(_elapsed) => Err(Refusal::new(
                Kind::Timeout,
                "handler_timed_out",
                format!("The handler took longer than {:?}.", self.budget),
            )),
        }
    }

    /// Handles a message that nobody keeps: what is refused is gone, with a line in the log.
    pub(crate) async fn hear(&self, message: &Envelope) {
        if let Err(reason) = self.handle(message).await {
            tracing::warn!(
                message_id = %message.id, kind = message.kind, code = reason.code.as_str(),
                "a broadcast could not be handled"
            );
        }
    }
}
