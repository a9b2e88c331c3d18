//! Streams of server-sent events (WHATWG HTML, section 9.2).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::Cache;
use super::client::ClientKey;
use super::problem::{Problem, of_status};
use super::shares::{Share, Shares};

/// The time without an event after which a comment is sent, so that proxies keep the connection open and a
/// client that has gone is noticed.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);
/// The pause after which a client opens its stream again.
const RETRY: Duration = Duration::from_secs(1);
/// The header that makes nginx pass every event on at once.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The open streams of a process, which are bounded for all clients and for each.
#[derive(Debug)]
pub struct EventStreams {
    free: Arc<Semaphore>,
    of_one: Arc<Shares>,
}

/// An open stream, until it is dropped.
#[derive(Debug)]
pub struct OpenStream {
    _of_all: OwnedSemaphorePermit,
    _of_one: Share,
}

impl EventStreams {
    /// Creates the limits: `most` streams together, and `most_of_one` of one client (0 means no limit).
    pub fn new(most: usize, most_of_one: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(most)), of_one: Shares::new(most_of_one) }
    }

    /// Counts a further stream. A client that is not known has no limit of its own.
    ///
    /// # Errors
    /// 429 `too_many_requests` if the client has too many, 503 if all clients together have.
    pub fn open(&self, client: Option<ClientKey>) -> Result<OpenStream, Problem> {
        let of_one = self.of_one.take(client).ok_or_else(too_many_streams)?;
        let of_all = self.free.clone().try_acquire_owned();
        let of_all = of_all.map_err(|_| {
            of_status(StatusCode::SERVICE_UNAVAILABLE).with_header(RETRY_AFTER, HeaderValue::from(1))
        })?;
        Ok(OpenStream { _of_all: of_all, _of_one: of_one })
    }
}

fn too_many_streams() -> Problem {
    let sentence = "This client has too many open streams; close one of them first.";
    Problem::of_http(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", sentence)
        .with_header(RETRY_AFTER, HeaderValue::from(1))
}

/// The moment when the listener stops. A response that goes on by itself ends then. Without a listener that
/// moment never comes.
#[derive(Debug, Clone, Default)]
pub struct Stopping(CancellationToken);

impl From<CancellationToken> for Stopping {
    fn from(token: CancellationToken) -> Self {
        Self(token)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Stopping {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// Returns a response that sends `events` until they end, the client leaves or the process stops. The last
/// line asks the client to come back after a second. No cache and no proxy keeps anything of it.
pub fn event_stream(
    events: impl Stream<Item = Event> + Send + 'static,
    open: OpenStream,
    stopping: Stopping,
) -> Response {
    let farewell = stream::once(async { Event::default().retry(RETRY) });
    let events = events.take_until(stopping.0.cancelled_owned()).chain(farewell).map(move |event| {
        let _ = &open;
        Ok::<_, Infallible>(event)
    });
    let mut response =
        Sse::new(events).keep_alive(KeepAlive::new().interval(COMMENT_INTERVAL)).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, Cache::Never.control());
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::body::{Body, to_bytes};

    use super::*;

    fn client(text: &str) -> Option<ClientKey> {
        Some(text.parse::<IpAddr>().expect("an address").into())
    }

    fn status(outcome: Result<OpenStream, Problem>) -> StatusCode {
        outcome.expect_err("it is refused").into_response().status()
    }

    #[test]
    fn one_client_gets_its_streams_and_all_clients_together_no_more_than_there_are() {
        let streams = EventStreams::new(3, 2);
        let first = streams.open(client("192.0.2.1")).expect("the first");
        let second = streams.open(client("192.0.2.1")).expect("the second");
        assert_eq!(status(streams.open(client("192.0.2.1"))), 429);
        let _third = streams.open(client("192.0.2.2")).expect("another client");
        assert_eq!(status(streams.open(client("192.0.2.3"))), 503);
        drop(first);
        streams.open(client("192.0.2.1")).expect("a closed stream makes room");
        drop(second);
    }

    #[tokio::test]
    async fn a_stop_ends_the_stream_with_the_time_to_come_back() {
        let (streams, token) = (EventStreams::new(1, 1), CancellationToken::new());
        let open = streams.open(None).expect("opens");
        let endless = stream::once(async { Event::default().data("one") }).chain(stream::pending());
        let response = event_stream(endless, open, Stopping(token.clone()));
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(status(streams.open(None)), 503);
        token.cancel();
        let body: Body = response.into_body();
        let text = to_bytes(body, 1_000).await.expect("the stream ends");
        assert!(text.ends_with(b"retry: 1000\n\n"), "{}", String::from_utf8_lossy(&text));
        streams.open(None).expect("the stream that ended makes room");
    }
}
