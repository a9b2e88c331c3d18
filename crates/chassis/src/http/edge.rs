use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::header::{self, CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;
use kernel::{Deadline, Trace};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::error::Elapsed;
use tokio_util::task::TaskTracker;

use super::guard::{Actor, Route};
use super::input::{MAX_DISCARDED, received};
use super::problem::{Problem, of_status};
use crate::{Context, log_failure, spawn};

/// The limits of a listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeConfig {
    /// The path under which the gateway shows this listener, as `/users/v1`; empty where the listener is the gateway.
    pub public_base: String,
    /// The time a GET or HEAD may take, in milliseconds.
    pub read_budget_ms: u64,
    /// The time any other request may take, in milliseconds.
    pub write_budget_ms: u64,
    /// How many requests may be in flight; more are answered 503 at once.
    pub in_flight: usize,
}

impl Default for EdgeConfig {
    /// The defaults of the product: 2 s to read, 5 s to write, 512 in flight.
    fn default() -> Self {
        Self { public_base: String::new(), read_budget_ms: 2_000, write_budget_ms: 5_000, in_flight: 512 }
    }
}

/// The most bytes of all request headers together.
const MAX_HEADERS: usize = 32 * 1024;
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

struct Edge {
    service: &'static str,
    config: EdgeConfig,
    in_flight: Arc<Semaphore>,
    receiving: Semaphore,
    writes: TaskTracker,
}

/// Puts a router behind the edge that every listener has, once: the request's context (id, trace, deadline), limits, one
/// access line, and `application/problem+json` for whatever is refused.
pub fn edge(service: &'static str, router: Router, config: EdgeConfig) -> Router {
    edge_with(service, router, config, TaskTracker::new())
}

/// The same, with the writes in hand where a host can wait for their end.
pub(crate) fn edge_with(
    service: &'static str,
    router: Router,
    config: EdgeConfig,
    writes: TaskTracker,
) -> Router {
    let in_flight = Arc::new(Semaphore::new(config.in_flight));
    let receiving = Semaphore::new(config.in_flight);
    let edge = Arc::new(Edge { service, config, in_flight, receiving, writes });
    // A fallback of its own, so that an unknown path stays behind the edge when somebody merges more routes beside it.
    let router = router.fallback(|| async { StatusCode::NOT_FOUND });
    router.layer(axum::middleware::from_fn_with_state(edge, pass))
}

async fn pass(State(edge): State<Arc<Edge>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let trace = text(request.headers(), &TRACEPARENT).and_then(|given| given.parse::<Trace>().ok());
    let trace = trace.map_or_else(Trace::start, Trace::child);
    let request_id: Arc<str> = text(request.headers(), &X_REQUEST_ID)
        .filter(|id| is_plain(id))
        .map_or_else(|| trace.id().into(), Into::into);
    let budget =
        if is_read(request.method()) { edge.config.read_budget_ms } else { edge.config.write_budget_ms };
    let deadline = Deadline::after(Duration::from_millis(budget));
    let instance = format!("{}{}", edge.config.public_base, request.uri().path());
    let method = request.method().clone();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let context = Context { service: edge.service, trace, request_id: Some(request_id.clone()), deadline };
    let access = Access { context: context.clone(), method, started, peer, written: false };
    let work = async {
        let response = edge.answer(request, next, deadline).await;
        let mut response = render(response, &instance, &request_id);
        stamp(response.headers_mut(), &request_id, trace);
        access.answered(&response);
        response
    };
    context.scope(work).await
}

/// What stands in the access line of a client that left before it was answered, as nginx writes it.
const CLIENT_LEFT: u16 = 499;

/// The one line that every request has, at its end, whichever that is.
struct Access {
    context: Context,
    method: Method,
    started: Instant,
    peer: Option<IpAddr>,
    written: bool,
}

