//! What goes over the bus as those see it who watch: how long it took, and its place in the trace. The same on every adapter.
//!
//! Names and attributes of spans are OpenTelemetry's: `publish` and `process` for messages, client and server for calls.

use std::time::Instant;

use chassis::spans::{Span, wanted};
use kernel::{Refusal, Trace};

use crate::metrics::PUBLISH;
use crate::{BusError, Envelope};

/// A publication under way. Dropped before its end it was given up.
pub(crate) struct Publishing {
    begun: Instant,
    outcome: &'static str,
    spans: Vec<Span>,
}

impl Publishing {
    /// From now on. Where a message's trace is told, its consumers go on from the publication and not from the effect.
    pub(crate) fn begin(system: &'static str, messages: &mut [Envelope]) -> Self {
        let told = messages.iter_mut().filter(|message| wanted(message.trace));
        let spans = told.map(|message| publish(system, message)).collect();
        Self { begun: Instant::now(), outcome: "given_up", spans }
    }

    /// Until now.
    pub(crate) fn end(mut self, outcome: Result<(), BusError>) -> Result<(), BusError> {
        self.outcome = if outcome.is_ok() { "ok" } else { "failed" };
        for span in self.spans.drain(..) {
            if outcome.is_ok() { span.end() } else { span.fail("the bus did not confirm") }
        }
        outcome
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        PUBLISH.took([self.outcome.into()], self.begun.elapsed());
    }
}

fn publish(system: &'static str, message: &mut Envelope) -> Span {
    let parent = message.trace;
    message.trace = parent.child();
    let span = Span::producer(format!("publish {}", message.key), message.trace, parent);
    about(span, system, "publish", "send", message).with("portal.service", message.source.clone())
}

/// The span of a handler at work.
pub(crate) fn process(
    system: &'static str,
    service: &'static str,
    queue: &str,
    message: &Envelope,
    own: Trace,
) -> Span {
    if !wanted(own) {
        return Span::none();
    }
    let span = Span::consumer(format!("process {queue}"), own, message.trace);
    about(span, system, "process", "process", message)
        .with("messaging.consumer.group.name", queue.to_owned())
        .with("portal.service", service)
}

fn about(
    span: Span,
    system: &'static str,
    name: &'static str,
    kind: &'static str,
    message: &Envelope,
) -> Span {
    span.with("messaging.system", system)
        .with("messaging.operation.name", name)
        .with("messaging.operation.type", kind)
        .with("messaging.destination.name", message.key.clone())
        .with("messaging.message.id", message.id.to_string())
}

/// The span of somebody who asks, and the trace that goes along with the question: where the span is told to nobody the caller's
/// own.
pub(crate) fn asking(service: &'static str, address: &str, method: &str, caller: Trace) -> (Span, Trace) {
    if !wanted(caller) {
        return (Span::none(), caller);
    }
    let asked = caller.child();
    (named(Span::client(format!("{address}/{method}"), asked, caller), service, address, method), asked)
}

/// The span of somebody who answers; `own` is the trace of the work, `asked` what came with the question.
pub(crate) fn answering(
    service: &'static str,
    address: &str,
    method: &str,
    own: Trace,
    asked: Option<Trace>,
) -> Span {
    if !wanted(own) {
        return Span::none();
    }
    named(Span::server(format!("{address}/{method}"), own, asked), service, address, method)
}

fn named(span: Span, service: &'static str, address: &str, method: &str) -> Span {
    span.with("rpc.system", "portal.bus")
        .with("rpc.service", address.to_owned())
        .with("rpc.method", method.to_owned())
        .with("portal.service", service)
}

/// Ends the span of a call.
pub(crate) fn answered<T>(mut span: Span, outcome: &Result<T, Refusal>) {
    match outcome {
        Ok(_) => span.end(),
        Err(_) if !span.is_told() => {}
        Err(refusal) if refusal.kind.is_server_error() => span.fail(refusal.code.as_str().to_owned()),
        Err(refusal) => {
            span.set("error.type", refusal.code.as_str().to_owned());
            span.end();
        }
    }
}
