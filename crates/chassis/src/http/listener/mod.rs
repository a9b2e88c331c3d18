//! The listener: it accepts connections, shares them between clients, serves and ends them. Every listener of
//! a process is one of these, whether it serves HTTP/1.1, HTTP/2 or gRPC.
//!
//! HTTP/1 and HTTP/2 have the same protection. A client has `patience` to send the headers of a request and
//! to read a part of an answer. Each client has a share of the connections, of the open requests, and of the
//! bytes that wait to be sent.

mod body;
mod bounds;
mod connection;
mod host;
mod io;
mod opening;
mod streams;
mod table;
#[cfg(test)]
mod tests;
mod unsent;
mod usage;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use self::body::Sending;
pub(crate) use self::bounds::{Bound, Shares, reached};
pub(crate) use self::connection::Connection;
use self::connection::InFlight;
use self::io::Watched;
use self::opening::{Lane, asks_for_a_probe, speaks_http_2};
use self::streams::{Progress, Streams};
use self::table::{Place, Table};
pub(crate) use self::unsent::Reserved;
use crate::http::{Share, Stopping};
use crate::pause;

/// The most headers of a request. The edge limits their bytes.
const MAX_HEADERS: usize = 512;
/// The pause after a connection could not be accepted, as when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The number of connections that are closed when the process has no descriptors left.
const RELIEF: usize = 16;
/// Answers up to this many bytes are sent even if too many bytes wait. Refusals are among them.
pub(crate) const SMALL: usize = 4 * 1024;
/// The time that a connection without a request in flight has to end.
const LINGER: Duration = Duration::from_secs(1);
/// The time without a request after which an HTTP/2 connection ends. (Over HTTP/1.1 it is `patience`.)
const IDLE: Duration = Duration::from_secs(60);
/// The shortest limit for the answer to a PING over HTTP/2.
const PONG: Duration = Duration::from_secs(5);
/// The longest time of a probe outside of the table.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The buffer of hyper for a connection: request headers, and bytes that the socket does not take
/// immediately.
const HTTP_1_BUFFER: usize = 64 * 1024;
/// The limits of h2. Streams: more than a browser opens; a client with more waits. Resets: as many as h2
/// itself finds harmless (CVE-2023-44487, CVE-2024-2758). Headers: the 32 KiB of the edge, which counts 4
/// bytes for each of the 512 headers instead of 32.
const H2_STREAMS: u32 = 100;
const H2_PENDING_RESETS: usize = 20;
const H2_OWN_RESETS: usize = 256;
const H2_HEADER_LIST: u32 = 48 * 1024;
/// The buffer of h2 for one answer beyond the window of the client.
const H2_SEND_BUFFER: usize = 64 * 1024;
/// The most bytes of unread request bodies: of one request, and of all on a connection.
const H2_STREAM_WINDOW: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;

/// The limits of a listener.
pub(crate) struct Serving {
    /// The shares of the clients.
    pub shares: Shares,
    /// The time that a client has to send the headers of a request, and to read a part of an answer.
    pub patience: Duration,
    /// The time for requests in flight when the listener stops. After it they are cut off.
    pub grace: Duration,
}

/// The state that the tasks of all connections share.
struct Shared {
    router: Router,
    patience: Duration,
    table: Arc<Table>,
    lane: Lane,
    stop: CancellationToken,
    cut: CancellationToken,
}

