//! The edge: the one layer in front of all routes of a listener.

mod config;
mod render;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::header::{self, CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;
use kernel::{Deadline, Trace};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

pub use self::config::EdgeConfig;
use self::render::{render, secure_cookies, stamp};
use super::client::{ClientAddress, ClientKey, X_FORWARDED_PROTO};
use super::cors::Page;
use super::input::{MAX_DISCARDED, receive_body};
use super::line::{Access, Refusals};
use super::listener::{self, Bound, Connection};
use super::parameters::without_ignored;
use super::problem::{Problem, of_status};
use super::shares::Shares;
use super::throttle::Throttle;
use super::writes::{self, panic_text};
use crate::observe::metrics::SHED;
use crate::observe::spans::Span;
use crate::{Context, Upstream};

/// The maximum size of all request headers in bytes.
const MAX_HEADERS: usize = 32 * 1024;
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

struct Edge {
    service: &'static str,
    config: EdgeConfig,
    in_flight: Arc<Semaphore>,
    receiving: Semaphore,
    in_flight_of_one: Arc<Shares>,
    receiving_of_one: Arc<Shares>,
    writes: TaskTracker,
    throttle: Arc<Throttle>,
    refusals: Refusals,
}

/// Puts a router behind the edge. The edge gives each request its context (id, trace, deadline), applies the
/// limits, writes one access line and renders every refusal as `application/problem+json`. Every listener has
/// exactly one.
pub fn edge(service: &'static str, router: Router, config: EdgeConfig) -> Router {
    edge_with(service, router, config, TaskTracker::new())
}

/// Puts a router behind the edge and tracks unfinished writes in `writes`, so that a host can wait for them.
pub(crate) fn edge_with(
    service: &'static str,
    router: Router,
    config: EdgeConfig,
    writes: TaskTracker,
) -> Router {
    let in_flight = Arc::new(Semaphore::new(config.in_flight));
    let receiving = Semaphore::new(config.in_flight);
    let in_flight_of_one = Shares::new(config.in_flight_per_address);
    let receiving_of_one = Shares::new(config.receiving_per_address);
    let throttle = Arc::new(Throttle::new(&config.throttle));
    let edge = Arc::new(Edge {
        service,
        config,
        in_flight,
        receiving,
        in_flight_of_one,
        receiving_of_one,
        writes,
        throttle,
        refusals: Refusals::default(),
    });
    // Without its own fallback, an unknown path would bypass the edge once another router is merged.
    let router = router.fallback(|| async { StatusCode::NOT_FOUND });
    router.layer(axum::middleware::from_fn_with_state(edge, pass))
}

/// Runs one request through the edge.
async fn pass(State(edge): State<Arc<Edge>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let parent = text(request.headers(), &TRACEPARENT).and_then(|value| value.parse::<Trace>().ok());
    let trace = parent.map_or_else(Trace::start, Trace::child);
    let request_id: Arc<str> = text(request.headers(), &X_REQUEST_ID)
        .filter(|id| is_plain(id))
        .map_or_else(|| trace.id().into(), Into::into);
    let budget =
        if is_read(request.method()) { edge.config.read_budget_ms } else { edge.config.write_budget_ms };
    let deadline = Deadline::after(Duration::from_millis(budget));
    let instance = format!("{}{}", edge.config.public_base, request.uri().path());
    let method = request.method().clone();
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let client = ClientAddress::of(&mut request, &edge.config.trusted_proxies);
    request.extensions_mut().insert(client);
    request.extensions_mut().insert(edge.throttle.clone());
    let page = Page::of(&method, request.headers());
    let by_https = request.headers().get(X_FORWARDED_PROTO).is_some_and(|scheme| scheme == "https");
    let (service, upstream) = (edge.service, Upstream::default());
    let context = Context { service, trace, request_id: Some(request_id.clone()), deadline, upstream };
    let span = Span::server(method.to_string(), trace, parent);
    let access = Access::new(context.clone(), method, started, client, span, edge.refusals.clone());
    let respond = async {
        let response = edge.throttle(request, next, client, deadline, &page).await;
        let response = reserve(response, connection.as_deref());
        let mut response = render(response, &instance, &request_id);
        page.allow(&mut response, &edge.config.writing_origins);
        stamp(response.headers_mut(), &request_id, trace);
        if by_https {
            secure_cookies(response.headers_mut());
        }
        access.finish(&response);
        response
    };
    context.scope(respond).await
}

impl Edge {
    /// Counts the request before any work is done for it, and answers it if its client is within the limits.
    async fn throttle(
        &self,
        request: Request,
        next: Next,
        client: ClientAddress,
        deadline: Deadline,
        page: &Page,
    ) -> Response {
        let method = request.method().clone();
        let address = request.uri().path_and_query().map_or("", |address| address.as_str());
        let admission = match self.throttle.admit(client.known(), &method, &without_ignored(address)) {
            Ok(admission) => admission,
            Err(problem) => return problem.into_response(),
        };
        if let Some(response) = page.preflight() {
            return response;
        }
        // A trusted proxy that names no client stands for many clients.
        let known = client.known().filter(|address| !self.config.trusted_proxies.trusts(*address));
        let client = known.map(ClientKey::from);
        let Some(share) = self.in_flight_of_one.take(client) else {
            return too_many_at_once(Bound::InFlightOfOne, client).into_response();
        };
        let mut response = self.answer(request, next, deadline, client).await;
        // The share is returned when the client has received the response, or the response is dropped.
        response.extensions_mut().insert(Arc::new(share));
        if method == Method::OPTIONS && response.status() == StatusCode::METHOD_NOT_ALLOWED {
            // OPTIONS asks which methods there are. That is not a failure: the router has listed them in
            // Allow.
            *response.status_mut() = StatusCode::NO_CONTENT;
            *response.body_mut() = axum::body::Body::empty();
        }
        self.throttle.annotate(admission, &mut response);
        response
    }

