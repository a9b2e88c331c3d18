//! gRPC over one type of transport: the same generated client calls a neighbour in this process and a server
//! over the network.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response};
use kernel::{Deadline, Fault, Kind, Refusal, Trace};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt};

use super::replicas::{Replicas, is_caused_by};
use crate::net::Surroundings;
use crate::observe::metrics::GRPC;
use crate::observe::spans::Span;
use crate::observe::{Context, Upstream, log_failure};
use crate::values::{Secret, causes};

/// The way to a gRPC server, in this process or over the network.
///
/// It enforces the deadline of [`Context::current`]: within a process nothing else would, and over the
/// network tonic answers `Cancelled`. It passes trace and deadline on, and turns a panic of a neighbour into
/// `Internal`. Dropping a call cancels it.
///
/// It is a type with a named error, because behind a boxed error the compiler can't prove that the futures of
/// a generated client are `Send` (rust-lang/rust#102211).
#[derive(Clone)]
pub struct Transport(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>);

impl tower::Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, context: &mut std::task::Context<'_>) -> Poll<Result<(), Status>> {
        self.0.poll_ready(context).map_err(Status::from_error)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move { answer.await.map_err(Status::from_error) })
    }
}

impl Transport {
    /// Adds the token by which the server knows this service. An empty token adds nothing.
    pub fn with_token(self, token: &Secret) -> Self {
        let bearer = format!("Bearer {}", token.expose());
        let Some(mut bearer) = HeaderValue::from_str(&bearer).ok().filter(|_| !token.expose().is_empty())
        else {
            return self;
        };
        bearer.set_sensitive(true);
        let inner = self.0;
        Transport(BoxCloneSyncService::new(tower::service_fn(move |mut request: Request<Body>| {
            request.headers_mut().insert(AUTHORIZATION, bearer.clone());
            inner.clone().oneshot(request)
        })))
    }
}

/// The reason why a URL leads to no server.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The URL is `inproc:` and this process holds a single service.
    #[error(
        "{0} can only be reached if the services share a process; set the address of the server, such as http://users:50051"
    )]
    Alone(String),
    /// The URL can't be read.
    #[error("{0} is not the address of a gRPC server, such as http://users:50051")]
    Address(String),
}

/// The header with the [`Refusal`] beside the gRPC status, so that kind, code and fields reach the caller.
const REFUSAL: &str = "portal-refusal-bin";
/// The most bytes of all faults of a refusal. It travels in headers, and HTTP/2 clients accept 16 KiB of them
/// by default.
const MAX_FAULT_BYTES: usize = 4 * 1024;
const TIMEOUT: &str = "grpc-timeout";
const TRACEPARENT: &str = "traceparent";

impl Surroundings {
    /// Returns the way to a gRPC server: `inproc://users`, or `http://users:50051`, whose name may mean
    /// several servers. Several such addresses have commas between them. Nothing is connected before the
    /// first call.
    ///
    /// # Errors
    /// If the URL can't be read, or is `inproc:` in a service that has its process to itself.
    pub fn transport(&self, url: &str) -> Result<Transport, TransportError> {
        open(url, self)
    }
}

fn open(url: &str, surroundings: &Surroundings) -> Result<Transport, TransportError> {
    if let Some(name) = url.strip_prefix("inproc://") {
        if !surroundings.allows_in_process() {
            return Err(TransportError::Alone(url.to_owned()));
        }
        let (surroundings, name) = (surroundings.clone(), name.to_owned());
        return Ok(guarded(tower::service_fn(move |request: Request<Body>| {
            let neighbour = surroundings.grpc(&name);
            async move {
                match neighbour {
                    Some(router) => Ok(router.oneshot(request).await?.map(Body::new)),
                    None => Ok(Status::unavailable("the neighbour has not started").into_http()),
                }
            }
        })));
    }
    let replicas = Replicas::new(url).ok_or_else(|| TransportError::Address(url.to_owned()))?;
    let replicas = Arc::new(replicas);
    Ok(guarded(tower::service_fn(move |request| replicas.clone().call(request))))
}

