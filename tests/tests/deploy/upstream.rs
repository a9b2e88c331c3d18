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
pub struct Seen {
    pub method: Method,
    /// The path with its query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Which one this is, from 1.
    pub number: usize,
}

impl Seen {
    /// A header's value; `None` where there is none.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header of a test is text"))
    }
}

/// A service that answers as it is told, and remembers what it was asked.
pub struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Upstream {
    /// One that answers every request with what `answer` makes of it.
    pub async fn start<A, F>(answer: A) -> Self
    where
        A: Fn(Seen) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Request| {
            let (log, answer) = (Arc::clone(&log), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
                let path = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
                let mut seen = Seen { method: parts.method, path, headers: parts.headers, body, number: 0 };
                {
                    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.number = log.len() + 1;
                    log.push(seen.clone());
                }
                answer(seen).await
            }
        });
        let task = run(async move {
            axum::serve(listener, router).await.expect("a bound socket can be served");
        });
        Self { address, seen, task }
    }

    /// One that answers 200 to everything.
    pub async fn plain() -> Self {
        Self::start(|seen| async move { answer(200, "", &format!("{} {}", seen.method, seen.path)) }).await
    }

    /// One that takes every request and never answers.
    pub async fn silent() -> Self {
        Self::start(|_| std::future::pending()).await
    }

    /// Its `server` line for the gateway. `more` are nginx's parameters.
    pub fn server(&self, more: &str) -> String {
        format!("server {} {more};", self.address)
    }

    /// What it was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often it was asked.
    pub fn count(&self) -> usize {
        self.seen().len()
    }

    /// The last thing it was asked.
    pub fn last(&self) -> Seen {
        self.seen().pop().expect("the service was asked")
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An instance that takes a request and breaks the connection off.
pub struct Breaking {
    address: SocketAddr,
    taken: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Breaking {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let task = run(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 16 * 1024];
                if stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { address, taken, task }
    }

    pub fn server(&self, more: &str) -> String {
        format!("server {} {more};", self.address)
    }

    /// How many requests it took.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

impl Drop for Breaking {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer in JSON; `control` is its Cache-Control, empty for none.
pub fn answer(status: u16, control: &str, body: &str) -> Response<Body> {
    let mut builder = Response::builder().status(status).header("content-type", "application/json");
    if !control.is_empty() {
        builder = builder.header("cache-control", control);
    }
    builder.body(Body::from(body.to_owned())).expect("a plain answer")
}

#[allow(
    clippy::disallowed_methods,
    reason = "a service of a test ends with it: its owner aborts it when it is dropped"
)]
fn run(work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(work)
}