    /// Receives the body, runs the handler within its deadline, and turns a panic into a 500.
    async fn answer(
        &self,
        request: Request,
        next: Next,
        deadline: Deadline,
        client: Option<ClientKey>,
    ) -> Response {
        if size_of(request.headers()) > MAX_HEADERS {
            return of_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE).into_response();
        }
        let announced =
            text(request.headers(), &CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
        // A client that waits for `100 Continue` is refused immediately. A client that already sends is read,
        // within limits.
        let waits = request.headers().contains_key(header::EXPECT);
        let limit = if waits { super::MAX_TEXT_BODY } else { MAX_DISCARDED };
        if announced.is_some_and(|length| length > limit) {
            return of_status(StatusCode::PAYLOAD_TOO_LARGE).into_response();
        }
        let request = match self.receive(request, deadline, client).await {
            Ok(request) => request,
            Err(problem) => return problem.into_response(),
        };
        let Ok(permit) = self.in_flight.clone().try_acquire_owned() else {
            SHED.count(["overloaded".into()]);
            return overloaded().into_response();
        };
        let reads = is_read(request.method());
        let work = async move {
            let _permit = permit;
            AssertUnwindSafe(next.run(request)).catch_unwind().await
        };
        let outcome = if reads {
            tokio::time::timeout(deadline.left(), work).await
        } else {
            let budget = Duration::from_millis(self.config.write_budget_ms);
            writes::run_to_completion(work, deadline, budget, &self.writes).await
        };
        match outcome {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => {
                let problem = of_status(StatusCode::INTERNAL_SERVER_ERROR);
                problem.with_cause(format!("panic: {}", panic_text(&*panic))).into_response()
            }
            Err(_elapsed) => of_status(StatusCode::GATEWAY_TIMEOUT).into_response(),
        }
    }

    /// Receives the whole body before the request counts as in flight. Clients that send slowly, or never,
    /// then only delay each other and no reader.
    async fn receive(
        &self,
        request: Request,
        deadline: Deadline,
        client: Option<ClientKey>,
    ) -> Result<Request, Problem> {
        if request.body().is_end_stream() {
            return Ok(request);
        }
        let share = self.receiving_of_one.take(client);
        let _share = share.ok_or_else(|| too_many_at_once(Bound::ReceivingOfOne, client))?;
        let _permit = self.receiving.try_acquire().map_err(|_| overloaded())?;
        let (parts, body) = request.into_parts();
        match tokio::time::timeout(deadline.left(), receive_body(body)).await {
            Ok(bytes) => Ok(Request::from_parts(parts, bytes?.into())),
            Err(_elapsed) => Err(of_status(StatusCode::REQUEST_TIMEOUT)),
        }
    }
}

/// Reserves memory for the bytes of a response until they are sent. A response that does not fit is replaced
/// by a 503.
fn reserve(mut response: Response, connection: Option<&Connection>) -> Response {
    let Some(connection) = connection else { return response };
    let bytes = listener::size_of(&response);
    if bytes <= listener::SMALL {
        return response;
    }
    match connection.reserve(bytes) {
        Ok(reserved) => {
            response.extensions_mut().insert(Arc::new(reserved));
            response
        }
        Err(bound) => {
            listener::reached(bound, connection.client());
            SHED.count(["overloaded".into()]);
            let (parts, _) = response.into_parts();
            let mut refused = overloaded().into_response();
            let mut extensions = parts.extensions;
            extensions.extend(std::mem::take(refused.extensions_mut()));
            *refused.extensions_mut() = extensions;
            refused
        }
    }
}

/// Returns the refusal of a client that has used up its share of the listener.
fn too_many_at_once(bound: Bound, client: Option<ClientKey>) -> Problem {
    SHED.count(["share".into()]);
    listener::reached(bound, client);
    let status = StatusCode::TOO_MANY_REQUESTS;
    let sentence = "This client has too many requests in flight; wait for the responses to some of them.";
    Problem::of_http(status, "too_many_requests", sentence)
        .with_header(header::RETRY_AFTER, HeaderValue::from(1))
}

fn overloaded() -> Problem {
    of_status(StatusCode::SERVICE_UNAVAILABLE).with_header(header::RETRY_AFTER, HeaderValue::from(1))
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// True if a request id of a client cannot do any harm in a log.
fn is_plain(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

fn size_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// Puts the probes of a public listener behind their own limit. They bypass the edge: an overloaded process
/// is not dead and must not be killed.
pub(crate) fn probes(router: Router, config: &EdgeConfig) -> Router {
    let limits = Arc::new((Throttle::new(&config.throttle), config.trusted_proxies.clone()));
    let admit = move |mut request: Request, next: Next| {
        let limits = limits.clone();
        async move {
            let (throttle, proxies) = &*limits;
            let client = ClientAddress::of(&mut request, proxies);
            match throttle.admit_probe(client.known()) {
                Ok(()) => next.run(request).await,
                Err(problem) => render(problem.into_response(), request.uri().path(), &Trace::start().id()),
            }
        }
    };
    router.route_layer(axum::middleware::from_fn(admit))
}

#[cfg(test)]
mod tests;
