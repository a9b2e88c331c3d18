//! Listening: how connections are accepted, shared between clients, served and ended. Every listener of a process is one of these,
//! whether it serves HTTP/1.1, HTTP/2 or gRPC.
//!
//! What protects HTTP/1 protects HTTP/2 too. A client has `patience` to send the headers of a request and to take a part of an
//! answer; each client has a share of the connections, of the open requests and of the bytes that wait to be sent.

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
use crate::http::Share;
use crate::pause;

/// The most headers of a request; their bytes are limited by the edge.
const MAX_HEADERS: usize = 512;
/// The pause after a connection could not be accepted, as when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many connections are closed when the process has no descriptors left.
const RELIEF: usize = 16;
/// Answers up to this many bytes are sent also when too many bytes wait: a refusal is one of them.
pub(crate) const SMALL: usize = 4 * 1024;
/// The time that a connection without a request in hand has to end after it was asked to.
const LINGER: Duration = Duration::from_secs(1);
/// An HTTP/2 connection without a request for this long is asked to end. (Over HTTP/1.1 it is `patience`.)
const IDLE: Duration = Duration::from_secs(60);
/// The shortest time that a client of HTTP/2 has to answer a PING.
const PONG: Duration = Duration::from_secs(5);
/// The longest time that a probe outside of the table may take.
const PROBE: Duration = Duration::from_secs(5);

/// What hyper buffers of a connection: request headers, and what the socket does not take at once.
const HTTP_1_BUFFER: usize = 64 * 1024;
/// The limits of h2. Streams: more than a browser opens; a client with more waits. Resets: as many as h2 itself finds harmless
/// (CVE-2023-44487, CVE-2024-2758). Headers: the 32 KiB of the edge, which counts 4 bytes for each of the 512 headers instead of 32.
const H2_STREAMS: u32 = 100;
const H2_PENDING_RESETS: usize = 20;
const H2_OWN_RESETS: usize = 256;
const H2_HEADER_LIST: u32 = 48 * 1024;
/// What h2 buffers of one answer beyond what the client's window allows.
const H2_SEND_BUFFER: usize = 64 * 1024;
/// What a client may send of bodies that nobody has read yet: of one, and of all on a connection.
const H2_STREAM_WINDOW: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What a listener needs besides its socket.
pub(crate) struct Serving {
    /// Who may have how much.
    pub shares: Shares,
    /// How long a client may take for the headers of a request, and for a part of an answer.
    pub patience: Duration,
    /// How long requests in flight may take when the listener ends; what is left is cut off.
    pub grace: Duration,
}

/// What the tasks of all connections share.
struct Shared {
    router: Router,
    patience: Duration,
    table: Arc<Table>,
    lane: Lane,
    stop: CancellationToken,
    cut: CancellationToken,
}

/// Serves `router` until `stop`; then lets the requests in flight finish for as long as the grace, and cuts what is left.
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
                shared.table.relieve(RELIEF);
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
                let connection = self.table.beside();
                let _ = tokio::time::timeout(PROBE, self.drive(stream, peer, connection, false, false)).await;
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
        // A client that takes nothing of an answer for as long is sent away: else a few such could hold every place.
        let mut stream = Box::pin(TimeoutStream::new(stream));
        stream.as_mut().set_write_timeout_pinned(Some(self.patience));
        let stream = TokioIo::new(Watched::new(stream, connection.clone()));
        let service = {
            let (router, connection) = (self.router.clone(), connection.clone());
            hyper::service::service_fn(move |request| {
                answer(router.clone(), connection.clone(), peer, request)
            })
        };
        let mut builder = Builder::new(Streams::new(connection.clone(), self.patience));
        self.limit(&mut builder, keep_alive);
        let served = builder.serve_connection(stream, service);
        let mut served = std::pin::pin!(served);
        let mut asked = false;
        loop {
            tokio::select! {
                biased;
                ended = served.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error, "a connection ended badly");
                    }
                    return;
                }
                () = self.cut.cancelled() => return,
                () = self.over(&connection), if asked => return,
                () = self.wants_to_end(&connection, http_2), if !asked => {
                    asked = true;
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

    /// Ends when the connection should.
    async fn wants_to_end(&self, connection: &Connection, http_2: bool) {
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

    /// Ends when nothing more is to be expected of a connection that was asked to end: it has sent no request at all; it has none in
    /// hand, and its last bytes have gone; or it was asked for its own behaviour, and the time is over.
    async fn over(&self, connection: &Connection) {
        const LOOK: Duration = Duration::from_millis(50);
        let asked = tokio::time::Instant::now();
        loop {
            let rests = connection.in_flight() == 0;
            if rests && connection.requests() == 0 {
                return;
            }
            if rests && connection.is_flushed() && asked.elapsed() >= LINGER {
                return;
            }
            if connection.closing.is_cancelled() && asked.elapsed() >= self.patience + LINGER {
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
        host::name(&mut request);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(connection.clone());
        let answered: Result<_, Infallible> = router.oneshot(request.map(axum::body::Body::new)).await;
        answered.unwrap_or_else(|never| match never {})
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
    if connection.answered(response.status()) {
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

/// An answer whose bytes are counted. The edge has done that for its own; the others are refused here if they are too large.
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

/// The bytes of an answer, as far as they are known.
pub(crate) fn size_of(response: &Response<axum::body::Body>) -> usize {
    usize::try_from(response.body().size_hint().lower()).unwrap_or(usize::MAX)
}

/// A refusal without words, for what is not behind the edge.
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