impl Access {
    fn answered(mut self, response: &Response) {
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
        self.context.clone().of(service).scope_now(|| {
            tracing::info!(
                target: "access",
                method = %self.method,
                route = route.map_or("-", |route| &route.template),
                status,
                duration_ms = millis(self.started.elapsed()),
                bytes,
                actor,
                deadline_left_ms = millis(self.context.deadline.left()),
                peer = self.peer.map(tracing::field::display),
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

/// A write goes on without its client for no longer than so many times its budget.
const PATIENCE_WITH_WRITES: u32 = 3;

impl Edge {
    async fn answer(&self, request: Request, next: Next, deadline: Deadline) -> Response {
        if size_of(request.headers()) > MAX_HEADERS {
            return of_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE).into_response();
        }
        let announced =
            text(request.headers(), &CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
        // One that waits for leave to send is told at once; one that sends already is heard out, within limits.
        let waits = request.headers().contains_key(header::EXPECT);
        let limit = if waits { super::MAX_BODY } else { MAX_DISCARDED };
        if announced.is_some_and(|length| length > limit) {
            return of_status(StatusCode::PAYLOAD_TOO_LARGE).into_response();
        }
        let request = match self.receive(request, deadline).await {
            Ok(request) => request,
            Err(problem) => return problem.into_response(),
        };
        let Ok(place) = self.in_flight.clone().try_acquire_owned() else {
            return overloaded().into_response();
        };
        let reads = is_read(request.method());
        let work = async move {
            let _place = place;
            AssertUnwindSafe(next.run(request)).catch_unwind().await
        };
        let answered = if reads {
            tokio::time::timeout(deadline.left(), work).await
        } else {
            self.write(work, deadline).await
        };
        match answered {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => {
                let problem = of_status(StatusCode::INTERNAL_SERVER_ERROR);
                problem.with_cause(format!("panic: {}", said(&*panic))).into_response()
            }
            Err(_over) => of_status(StatusCode::GATEWAY_TIMEOUT).into_response(),
        }
    }

    /// Takes in the whole body before the request takes a place among those in flight: clients that send theirs slowly, or never,
    /// get into each other's way and into no reader's.
    async fn receive(&self, request: Request, deadline: Deadline) -> Result<Request, Problem> {
        if request.body().is_end_stream() {
            return Ok(request);
        }
        let _place = self.receiving.try_acquire().map_err(|_| overloaded())?;
        let (parts, body) = request.into_parts();
        match tokio::time::timeout(deadline.left(), received(body)).await {
            Ok(bytes) => Ok(Request::from_parts(parts, bytes?.into())),
            Err(_over) => Err(of_status(StatusCode::REQUEST_TIMEOUT)),
        }
    }

    /// A write that has begun is done to its end, also when the client leaves or the time is over: dropped between two
    /// stores, it would leave the second one (a cache, say) with what the first one has changed.
    async fn write(
        &self,
        work: impl Future<Output = Outcome> + Send + 'static,
        deadline: Deadline,
    ) -> Result<Outcome, Elapsed> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let limit = Duration::from_millis(self.config.write_budget_ms) * PATIENCE_WITH_WRITES;
        let context = Context::current();
        let task = async move {
            let Ok(outcome) = tokio::time::timeout(limit, work).await else {
                tracing::error!("a write was given up: it took three times its budget");
                return;
            };
            if let Err(unheard) = tell.send(outcome) {
                log_unheard(&unheard);
            }
        };
        spawn("edge.write", self.writes.track_future(context.scope(task)));
        let heard = tokio::time::timeout(deadline.left(), told).await?;
        // The task ends without telling only where it was given up, and that is after the deadline.
        Ok(heard.unwrap_or_else(|lost| Err(Box::new(lost.to_string()))))
    }
}

fn overloaded() -> Problem {
    of_status(StatusCode::SERVICE_UNAVAILABLE).with_header(header::RETRY_AFTER, HeaderValue::from(1))
}

type Outcome = Result<Response, Box<dyn Any + Send>>;

/// The end of a write that nobody waited for.
fn log_unheard(outcome: &Outcome) {
    let problem = outcome.as_ref().ok().and_then(|response| response.extensions().get::<Problem>());
    match (outcome, problem.and_then(Problem::cause)) {
        (Err(panic), _) => tracing::error!(cause = said(&**panic), "a write that nobody waited for panicked"),
        (Ok(_), Some(cause)) => tracing::error!(cause, "a write that nobody waited for failed"),
        (Ok(response), None) => {
            let status = response.status().as_u16();
            tracing::info!(status, "a write that nobody waited for was done to its end");
        }
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn said(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("")
}

/// Writes the body of every refusal, those of handlers and those of axum itself.
fn render(mut response: Response, instance: &str, request_id: &str) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let given = response.extensions_mut().remove::<Problem>();
    let finished =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind != "text/plain; charset=utf-8");
    if given.is_none() && finished {
        return response;
    }
    let mut problem = given.unwrap_or_else(|| of_status(status)).into_parts();
    if let Some(cause) = problem.cause.take() {
        let code = problem.refusal.code.as_str();
        log_failure(problem.refusal.kind, code, &cause, "a request could not be served");
    }
    let (parts, _) = response.into_parts();
    let mut rendered = problem.render(instance, request_id);
    for (name, value) in &parts.headers {
        if !matches!(*name, header::CONTENT_TYPE | CONTENT_LENGTH | header::CACHE_CONTROL) {
            rendered.headers_mut().insert(name, value.clone());
        }
    }
    *rendered.extensions_mut() = parts.extensions;
    rendered
}

fn stamp(headers: &mut HeaderMap, request_id: &str, trace: Trace) {
    headers.extend(HeaderValue::from_str(request_id).map(|id| (X_REQUEST_ID, id)));
    headers.extend(HeaderValue::from_str(&trace.to_string()).map(|trace| (TRACEPARENT, trace)));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// An id that a client made up is taken over only where it can do no harm in a log.
fn is_plain(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

fn size_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    async fn ask(
        router: Router,
        config: EdgeConfig,
        request: http::request::Builder,
    ) -> (Response<()>, Value) {
        let request = request.body(Body::empty()).expect("a request");
        let response = edge("test", router, config).oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        (Response::from_parts(parts, ()), serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    fn router() -> Router {
        Router::new()
            .route("/ok", get(|| async { "fine" }))
            .route(
                "/panic",
                get(|| async {
                    if true {
                        panic!("on purpose")
                    }
                }),
            )
            .route("/slow", get(std::future::pending::<()>))
    }

    #[tokio::test]
    async fn what_axum_refuses_by_itself_is_a_problem_too() {
        let config = EdgeConfig { public_base: "/users/v1".to_owned(), ..EdgeConfig::default() };
        let (answer, body) =
            ask(router(), config.clone(), Request::get("/nowhere").header("x-request-id", "r-1")).await;
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!((&body["code"], &body["request_id"]), (&"not_found".into(), &"r-1".into()));
        assert_eq!(body["instance"], "/users/v1/nowhere");
        let (answer, body) = ask(router(), config, Request::post("/ok")).await;
        assert_eq!((answer.status().as_u16(), &body["code"]), (405, &"method_not_allowed".into()));
        assert_eq!(answer.headers()["allow"], "GET,HEAD");
    }

    #[tokio::test]
    async fn an_unknown_path_is_a_problem_also_where_more_routes_stand_beside_the_edge() {
        let beside = Router::new().route("/livez", get(|| async { "live" }));
        let app = edge("test", router(), EdgeConfig::default()).merge(beside);
        let answer = app.oneshot(Request::get("/nowhere").body(Body::empty()).expect("a request")).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_says_nothing_of_it() {
        let (answer, body) = ask(router(), EdgeConfig::default(), Request::get("/panic")).await;
        assert_eq!((answer.status().as_u16(), &body["code"]), (500, &"internal".into()));
        assert!(!body.to_string().contains("on purpose"));
    }

    #[tokio::test]
    async fn a_handler_that_takes_too_long_is_a_504() {
        let config = EdgeConfig { read_budget_ms: 10, ..EdgeConfig::default() };
        let (answer, body) = ask(router(), config, Request::get("/slow")).await;
        assert_eq!((answer.status().as_u16(), &body["code"]), (504, &"deadline_exceeded".into()));
    }

    #[tokio::test]
    async fn a_write_whose_client_leaves_is_done_to_its_end_and_a_read_is_not() {
        use tokio::sync::Notify;

        let (begun, go, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let work = {
            let (begun, go, done) = (begun.clone(), go.clone(), done.clone());
            move || async move {
                begun.notify_one();
                go.notified().await;
                done.notify_one();
            }
        };
        let router =
            edge("test", Router::new().route("/", get(work.clone()).post(work)), EdgeConfig::default());
        for (method, finishes) in [(Method::POST, true), (Method::GET, false)] {
            let request = Request::builder().method(method).uri("/").body(Body::empty()).expect("a request");
            tokio::select! {
                _ = router.clone().oneshot(request) => panic!("answered before it was told to"),
                () = begun.notified() => {}
            }
            go.notify_one();
            if finishes {
                done.notified().await;
            } else {
                assert_eq!(Arc::strong_count(&done), 3, "the handler of the read is gone");
            }
        }
    }

    #[tokio::test]
    async fn headers_over_32_kib_are_431_and_an_announced_large_body_413() {
        let long = "x".repeat(40_000);
        let (answer, body) =
            ask(router(), EdgeConfig::default(), Request::get("/ok").header("x-long", long)).await;
        assert_eq!((answer.status().as_u16(), &body["code"]), (431, &"headers_too_large".into()));
        let large = Request::get("/ok").header("content-length", "1048577").header("expect", "100-continue");
        let (answer, body) = ask(router(), EdgeConfig::default(), large).await;
        assert_eq!((answer.status().as_u16(), &body["code"]), (413, &"body_too_large".into()));
    }

    #[tokio::test]
    async fn bodies_that_never_come_take_no_reader_a_place_and_are_408() {
        let config = EdgeConfig { in_flight: 1, write_budget_ms: 50, ..EdgeConfig::default() };
        let router = edge("test", router().route("/write", axum::routing::post(|| async {})), config);
        let never = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
        let write = router.clone().oneshot(Request::post("/write").body(never).expect("a request"));
        let read = router.oneshot(Request::get("/ok").body(Body::empty()).expect("a request"));
        let (write, read) = tokio::join!(write, read);
        assert_eq!(write.expect("an answer").status(), 408);
        assert_eq!(read.expect("an answer").status(), 200);
    }

    #[tokio::test]
    async fn more_requests_than_may_be_in_flight_are_shed() {
        let config = EdgeConfig { in_flight: 0, ..EdgeConfig::default() };
        let (answer, _) = ask(router(), config, Request::get("/ok")).await;
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "1");
    }

    #[tokio::test]
    async fn a_trace_goes_on_and_a_dangerous_request_id_is_replaced() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let request = Request::get("/ok").header("traceparent", given).header("x-request-id", "a b\tc");
        let (answer, _) = ask(router(), EdgeConfig::default(), request).await;
        assert_eq!(answer.headers()["x-request-id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        let trace = answer.headers()["traceparent"].to_str().expect("text");
        assert!(trace.contains("4bf92f3577b34da6a3ce929d0e0e4736") && trace != given);
    }
}