fn guarded<S>(inner: S) -> Transport
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    Transport(BoxCloneSyncService::new(tower::service_fn(move |mut request: Request<Body>| {
        let inner = inner.clone();
        let context = Context::current();
        async move {
            let _counting = context.upstream.count();
            let left = context.deadline.left();
            if left.is_zero() {
                // A neighbour in this process might still answer immediately, but its caller has given up.
                return Ok(Status::deadline_exceeded("the deadline is over").into_http());
            }
            let method = request.uri().path().trim_start_matches('/').to_owned();
            let headers = request.headers_mut();
            let trace = context.trace.child();
            let span = Span::client(method, trace, context.trace).with("portal.service", context.service);
            set(headers, TRACEPARENT, &trace.to_string());
            set(headers, TIMEOUT, &format!("{}m", left.as_millis().min(99_999_999)));
            let call = AssertUnwindSafe(inner.oneshot(request)).catch_unwind();
            let answer = match tokio::time::timeout(left, call).await {
                // tonic reads the header set above and may notice the deadline first; it reports a
                // cancellation.
                Ok(Ok(Err(error))) if is_caused_by::<tonic::TimeoutExpired>(&*error) => {
                    Ok(Status::deadline_exceeded("the deadline is over").into_http())
                }
                Ok(Ok(answer)) => answer,
                Ok(Err(_panic)) => Ok(Status::internal("the callee panicked").into_http()),
                Err(_over) => Ok(Status::deadline_exceeded("the deadline is over").into_http()),
            };
            end_span(span, answer.as_ref().map_or(Code::Unavailable, |answer| code_in(answer.headers())));
            answer
        }
    })))
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Puts routes behind the edge that every gRPC server has. The caller's trace and deadline become the
/// [`Context`], work stops at its deadline, and a panic is answered with `Internal`.
pub fn grpc_edge(service: &'static str, routes: tonic::service::Routes) -> tonic::service::Routes {
    let router = routes.into_axum_router().layer(axum::middleware::from_fn(
        move |request: axum::extract::Request, next: axum::middleware::Next| async move {
            let parent = header(request.headers(), TRACEPARENT).and_then(|text| text.parse::<Trace>().ok());
            let trace = parent.map_or_else(Trace::start, Trace::child);
            let budget =
                header(request.headers(), TIMEOUT).and_then(grpc_timeout).unwrap_or(Duration::from_secs(5));
            let context = Context {
                service,
                trace,
                request_id: None,
                deadline: Deadline::after(budget),
                upstream: Upstream::default(),
            };
            let (method, started) = (request.uri().path().trim_start_matches('/').to_owned(), Instant::now());
            let span = Span::server(method.clone(), trace, parent).with("portal.service", service);
            let work = AssertUnwindSafe(context.clone().scope(next.run(request))).catch_unwind();
            let response = match tokio::time::timeout(budget, work).await {
                Ok(Ok(response)) => response,
                Ok(Err(_panic)) => {
                    tracing::error!(service, "a gRPC handler panicked");
                    Status::internal(Kind::Internal.sentence()).into_http()
                }
                Err(_over) => Status::deadline_exceeded(Kind::Timeout.sentence()).into_http(),
            };
            let code = code_in(response.headers());
            GRPC.record(
                [service.into(), method.clone().into(), format!("{code:?}").into()],
                started.elapsed(),
            );
            end_span(span, code);
            context.scope_now(|| log_access(&method, started, code));
            response
        },
    ));
    tonic::service::Routes::from(router)
}

/// Writes the access line of a call. Methods are fixed names, so they contain nothing of the request.
fn log_access(method: &str, started: Instant, code: Code) {
    let status = i32::from(code);
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(target: "access", route = method, grpc_status = status, duration_ms, "answered a call");
}

/// Returns the code of an answer. After a success it follows the body.
fn code_in(headers: &HeaderMap) -> Code {
    header(headers, "grpc-status").and_then(|text| text.parse().ok()).map_or(Code::Ok, Code::from_i32)
}

fn end_span(mut span: Span, code: Code) {
    span.set("rpc.grpc.status_code", i64::from(i32::from(code)));
    let ours = matches!(code, Code::Internal | Code::Unavailable | Code::DeadlineExceeded | Code::Unknown);
    if ours { span.fail(format!("{code:?}")) } else { span.end() }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Reads a `grpc-timeout` (gRPC over HTTP/2, "Timeout"): at most eight digits and a unit.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let value: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// Returns the gRPC status of a failure, by the one table. The cause of a failure of ours is logged here and
/// not sent.
pub fn status_of(fault: &dyn Fault) -> Status {
    let refusal = fault.refusal().bounded_to(MAX_FAULT_BYTES);
    if refusal.kind.is_server_error() {
        let cause = causes(fault);
        log_failure(refusal.kind, refusal.code.as_str(), &cause, "a gRPC call could not be served");
    }
    let mut sentence = refusal.detail.clone();
    kernel::clip(&mut sentence, kernel::MAX_ECHO);
    let mut status = Status::new(code_of(refusal.kind), sentence);
    if let Ok(json) = serde_json::to_vec(&refusal) {
        let value = tonic::metadata::MetadataValue::from_bytes(&json);
        status.metadata_mut().insert_bin(REFUSAL, value);
    }
    status
}

/// Returns the refusal of a gRPC call. A status without one, as from a proxy or a dead connection, becomes
/// the kind that its code means.
pub fn refusal_of(status: &Status) -> Refusal {
    let carried = status.metadata().get_bin(REFUSAL).and_then(|value| value.to_bytes().ok());
    if let Some(refusal) = carried.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return refusal;
    }
    let kind = kind_of(status.code());
    let code = match kind {
        Kind::Timeout => "deadline_exceeded",
        Kind::Unavailable => "dependency_unavailable",
        Kind::NotFound => "not_found",
        _ => "dependency_failed",
    };
    Refusal::new(kind, code, kind.sentence())
}

