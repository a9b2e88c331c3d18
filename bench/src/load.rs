//! The load: HTTP/1.1 over kept connections, as fast as answers come or by a fixed timetable.
//!
//! A timetable (open loop) does not wait for answers: each request has the moment when it should begin, and
//! its latency counts from that moment, also where all connections were busy then. So a server that stands
//! still for a second shows in a second's worth of latencies, not in one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::tally::Tally;

/// The longest time of a response. A longer one counts as an error.
const PATIENCE: Duration = Duration::from_secs(10);

/// One request.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    method: Method,
    path: String,
    token: Option<String>,
    body: Option<Bytes>,
}

impl Ask {
    /// GET of this path.
    pub fn get(path: impl Into<String>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// POST of this JSON.
    pub fn post(path: impl Into<String>, body: &serde_json::Value) -> Self {
        let body = Some(Bytes::from(body.to_string()));
        Self { method: Method::POST, path: path.into(), token: None, body }
    }

    /// With an access token.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    fn request(&self, host: &str) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(&self.method).uri(&self.path).header(header::HOST, host);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::new(self.body.clone().unwrap_or_default()))
            .expect("paths and tokens of ours are valid")
    }
}

/// Whom to ask what: the number of a request gives the request.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    ask: Arc<dyn Fn(u64) -> Ask + Send + Sync>,
}

impl Target {
    /// The server at `address`.
    pub fn new(address: SocketAddr, ask: impl Fn(u64) -> Ask + Send + Sync + 'static) -> Self {
        Self { address, ask: Arc::new(ask) }
    }

    /// The server at this URL.
    ///
    /// # Errors
    /// If it is not an address with a host and a port.
    pub fn at(url: &str, ask: impl Fn(u64) -> Ask + Send + Sync + 'static) -> Result<Self> {
        let address = url.trim_start_matches("http://").parse();
        Ok(Self::new(address.with_context(|| format!("the address {url}"))?, ask))
    }

    /// Sends one request and returns the body, to check that the target works and how large the response is.
    ///
    /// # Errors
    /// If the response is not a success.
    pub async fn once(&self) -> Result<Bytes> {
        let (status, body) = Line::new(self.address).ask(&(self.ask)(0)).await?;
        ensure!((200..300).contains(&status), "{} answered {status}", (self.ask)(0).path);
        Ok(body)
    }

    /// Sends requests over this many connections, on each as soon as the last response has arrived.
    pub async fn closed(&self, connections: usize, time: Duration) -> Tally {
        let (next, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let one = |_| {
            let (target, next) = (self.clone(), next.clone());
            tokio::spawn(async move {
                let (mut line, mut tally) = (Line::new(target.address), Tally::default());
                while begun.elapsed() < time {
                    let ask = (target.ask)(next.fetch_add(1, Ordering::Relaxed));
                    let from = Instant::now();
                    let answer = line.ask(&ask).await;
                    tally.count(from.elapsed(), answer.map(|(status, _)| status));
                }
                tally
            })
        };
        let parts = futures::future::join_all((0..connections).map(one)).await;
        Tally::sum(parts.into_iter().flatten(), None, begun.elapsed())
    }

    /// Sends this many requests per second, by the timetable, over at most this many connections.
    pub async fn open(&self, a_second: f64, connections: usize, time: Duration) -> Tally {
        let (timetable, begun) = (timetable(a_second, time), Instant::now());
        let timetable = Arc::new(Mutex::new(timetable));
        let one = |_| {
            let (target, timetable) = (self.clone(), timetable.clone());
            tokio::spawn(async move {
                let (mut line, mut tally) = (Line::new(target.address), Tally::default());
                loop {
                    let due = timetable.lock().await.recv().await;
                    let Some((number, due)) = due else { break tally };
                    let answer = line.ask(&(target.ask)(number)).await;
                    tally.count(due.elapsed(), answer.map(|(status, _)| status));
                }
            })
        };
        let parts = futures::future::join_all((0..connections).map(one)).await;
        Tally::sum(parts.into_iter().flatten(), Some(a_second), begun.elapsed())
    }
}

/// Sends a signal at each moment of a timetable. A separate thread does it, because tokio's timers have a
/// resolution of a millisecond.
fn timetable(a_second: f64, time: Duration) -> UnboundedReceiver<(u64, Instant)> {
    let (sender, moments) = unbounded_channel();
    std::thread::spawn(move || {
        let begin = Instant::now();
        for number in 0.. {
            let due = Duration::from_secs_f64(number as f64 / a_second);
            if due >= time {
                break;
            }
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
            if sender.send((number, begin + due)).is_err() {
                break;
            }
        }
    });
    moments
}

/// One kept connection, made at the first request and again after a failure.
pub struct Line {
    address: SocketAddr,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Line {
    /// A connection to this server.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, open: None }
    }

    /// Asks, and gives status and body.
    ///
    /// # Errors
    /// If no complete response arrives in time.
    pub async fn ask(&mut self, ask: &Ask) -> Result<(u16, Bytes)> {
        let answer = tokio::time::timeout(PATIENCE, self.exchange(ask)).await;
        let answer = answer.context("no answer in time").flatten();
        if answer.is_err() {
            self.open = None;
        }
        answer
    }

    async fn exchange(&mut self, ask: &Ask) -> Result<(u16, Bytes)> {
        // A server may end a kept connection between two requests.
        let sender = match self.open.take().filter(|open| !open.is_closed()) {
            Some(open) => open,
            None => connect(self.address).await?,
        };
        let sender = self.open.insert(sender);
        sender.ready().await.context("the connection")?;
        let answer =
            sender.send_request(ask.request(&self.address.to_string())).await.context("no answer")?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.context("half an answer")?.to_bytes();
        Ok((status, body))
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.context("no connection")?;
    stream.set_nodelay(true).context("the connection")?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.context("the connection")?;
    // It ends with its connection; an error is also that of the request in hand.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;

    async fn server(router: Router) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_timetable_is_kept_however_slow_the_answers_are() {
        let slow = get(|| async { tokio::time::sleep(Duration::from_millis(100)).await });
        let target = Target::new(server(Router::new().route("/", slow)).await, |_| Ask::get("/"));
        // Two connections answer 20 a second; 50 are asked for.
        let tally = target.open(50.0, 2, Duration::from_secs(1)).await;
        assert_eq!((tally.answered, tally.errors), (50, 0));
        // The last of them began a second and a half too late, and that counts.
        assert!(tally.milliseconds(0.99) > 1000.0, "{}", tally.milliseconds(0.99));
        assert!(tally.achieved() < 25.0, "{}", tally.achieved());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_refusal_is_an_error_and_no_answer() {
        let target = Target::new(server(Router::new()).await, |_| Ask::get("/nowhere"));
        let tally = target.closed(2, Duration::from_millis(100)).await;
        assert!(tally.answered == 0 && tally.errors > 0);
        assert_eq!(tally.first_error.as_deref(), Some("the status 404"));
        assert!(target.once().await.is_err());
    }
}
