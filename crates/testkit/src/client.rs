use std::net::{IpAddr, SocketAddr};
use std::sync::Once;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::events::is_stream;
use crate::{Events, NoResponse, Response};

/// The longest time of a response. It is far above every time budget of the portal, so it ends only requests
/// that hang.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client of one server. The server is a process on the network, or a router in the process of the test.
///
/// A new client is anonymous. [`with_token`](Client::with_token) and [`with_cookie`](Client::with_cookie)
/// return clients whose requests all carry a credential. Clones share their connections. Redirects are
/// returned, not followed.
#[derive(Debug, Clone)]
pub struct Client {
    server: Server,
    /// Headers of every request.
    headers: HeaderMap,
}

#[derive(Debug, Clone)]
enum Server {
    Network { base: String, http: reqwest::Client },
    InProcess(Router),
}

impl Client {
    /// Returns a client of the server at `base`, such as `http://127.0.0.1:8080`, with its own connections.
    #[expect(clippy::disallowed_methods, reason = "the client under test must not be the portal's own")]
    pub fn new(base: &str) -> Self {
        static PROVIDER: Once = Once::new();
        // reqwest needs a TLS provider even for plain HTTP. A provider that is already installed stays.
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .tls_certs_only([]) // No https here, so no client has to read the system's certificates.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without certificates can be built");
        Self::of(Server::Network { base: base.trim_end_matches('/').to_owned(), http })
    }

    /// Returns a client that calls this router without a socket.
    pub fn in_process(router: Router) -> Self {
        Self::of(Server::InProcess(router))
    }

    fn of(server: Server) -> Self {
        Self { server, headers: HeaderMap::new() }
    }

    /// Returns the same client with this access token on every request.
    pub fn with_token(&self, token: &str) -> Self {
        self.with_header("authorization", format!("Bearer {token}"))
    }

    /// Returns the same client with this cookie on every request.
    pub fn with_cookie(&self, name: &str, value: &str) -> Self {
        self.with_header("cookie", format!("{name}={value}"))
    }

    fn with_header(&self, name: &'static str, value: String) -> Self {
        let mut client = self.clone();
        client.headers.append(name, header_value(value));
        client
    }

    /// Returns the URL of the server, without a slash at the end.
    ///
    /// # Panics
    /// If the server is a router in this process.
    pub fn base(&self) -> &str {
        match &self.server {
            Server::Network { base, .. } => base,
            Server::InProcess(_) => panic!("a router in this process has no URL"),
        }
    }

    /// Begins a request with any method. `path` begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let (server, headers) = (self.server.clone(), self.headers.clone());
        Request { server, method, path: path.to_owned(), headers, body: None, address: None }
    }

    /// Begins a GET.
    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    /// Begins a POST.
    pub fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }

    /// Begins a PUT.
    pub fn put(&self, path: &str) -> Request {
        self.request(Method::PUT, path)
    }

    /// Begins a PATCH.
    pub fn patch(&self, path: &str) -> Request {
        self.request(Method::PATCH, path)
    }

    /// Begins a DELETE.
    pub fn delete(&self, path: &str) -> Request {
        self.request(Method::DELETE, path)
    }
}

/// A request that can still be changed.
#[derive(Debug, Clone)]
#[must_use = "a request has no effect until it is sent"]
pub struct Request {
    server: Server,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Option<Bytes>,
    address: Option<SocketAddr>,
}

impl Request {
    /// Adds a header, beside those of the same name.
    ///
    /// # Panics
    /// If the name or the value can't be a header.
    #[track_caller]
    pub fn header<V: TryInto<HeaderValue>>(mut self, name: &str, value: V) -> Self {
        let name: HeaderName = name.parse().expect("a name of a header");
        self.headers.append(name, header_value(value));
        self
    }

    /// Adds an access token.
    #[track_caller]
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Adds a cookie.
    #[track_caller]
    pub fn cookie(self, name: &str, value: &str) -> Self {
        self.header("cookie", format!("{name}={value}"))
    }

