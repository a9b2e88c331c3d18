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
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::client::{ClientAddress, ClientKey, TrustedProxies, X_FORWARDED_PROTO};
use super::cors::Page;
use super::input::{MAX_DISCARDED, received};
use super::line::{Access, Refusals};
use super::listener::{self, Bound, Connection};
use super::parameters::without_ignored;
use super::problem::{Problem, of_status};
use super::shares::Shares;
use super::throttle::{Throttle, ThrottleConfig};
use super::writes::{self, said};
use crate::metrics::SHED;
use crate::spans::Span;
use crate::{Context, Upstream, log_failure};

/// The limits of a listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeConfig {
    /// The path under which the gateway shows this listener, as `/users/v1`; empty where the listener is the gateway.
    pub public_base: String,
    /// The time a client may take to send the headers of a request, in milliseconds; a connection that says nothing, or takes nothing of its
    /// answer, for as long is closed.
    pub header_budget_ms: u64,
    /// The time a GET or HEAD may take, in milliseconds.
    pub read_budget_ms: u64,
    /// The time any other request may take, in milliseconds.
    pub write_budget_ms: u64,
    /// How many requests may be in flight; more are answered 503 at once.
    pub in_flight: usize,
    /// How many of them one client may have, until it has taken their answers; more are answered 429. 0 for no limit. A client is
    /// an IPv4 address, or the first 64 bits of an IPv6 address; trusted proxies have no limit.
    pub in_flight_per_address: usize,
    /// How many bodies one client may be sending; more are answered 429. 0 for no limit.
    pub receiving_per_address: usize,
    /// How many connections one client may have. For a further one its idlest is closed; if all are at work, the further one is
    /// closed. 0 for no limit.
    pub connections_per_address: usize,
    /// How many bytes of answers may wait for all clients together to take them; what would exceed it is answered 503.
    pub unsent_bytes: usize,
    /// How many of them may wait for one client. 0 for no limit.
    pub unsent_bytes_per_address: usize,
    /// The proxies before this listener. The client is whom they name in `X-Forwarded-For`; from everybody else that header is
    /// a claim, and the client is the peer of the connection.
    pub trusted_proxies: TrustedProxies,
    /// The origins, as `https://desk.example.org`, whose pages may write; those of every origin may read.
    pub writing_origins: Vec<String>,
    /// How much one client, and one account, may ask for.
    pub throttle: ThrottleConfig,
}

