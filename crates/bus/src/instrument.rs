//! Durations and spans of what travels over the bus, the same for every adapter.
//!
//! Names and attributes of spans are OpenTelemetry's: `publish` and `process` for messages, client and server
//! for calls.

use std::time::Instant;

use chassis::spans::{Span, is_exported};
use kernel::{Refusal, Trace};

use crate::metrics::PUBLISH;
use crate::{BusError, Envelope};

/// A measured publication. If it is dropped before its end, it counts as given up.
pub(crate) struct Publication {
    begun: Instant,
    outcome: &'static str,
    spans: Vec<Span>,
}

impl Publication {
    /// Begins to measure. If a message's trace is exported, its consumers continue from the publication, not
    /// from the effect.
    pub(crate) fn begin(system: &'static str, messages: &mut [Envelope]) -> Self {
        let traced = messages.iter_mut().filter(|message| is_exported(message.trace));
        let spans = traced.map(|message| start_publish(system, message)).collect();
        Self { begun: Instant::now(), outcome: "given_up", spans }
    }

    /// Ends the measurement and returns the outcome.
    pub(crate) fn end(mut self, outcome: Result<(), BusError>) -> Result<(), BusError> {
        self.outcome = if outcome.is_ok() { "ok" } else { "failed" };
        for span in self.spans.drain(..) {
            if outcome.is_ok() { span.end() } else { span.fail("the bus did not confirm") }
        }
        outcome
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        PUBLISH.record([self.outcome.into()], self.begun.elapsed());
    }
}

fn start_publish(system: &'static str, message: &mut Envelope) -> Span {
    let parent = message.trace;
    message.trace = parent.child();
    let span = Span::producer(format!("publish {}", message.key), message.trace, parent);
    describe_message(span, system, "publish", "send", message).with("portal.service", message.source.clone())
}

/// Starts the span of a handler that processes a message.
pub(crate) fn start_process(
    system: &'static str,
    service: &'static str,
    queue: &str,
    message: &Envelope,
    own: Trace,
) -> Span {
    if !is_exported(own) {
        return Span::none();
    }
    let span = Span::consumer(format!("process {queue}"), own, message.trace);
    describe_message(span, system, "process", "process", message)
        .with("messaging.consumer.group.name", queue.to_owned())
        .with("portal.service", service)
}

fn describe_message(
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

/// Starts the span of a caller. Returns it with the trace to send along, which is the caller's own if the
/// trace is not exported.
pub(crate) fn start_client(
    service: &'static str,
    address: &str,
    method: &str,
    caller: Trace,
) -> (Span, Trace) {
    if !is_exported(caller) {
        return (Span::none(), caller);
    }
    let sent = caller.child();
    let span = Span::client(format!("{address}/{method}"), sent, caller);
    (describe_call(span, service, address, method), sent)
}

/// Starts the span of a server. `own` is the trace of its work, `received` the one that came with the call.
pub(crate) fn start_server(
    service: &'static str,
    address: &str,
    method: &str,
    own: Trace,
    received: Option<Trace>,
) -> Span {
    if !is_exported(own) {
        return Span::none();
    }
    describe_call(Span::server(format!("{address}/{method}"), own, received), service, address, method)
}

fn describe_call(span: Span, service: &'static str, address: &str, method: &str) -> Span {
    span.with("rpc.system", "portal.bus")
        .with("rpc.service", address.to_owned())
        .with("rpc.method", method.to_owned())
        .with("portal.service", service)
}

/// Ends the span of a call with its outcome.
pub(crate) fn end_call<T>(mut span: Span, outcome: &Result<T, Refusal>) {
    match outcome {
        Ok(_) => span.end(),
        Err(_) if !span.is_recording() => {}
        Err(refusal) if refusal.kind.is_server_error() => span.fail(refusal.code.as_str().to_owned()),
        Err(refusal) => {
            span.set("error.type", refusal.code.as_str().to_owned());
            span.end();
        }
    }
}
