//! The access line: one for every request, at its end, whichever that is.

use std::time::{Duration, Instant};

use axum::response::Response;
use http::Method;
use http_body::Body as _;

use super::client::ClientAddress;
use super::guard::{Actor, Route};
use crate::Context;

/// What stands in the access line of a client that left before it was answered, as nginx writes it.
const CLIENT_LEFT: u16 = 499;

/// The line of one request. Dropped unwritten, its client has left.
pub(super) struct Access {
    context: Context,
    method: Method,
    started: Instant,
    client: ClientAddress,
    written: bool,
}

impl Access {
    pub(super) fn new(context: Context, method: Method, started: Instant, client: ClientAddress) -> Self {
        Self { context, method, started, client, written: false }
    }

    pub(super) fn answered(mut self, response: &Response) {
        self.written = true;
        let route = response.extensions().get::<Route>();
        let actor = response.extensions().get::<Actor>().map_or("anonymous", |actor| actor.0.as_str());
        let bytes = response.body().size_hint().exact().unwrap_or(0);
        self.write(route, response.status().as_u16(), bytes, actor);
    }

    /// Writes it on behalf of the service that answered.
    fn write(&self, route: Option<&Route>, status: u16, bytes: u64, actor: &str) {
        let service = route.map_or(self.context.service, |route| route.service);
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let client = self.client.is_known().then_some(self.client.0);
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
                "answered"
            );
        });
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        if !self.written {
            self.write(None, CLIENT_LEFT, 0, "unknown");
        }
    }
}