impl Default for EdgeConfig {
    /// The defaults of the product: 10 s for headers, 2 s to read, 5 s to write, 512 in flight and a quarter of them for one client;
    /// no proxy, no page that writes.
    fn default() -> Self {
        Self {
            public_base: String::new(),
            header_budget_ms: 10_000,
            read_budget_ms: 2_000,
            write_budget_ms: 5_000,
            in_flight: 512,
            in_flight_per_address: 128,
            receiving_per_address: 32,
            connections_per_address: 256,
            unsent_bytes: 64 * 1024 * 1024,
            unsent_bytes_per_address: 16 * 1024 * 1024,
            trusted_proxies: TrustedProxies::default(),
            writing_origins: Vec::new(),
            throttle: ThrottleConfig::default(),
        }
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
    in_flight_of_one: Arc<Shares>,
    receiving_of_one: Arc<Shares>,
    writes: TaskTracker,
    throttle: Arc<Throttle>,
    refusals: Refusals,
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
    // A fallback of its own, so that an unknown path stays behind the edge when somebody merges more routes beside it.
    let router = router.fallback(|| async { StatusCode::NOT_FOUND });
    router.layer(axum::middleware::from_fn_with_state(edge, pass))
}

async fn pass(State(edge): State<Arc<Edge>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let parent = text(request.headers(), &TRACEPARENT).and_then(|given| given.parse::<Trace>().ok());
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
    let work = async {
        let response = edge.throttled(request, next, client, deadline, &page).await;
        let response = counted(response, connection.as_deref());
        let mut response = render(response, &instance, &request_id);
        page.answered(&mut response, &edge.config.writing_origins);
        stamp(response.headers_mut(), &request_id, trace);
        if by_https {
            secure_cookies(response.headers_mut());
        }
        access.answered(&response);
        response
    };
    context.scope(work).await
}

impl Edge {
    /// Counts the request before anything is done for it.
    async fn throttled(
        &self,
        request: Request,
        next: Next,
        client: ClientAddress,
        deadline: Deadline,
        page: &Page,
    ) -> Response {
        let method = request.method().clone();
        let address = request.uri().path_and_query().map_or("", |address| address.as_str());
        let passed = match self.throttle.admit(client.known(), &method, &without_ignored(address)) {
            Ok(passed) => passed,
            Err(problem) => return problem.into_response(),
        };
        if let Some(response) = page.preflight() {
            return response;
        }
        // A trusted proxy that names no client speaks for many.
        let known = client.known().filter(|address| !self.config.trusted_proxies.trusts(*address));
        let client = known.map(ClientKey::from);
        let Some(share) = self.in_flight_of_one.take(client) else {
            return too_many_at_once(Bound::InFlightOfOne, client).into_response();
        };
        let mut response = self.answer(request, next, deadline, client).await;
        // It is given back when the client has taken the answer, or the answer is dropped.
        response.extensions_mut().insert(Arc::new(share));
        if method == Method::OPTIONS && response.status() == StatusCode::METHOD_NOT_ALLOWED {
            // What an address can do is no failure: the router has said it in Allow.
            *response.status_mut() = StatusCode::NO_CONTENT;
            *response.body_mut() = axum::body::Body::empty();
        }
        self.throttle.answered(passed, &mut response);
        response
    }

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
        // One that waits for leave to send is told at once; one that sends already is heard out, within limits.
        let waits = request.headers().contains_key(header::EXPECT);
        let limit = if waits { super::MAX_TEXT_BODY } else { MAX_DISCARDED };
        if announced.is_some_and(|length| length > limit) {
            return of_status(StatusCode::PAYLOAD_TOO_LARGE).into_response();
        }
        let request = match self.receive(request, deadline, client).await {
            Ok(request) => request,
            Err(problem) => return problem.into_response(),
        };
        let Ok(place) = self.in_flight.clone().try_acquire_owned() else {
            SHED.count(["overloaded".into()]);
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
            let budget = Duration::from_millis(self.config.write_budget_ms);
            writes::to_the_end(work, deadline, budget, &self.writes).await
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
        let _place = self.receiving.try_acquire().map_err(|_| overloaded())?;
        let (parts, body) = request.into_parts();
        match tokio::time::timeout(deadline.left(), received(body)).await {
            Ok(bytes) => Ok(Request::from_parts(parts, bytes?.into())),
            Err(_over) => Err(of_status(StatusCode::REQUEST_TIMEOUT)),
        }
    }
}

/// Counts the bytes of an answer for as long as they wait to be sent; an answer for which there is no room is refused.
fn counted(mut response: Response, connection: Option<&Connection>) -> Response {
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

/// A client has more in hand than its share.
fn too_many_at_once(bound: Bound, client: Option<ClientKey>) -> Problem {
    SHED.count(["share".into()]);
    listener::reached(bound, client);
    let status = StatusCode::TOO_MANY_REQUESTS;
    let sentence = "Too many requests of this client at once: wait for the answers to some of them.";
    Problem::of_http(status, "too_many_requests", sentence)
        .with_header(header::RETRY_AFTER, HeaderValue::from(1))
}

fn overloaded() -> Problem {
    of_status(StatusCode::SERVICE_UNAVAILABLE).with_header(header::RETRY_AFTER, HeaderValue::from(1))
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
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
    let taken_over =
        |name: &&HeaderName| !matches!(**name, header::CONTENT_TYPE | CONTENT_LENGTH | header::CACHE_CONTROL);
    for name in parts.headers.keys().filter(taken_over) {
        rendered.headers_mut().remove(name);
        // Every line of it: two cookies are two lines.
        for value in parts.headers.get_all(name) {
            rendered.headers_mut().append(name, value.clone());
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

/// Marks every cookie of an answer that goes out over TLS. The public URL may not say so: a proxy ends TLS before the portal.
fn secure_cookies(headers: &mut HeaderMap) {
    for (_, cookie) in headers.iter_mut().filter(|(name, _)| **name == header::SET_COOKIE) {
        let is_secure = cookie.to_str().is_ok_and(|text| {
            text.split(';').any(|attribute| attribute.trim().eq_ignore_ascii_case("secure"))
        });
        if is_secure {
            continue;
        }
        let sensitive = cookie.is_sensitive();
        if let Ok(mut secured) = HeaderValue::from_bytes(&[cookie.as_bytes(), b"; Secure"].concat()) {
            secured.set_sensitive(sensitive);
            *cookie = secured;
        }
    }
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

/// Puts the probes of a public listener behind their own limit. They stay outside of the edge: a process that is busy is not dead,
/// and must not be killed for it.
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
