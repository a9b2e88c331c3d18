//! The access line: one for every request, however it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::Response;
use http::Method;
use http_body::Body as _;
use moka::sync::Cache;

use super::client::{ClientAddress, ClientKey};
use super::guard::RouteLabel;
use crate::Context;
use crate::observe::LogLimit;
use crate::observe::metrics::{HTTP, Value};
use crate::observe::spans::Span;

/// The status in the access line of a client that disconnected before it got a response; nginx uses the same.
const CLIENT_LEFT: u16 = 499;

/// The clients whose refusals are counted. Each of them causes one line a second and not one for each
/// request.
#[derive(Clone)]
pub(super) struct Refusals(Cache<ClientKey, Arc<LogLimit>>);

impl Default for Refusals {
    fn default() -> Self {
        const CLIENTS: u64 = 10_000;
        const MEMORY: Duration = Duration::from_secs(60);
        Self(Cache::builder().max_capacity(CLIENTS).time_to_idle(MEMORY).build())
    }
}

impl Refusals {
    /// Returns the number of requests that the line stands for; `None` if no line is written now.
    fn count(&self, client: ClientAddress, status: u16) -> Option<u64> {
        match client.known().filter(|_| status == 429) {
            Some(address) => self.0.get_with(address.into(), Arc::default).count(),
            None => Some(1),
        }
    }
}

/// The access line of one request. If it is dropped before it is written, the client has disconnected.
pub(super) struct Access {
    context: Context,
    method: Method,
    started: Instant,
    client: ClientAddress,
    span: Span,
    refusals: Refusals,
    written: bool,
}

impl Access {
    pub(super) fn new(
        context: Context,
        method: Method,
        started: Instant,
        client: ClientAddress,
        span: Span,
        refusals: Refusals,
    ) -> Self {
        Self { context, method, started, client, span, refusals, written: false }
    }

    /// Writes the line of a request that got this response.
    pub(super) fn finish(mut self, response: &Response) {
        self.written = true;
        let route = response.extensions().get::<RouteLabel>();
        let actor = route.map_or("anonymous", |route| &route.actor);
        let bytes = response.body().size_hint().exact().unwrap_or(0);
        self.write(route, response.status().as_u16(), bytes, actor);
    }

    /// Writes the line in the name of the service that answered.
    fn write(&mut self, route: Option<&RouteLabel>, status: u16, bytes: u64, actor: &str) {
        let service = route.map_or(self.context.service, |route| route.service);
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let client = self.client.known();
        self.measure(service, route, status);
        let Some(times) = self.refusals.count(self.client, status) else { return };
        self.context.clone().of(service).scope_now(|| {
            tracing::info!(
                target: "access",
                method = %self.method,
                route = route.map_or("-", |route| &route.template),
                status,
                duration_ms = millis(self.started.elapsed()),
                upstream_ms = millis(self.context.upstream.spent()),
                bytes,
                actor,
                deadline_left_ms = millis(self.context.deadline.left()),
                peer = client.map(tracing::field::display),
                times = (times > 1).then_some(times),
                "answered"
            );
        });
    }
}

impl Access {
    /// Records the request in the metrics and in its span.
    fn measure(&mut self, service: &'static str, route: Option<&RouteLabel>, status: u16) {
        // A client can invent methods, and each would be a new series.
        const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let method = KNOWN.into_iter().find(|known| *known == self.method.as_str()).unwrap_or("_OTHER");
        let template = route.map_or(Value::from("-"), |route| route.template.clone().into());
        let labels = [service.into(), template, method.into(), status.to_string().into()];
        HTTP.record(labels, self.started.elapsed());
        let mut span = std::mem::replace(&mut self.span, Span::none());
        if span.is_recording() {
            let template = route.map_or("-", |route| &route.template);
            span.rename(format!("{method} {template}"));
            span.set("portal.service", service);
            span.set("http.request.method", method);
            span.set("http.route", template.to_owned());
            span.set("http.response.status_code", i64::from(status));
        }
        if status >= 500 { span.fail("server error") } else { span.end() }
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        if !self.written {
            self.write(None, CLIENT_LEFT, 0, "unknown");
        }
    }
}