fn code_of(kind: Kind) -> Code {
    match kind {
        Kind::Malformed | Kind::Invalid => Code::InvalidArgument,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Forbidden => Code::PermissionDenied,
        Kind::NotFound | Kind::Gone => Code::NotFound,
        Kind::Conflict => Code::AlreadyExists,
        Kind::Stale => Code::Aborted,
        Kind::TooMany => Code::ResourceExhausted,
        Kind::Timeout => Code::DeadlineExceeded,
        Kind::Unavailable => Code::Unavailable,
        Kind::Internal => Code::Internal,
    }
}

fn kind_of(code: Code) -> Kind {
    match code {
        Code::InvalidArgument | Code::OutOfRange => Kind::Invalid,
        Code::Unauthenticated => Kind::Unauthenticated,
        Code::PermissionDenied => Kind::Forbidden,
        Code::NotFound => Kind::NotFound,
        Code::AlreadyExists | Code::FailedPrecondition => Kind::Conflict,
        Code::Aborted => Kind::Stale,
        Code::ResourceExhausted => Kind::TooMany,
        // tonic answers Cancelled if the deadline passed on its side of the network.
        Code::DeadlineExceeded | Code::Cancelled => Kind::Timeout,
        Code::Unavailable => Kind::Unavailable,
        _ => Kind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_the_way_over_grpc() {
        for kind in Kind::ALL {
            let refusal = Refusal::new(kind, "some_code", kind.sentence());
            assert_eq!(refusal_of(&status_of(&refusal)), refusal);
            let expected = if kind == Kind::Malformed { Kind::Invalid } else { kind };
            let expected = if expected == Kind::Gone { Kind::NotFound } else { expected };
            assert_eq!(kind_of(code_of(kind)), expected);
        }
    }

    #[test]
    fn a_large_refusal_fits_into_the_headers_of_grpc() {
        let fields = vec![kernel::FieldFault::new("/x".repeat(10_000), "odd", "ä".repeat(10_000)); 1_000];
        let large = Refusal::new(Kind::Invalid, "invalid", "ä".repeat(100_000)).with_fields(fields);
        let headers = status_of(&large).into_http::<Body>().into_parts().0.headers;
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        assert!(size < 16 * 1024, "{size}");
        assert!(!refusal_of(&status_of(&large)).fields.is_empty());
    }

    #[test]
    fn timeouts_of_grpc_are_read_in_every_unit() {
        assert_eq!(grpc_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(grpc_timeout("2S"), Some(Duration::from_secs(2)));
        for bad in ["", "m", "1", "123456789S", "-1S"] {
            assert_eq!(grpc_timeout(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn a_neighbour_that_never_answers_is_stopped_at_the_deadline() {
        use std::sync::atomic::{AtomicBool, Ordering};

        struct Dropped(Arc<AtomicBool>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = stopped.clone();
        let transport = guarded(tower::service_fn(move |_: Request<Body>| {
            let guard = Dropped(seen.clone());
            async move {
                let _guard = guard;
                std::future::pending::<Result<Response<Body>, BoxError>>().await
            }
        }));
        let context = Context::for_work("test", Duration::from_millis(20));
        let upstream = context.upstream.clone();
        let answer = context.scope(transport.oneshot(Request::new(Body::empty()))).await.expect("an answer");
        assert_eq!(answer.headers()["grpc-status"], "4");
        assert!(stopped.load(Ordering::SeqCst));
        assert!(upstream.spent() >= Duration::from_millis(20), "the wait is counted: {upstream:?}");
    }

    #[tokio::test]
    async fn the_panic_of_a_neighbour_is_an_internal_error() {
        let transport = guarded(tower::service_fn(|_: Request<Body>| async {
            if true {
                panic!("on purpose");
            }
            Err::<Response<Body>, BoxError>("never".into())
        }));
        let answer = transport.oneshot(Request::new(Body::empty())).await.expect("an answer");
        assert_eq!(answer.headers()["grpc-status"], "13");
    }
}