/// Serves `router` until `stop`. Then requests in flight may finish within the grace, and the rest is cut
/// off.
pub(crate) async fn listen(listener: TcpListener, router: Router, stop: CancellationToken, serving: Serving) {
    let shared = Arc::new(Shared {
        router,
        patience: serving.patience,
        table: Arc::new(Table::new(serving.shares)),
        lane: Lane::default(),
        stop: stop.clone(),
        cut: CancellationToken::new(),
    });
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                shared.table.close_idlest(RELIEF);
                pause(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // A small answer must not wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let shared = shared.clone();
        match shared.table.admit(peer.ip()) {
            Ok(place) => {
                connections.spawn(async move { shared.serve(stream, peer, place).await });
            }
            Err(bound) => {
                reached(bound, Some(peer.ip().into()));
                connections.spawn(async move { shared.serve_probe(stream, peer).await });
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(serving.grace, connections.wait()).await.is_err() {
        tracing::warn!("requests in flight were cut off: they took longer than process.grace_ms");
    }
    shared.cut.cancel();
    connections.wait().await;
}

impl Shared {
    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, place: Place) {
        let connection = place.connection.clone();
        let http_2 = tokio::select! {
            biased;
            begun = tokio::time::timeout(self.patience, speaks_http_2(&stream)) => begun,
            () = connection.closing.cancelled() => return,
            () = self.stop.cancelled() => return,
        };
        let Ok(Ok(http_2)) = http_2 else { return };
        self.drive(stream, peer, connection, http_2, true).await;
    }

    /// Serves a connection that has no place in the table, if it asks for a probe.
    async fn serve_probe(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let place = self.lane.enter();
        let probe = async {
            if asks_for_a_probe(&stream).await {
                let connection = self.table.for_probe();
                let _ =
                    tokio::time::timeout(PROBE_TIMEOUT, self.drive(stream, peer, connection, false, false))
                        .await;
            }
        };
        tokio::select! {
            biased;
            () = probe => {}
            () = place.cancelled() => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Serves a connection to its end.
    async fn drive(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        connection: Arc<Connection>,
        http_2: bool,
        keep_alive: bool,
    ) {
        // The connection of a client that reads nothing of an answer for this time ends. Otherwise a few such
        // clients could hold every place.
        let mut stream = Box::pin(TimeoutStream::new(stream));
        stream.as_mut().set_write_timeout_pinned(Some(self.patience));
        let stream = TokioIo::new(Watched::new(stream, connection.clone()));
        let service = {
            let (router, connection) = (self.router.clone(), connection.clone());
            let stopping = Stopping::from(self.stop.clone());
            hyper::service::service_fn(move |mut request| {
                request.extensions_mut().insert(stopping.clone());
                answer(router.clone(), connection.clone(), peer, request)
            })
        };
        let mut builder = Builder::new(Streams::new(connection.clone(), self.patience));
        self.limit(&mut builder, keep_alive);
        let served = builder.serve_connection(stream, service);
        let mut served = std::pin::pin!(served);
        let mut is_ending = false;
        loop {
            tokio::select! {
                biased;
                ended = served.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error, "a connection ended with an error");
                    }
                    return;
                }
                () = self.cut.cancelled() => return,
                () = self.over(&connection), if is_ending => return,
                () = self.wait_until_ending(&connection, http_2), if !is_ending => {
                    is_ending = true;
                    served.as_mut().graceful_shutdown();
                }
            }
        }
    }

    fn limit(&self, builder: &mut Builder<Streams>, keep_alive: bool) {
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.patience)
            .max_headers(MAX_HEADERS)
            .max_buf_size(HTTP_1_BUFFER)
            .keep_alive(keep_alive);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(self.patience))
            .keep_alive_timeout(self.patience.max(PONG))
            .max_concurrent_streams(H2_STREAMS)
            .max_pending_accept_reset_streams(H2_PENDING_RESETS)
            .max_local_error_reset_streams(H2_OWN_RESETS)
            .max_header_list_size(H2_HEADER_LIST)
            .max_send_buf_size(H2_SEND_BUFFER)
            .initial_stream_window_size(H2_STREAM_WINDOW)
            .initial_connection_window_size(H2_CONNECTION_WINDOW);
    }

    /// Waits until the connection should end.
    async fn wait_until_ending(&self, connection: &Connection, http_2: bool) {
        let idle = async {
            if !http_2 {
                std::future::pending::<()>().await;
            }
            while connection.in_flight() > 0 || connection.idle_for() < IDLE {
                pause(IDLE.saturating_sub(connection.idle_for()).max(LINGER)).await;
            }
            connection.closing.cancel();
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = connection.closing.cancelled() => {}
            () = idle => {}
        }
    }

    /// Waits until an ending connection can be dropped: it never sent a request; it has none in flight and
    /// its last bytes are sent; or it ends because of its own behaviour, and its time is over.
    async fn over(&self, connection: &Connection) {
        const LOOK: Duration = Duration::from_millis(50);
        let since = tokio::time::Instant::now();
        loop {
            let is_idle = connection.in_flight() == 0;
            if is_idle && connection.requests() == 0 {
                return;
            }
            if is_idle && connection.is_flushed() && since.elapsed() >= LINGER {
                return;
            }
            if connection.closing.is_cancelled() && since.elapsed() >= self.patience + LINGER {
                return;
            }
            pause(LOOK).await;
        }
    }
}