    /// Adds `If-Match` with the entity tag of this version.
    pub fn if_match(self, version: u32) -> Self {
        self.header("if-match", format!("\"v{version}\""))
    }

    /// Sets a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.json_text(body.to_string())
    }

    /// Sets a body of any bytes with the content type of JSON, unless the request already has a content type.
    pub fn json_text(mut self, body: impl Into<Bytes>) -> Self {
        let json = HeaderValue::from_static("application/json");
        self.headers.entry(http::header::CONTENT_TYPE).or_insert(json);
        self.body(body)
    }

    /// Sets a body of any bytes, without a content type.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Makes the request come from a connection of this address. Without it the server knows no address.
    ///
    /// # Panics
    /// If the server is on the network, where the connection has an address of its own.
    #[track_caller]
    pub fn from_address(mut self, address: impl Into<IpAddr>) -> Self {
        assert!(
            matches!(self.server, Server::InProcess(_)),
            "only a router in this process takes any address"
        );
        self.address = Some(SocketAddr::new(address.into(), 40_000));
        self
    }

    /// Sends the request and returns the complete response. A stream of events has no end, so it is returned
    /// without a body.
    ///
    /// # Panics
    /// If there is no response.
    pub async fn send(self) -> Response {
        self.try_send().await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Sends the request to a server that may be killed meanwhile. After an error it is unknown whether the
    /// request had an effect.
    pub async fn try_send(self) -> Result<Response, NoResponse> {
        let name = format!("{} {}", self.method, self.path);
        match self.server.clone() {
            Server::Network { base, http } => self.send_to(&base, &http, name).await,
            Server::InProcess(router) => Ok(self.call(router, name).await),
        }
    }

    /// Sends the request and returns the events of the response one by one.
    ///
    /// # Panics
    /// If the response is not a stream of events.
    pub async fn follow(self) -> Events {
        let name = format!("{} {}", self.method, self.path);
        match self.server.clone() {
            Server::Network { base, http } => {
                let response = self.request_to(&base, &http).send().await;
                Events::of_network(response.unwrap_or_else(|error| panic!("{name}: {}", with_causes(&error))))
            }
            Server::InProcess(router) => Events::of_router(self.dispatch(router).await),
        }
    }

    fn request_to(self, base: &str, http: &reqwest::Client) -> reqwest::RequestBuilder {
        let request = http.request(self.method, format!("{base}{}", self.path)).headers(self.headers);
        match self.body {
            Some(body) => request.body(body),
            None => request,
        }
    }

    async fn dispatch(self, router: Router) -> http::Response<axum::body::Body> {
        let body = self.body.unwrap_or_default().into();
        let mut request: http::Request<axum::body::Body> = http::Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.path.parse().expect("a path is a URI");
        *request.headers_mut() = self.headers;
        if let Some(address) = self.address {
            request.extensions_mut().insert(ConnectInfo(address));
        }
        router.oneshot(request).await.expect("a router always responds")
    }

    async fn send_to(self, base: &str, http: &reqwest::Client, name: String) -> Result<Response, NoResponse> {
        let no_response =
            |error: reqwest::Error| NoResponse(format!("no response to {name}: {}", with_causes(&error)));
        let response = self.request_to(base, http).send().await.map_err(no_response)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = match is_stream(&headers) {
            true => Bytes::new(),
            false => response.bytes().await.map_err(no_response)?,
        };
        Ok(Response { status, headers, body, request: name })
    }

    async fn call(self, router: Router, name: String) -> Response {
        let (parts, body) = self.dispatch(router).await.into_parts();
        let body = match is_stream(&parts.headers) {
            true => Bytes::new(),
            false => body.collect().await.expect("the body is complete").to_bytes(),
        };
        Response { status: parts.status.as_u16(), headers: parts.headers, body, request: name }
    }
}

#[track_caller]
fn header_value<V: TryInto<HeaderValue>>(value: V) -> HeaderValue {
    value.try_into().unwrap_or_else(|_| panic!("a value of a header has no control characters"))
}

/// Formats an error with its causes, which reqwest's own text leaves out.
fn with_causes(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests;
