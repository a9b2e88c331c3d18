//! Small services that stand behind the gateway under test.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, Response};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request as it reached a service.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    pub method: Method,
    /// The path with its query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The number of this request, from 1.
    pub number: usize,
}

impl ReceivedRequest {
    /// Returns the value of a header, if there is one.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header of a test is text"))
    }
}

/// A scripted service that records its requests.
pub struct Upstream {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
    task: JoinHandle<()>,
}

impl Upstream {
    /// Starts a service that responds to every request with the result of `answer`.
    pub async fn start<A, F>(answer: A) -> Self
    where
        A: Fn(ReceivedRequest) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        let router = Router::new().fallback(move |request: Request| {
            let (log, answer) = (Arc::clone(&log), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
                let path = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
                let mut received =
                    ReceivedRequest { method: parts.method, path, headers: parts.headers, body, number: 0 };
                {
                    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                    received.number = log.len() + 1;
                    log.push(received.clone());
                }
                answer(received).await
            }
        });
        let task = run(async move {
            axum::serve(listener, router).await.expect("a bound socket can be served");
        });
        Self { address, requests, task }
    }

    /// Starts a service that responds 200 to every request.
    pub async fn plain() -> Self {
        Self::start(|request| async move { answer(200, "", &format!("{} {}", request.method, request.path)) })
            .await
    }

    /// Starts a service that accepts every request and never responds.
    pub async fn silent() -> Self {
        Self::start(|_| std::future::pending()).await
    }

    /// Returns the `server` line for the gateway. `more` are nginx's parameters.
    pub fn server(&self, more: &str) -> String {
        format!("server {} {more};", self.address)
    }

    /// Returns the requests so far.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the number of requests.
    pub fn count(&self) -> usize {
        self.requests().len()
    }

    /// Returns the last request.
    pub fn last(&self) -> ReceivedRequest {
        self.requests().pop().expect("the service has received a request")
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An instance that reads a request and then closes the connection.
pub struct Breaking {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Breaking {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let task = run(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 16 * 1024];
                if stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { address, connections, task }
    }

    pub fn server(&self, more: &str) -> String {
        format!("server {} {more};", self.address)
    }

    /// Returns the number of requests that were read.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Breaking {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns an answer in JSON. `control` is its Cache-Control; an empty one is left out.
pub fn answer(status: u16, control: &str, body: &str) -> Response<Body> {
    let mut builder = Response::builder().status(status).header("content-type", "application/json");
    if !control.is_empty() {
        builder = builder.header("cache-control", control);
    }
    builder.body(Body::from(body.to_owned())).expect("a plain answer")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a service of a test ends with it: its owner aborts it when it is dropped"
)]
fn run(work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(work)
}