/// Answers one request.
async fn answer(
    router: Router,
    connection: Arc<Connection>,
    peer: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Response<Sending>, h2::Error> {
    let http_2 = request.version() == Version::HTTP_2;
    let in_flight = match connection.begin(http_2) {
        Ok(in_flight) => in_flight,
        Err(bound) => {
            reached(bound, connection.client());
            return Err(h2::Reason::REFUSED_STREAM.into());
        }
    };
    let response = if host::is_valid(&request) {
        host::unify(&mut request);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(connection.clone());
        let response: Result<_, Infallible> = router.oneshot(request.map(axum::body::Body::new)).await;
        response.unwrap_or_else(|never| match never {})
    } else {
        host::refusal(request.uri().path())
    };
    Ok(send(response, connection, http_2, in_flight))
}

/// Hands an answer to hyper.
fn send(
    response: Response<axum::body::Body>,
    connection: Arc<Connection>,
    http_2: bool,
    in_flight: InFlight,
) -> Response<Sending> {
    let (mut response, reserved) = reserved(response, &connection);
    if connection.note_answer(response.status()) {
        if http_2 {
            connection.closing.cancel();
        } else {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
    let stream = if http_2 { Progress::current() } else { None };
    let share = response.extensions_mut().remove::<Arc<Share>>();
    response.map(|body| Sending::new(body, reserved, connection, stream, (in_flight, share)))
}

/// Counts the bytes of an answer. The edge has counted those of its own answers; the others are refused here
/// if they are too large.
fn reserved(
    mut response: Response<axum::body::Body>,
    connection: &Arc<Connection>,
) -> (Response<axum::body::Body>, Arc<Reserved>) {
    if let Some(reserved) = response.extensions_mut().remove::<Arc<Reserved>>() {
        return (response, reserved);
    }
    let bytes = size_of(&response);
    match if bytes > SMALL { connection.reserve(bytes) } else { Ok(connection.reserve_anyway(bytes)) } {
        Ok(reserved) => (response, Arc::new(reserved)),
        Err(bound) => {
            reached(bound, connection.client());
            let refused = refused(response.headers().get(header::CONTENT_TYPE));
            (refused, Arc::new(connection.reserve_anyway(0)))
        }
    }
}

/// Returns the bytes of an answer, as far as they are known.
pub(crate) fn size_of(response: &Response<axum::body::Body>) -> usize {
    usize::try_from(response.body().size_hint().lower()).unwrap_or(usize::MAX)
}

/// Returns a refusal without a body, for answers that do not come from the edge.
fn refused(kind: Option<&HeaderValue>) -> Response<axum::body::Body> {
    let grpc = kind.filter(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    match grpc {
        Some(kind) => {
            let exhausted = HeaderValue::from(i32::from(tonic::Code::ResourceExhausted));
            ([(header::CONTENT_TYPE, kind.clone()), (GRPC_STATUS, exhausted)], ()).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response(),
    }
}

const GRPC_STATUS: http::HeaderName = http::HeaderName::from_static("grpc-status");
