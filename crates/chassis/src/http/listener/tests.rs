use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use h2::client::SendRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use super::*;

/// The longest time that a test waits.
const SOON: Duration = Duration::from_secs(10);
/// An answer that fits in no buffer on the way.
const LARGE: usize = 1_000_000;

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

fn shares() -> Shares {
    Shares {
        connections: 100,
        connections_of_one: 0,
        streams_of_one: 0,
        unsent: 1 << 30,
        unsent_of_one: 0,
        trusted: crate::http::TrustedProxies::default(),
    }
}

async fn run(router: Router, shares: Shares, patience: Duration) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let serving = Serving { shares, patience, grace: Duration::from_secs(600) };
    let ended = crate::spawn("test.listener", listen(listener, router, stop.clone(), serving));
    Running { address, stop, ended }
}

/// Routes with an answer of every kind.
fn routes() -> Router {
    Router::new()
        .route("/", get(|| async { "fine" }))
        .route("/livez", get(|| async { "live" }))
        .route("/large", get(|| async { vec![b'x'; LARGE] }))
        .route("/never", get(std::future::pending::<()>))
        .route("/refused", get(|| async { StatusCode::TOO_MANY_REQUESTS }))
        .route(
            "/trailers",
            get(|| async { Body::new(WithTrailers(Some(Bytes::from(vec![b'x'; LARGE])), false)) }),
        )
}

/// A body as gRPC has it: its end is not known before its trailers.
struct WithTrailers(Option<Bytes>, bool);

impl http_body::Body for WithTrailers {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<io::Result<http_body::Frame<Bytes>>>> {
        let frame = match self.0.take() {
            Some(data) => Some(http_body::Frame::data(data)),
            None if self.1 => None,
            None => {
                self.1 = true;
                Some(http_body::Frame::trailers([(GRPC_STATUS, HeaderValue::from(0))].into_iter().collect()))
            }
        };
        std::task::Poll::Ready(frame.map(Ok))
    }
}

impl Running {
    /// A client of HTTP/2 that answers PINGs and gives each stream this window.
    async fn http_2(&self, window: u32) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
        let stream = TcpStream::connect(self.address).await.expect("connects");
        let builder = h2::client::Builder::new().initial_window_size(window).handshake(stream);
        let (client, connection) = builder.await.expect("speaks HTTP/2");
        (client, crate::spawn("test.client", connection))
    }

    /// A connection from this address of the loopback network.
    async fn connect(&self, from: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from((Ipv4Addr::from(from), 0))).expect("an address of this machine");
        socket.connect(self.address).await.expect("connects")
    }

    async fn get(&self, from: [u8; 4], path: &str) -> String {
        ask(&mut self.connect(from).await, path, "connection: close\r\n").await
    }
}

/// Asks over HTTP/1.1 and gives everything that comes until the connection is closed, or nothing if it was
/// reset.
async fn ask(stream: &mut TcpStream, path: &str, more: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n{more}\r\n");
    // A connection may be closed before it has taken anything.
    let _ = stream.write_all(request.as_bytes()).await;
    rest(stream).await
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await.expect("the connection ends");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn request(client: &mut SendRequest<Bytes>, path: &str) -> Result<Response<h2::RecvStream>, h2::Error> {
    let mut client = client.clone().ready().await?;
    let request = Request::get(format!("http://test{path}")).body(()).expect("a request");
    let (response, _) = client.send_request(request, true)?;
    tokio::time::timeout(SOON, response).await.expect("an answer in time")
}

/// The end of an answer that gives no more than its window.
async fn end_of(response: Response<h2::RecvStream>) -> Result<(), Option<h2::Reason>> {
    let mut body = response.into_body();
    loop {
        match tokio::time::timeout(SOON, body.data()).await.expect("the stream is reset in time") {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.reason()),
            None => return Ok(()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_an_http_2_client_does_not_read_is_reset_and_its_connection_closed() {
    let running = run(routes(), shares(), Duration::from_millis(300)).await;
    for (path, window) in
        [("/large", 0), ("/large", 100), ("/trailers", 0), ("/", 0), ("/", 3), ("/trailers", 20_000)]
    {
        let (mut client, connection) = running.http_2(window).await;
        let first = request(&mut client, path).await.expect("the head needs no window");
        // Some more, as many as there is time for before the connection is closed.
        let mut more = Vec::new();
        while more.len() < 20
            && let Ok(answer) = request(&mut client, path).await
        {
            more.push(answer);
        }
        assert_eq!(end_of(first).await, Err(Some(h2::Reason::CANCEL)), "{path} with a window of {window}");
        for answer in more {
            assert!(end_of(answer).await.is_err(), "{path} with a window of {window}");
        }
        let ended = tokio::time::timeout(SOON, connection).await.expect("the connection is closed");
        ended.expect("no panic").ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_2_client_that_reads_its_answer_in_small_pieces_gets_all_of_it() {
    let running = run(routes(), shares(), Duration::from_secs(5)).await;
    for (path, length) in [("/large", LARGE), ("/trailers", LARGE), ("/", 4)] {
        let (mut client, _connection) = running.http_2(1_000).await;
        let mut body = request(&mut client, path).await.expect("an answer").into_body();
        let mut taken = 0;
        while let Some(part) = tokio::time::timeout(SOON, body.data()).await.expect("goes on") {
            let part = part.expect("a part");
            taken += part.len();
            body.flow_control().release_capacity(part.len()).expect("taken");
        }
        assert_eq!(taken, length, "{path}");
        let trailers = body.trailers().await.expect("the end");
        assert_eq!(trailers.is_some(), path == "/trailers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_just_the_length_of_an_answer_is_enough_for_it() {
    let running = run(routes(), shares(), SOON).await;
    let (mut client, _connection) = running.http_2(4).await;
    let answer = request(&mut client, "/").await.expect("an answer");
    assert_eq!(end_of(answer).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_that_wait_for_one_client_are_limited() {
    let bounded = Shares { unsent_of_one: LARGE * 2, ..shares() };
    let running = run(routes(), bounded, Duration::from_secs(600)).await;
    let (mut client, _connection) = running.http_2(0).await;
    let first = request(&mut client, "/large").await.expect("an answer");
    let second = request(&mut client, "/large").await.expect("an answer");
    assert_eq!((first.status(), second.status()), (StatusCode::OK, StatusCode::OK));
    // On another connection too.
    let (mut other, _other_connection) = running.http_2(0).await;
    assert_eq!(request(&mut other, "/large").await.expect("an answer").status(), 503);
    assert_eq!(request(&mut other, "/").await.expect("an answer").status(), 200, "small ones are sent");
    drop(first);
    let begun = std::time::Instant::now();
    while request(&mut other, "/large").await.expect("an answer").status() == 503 {
        assert!(begun.elapsed() < SOON, "the bytes of an answer that was given up still count");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_that_wait_for_all_clients_are_limited_over_http_1_too() {
    let running = run(routes(), Shares { unsent: LARGE / 2, ..shares() }, Duration::from_secs(600)).await;
    let waiting = TcpSocket::new_v4().expect("a socket");
    waiting.set_recv_buffer_size(4_096).expect("a small buffer");
    let mut waiting = waiting.connect(running.address).await.expect("connects");
    // So many that the buffers of the system hold only the first of them.
    let request = "GET /large HTTP/1.1\r\nhost: test\r\n\r\n".repeat(20);
    waiting.write_all(request.as_bytes()).await.expect("sends");
    let begun = std::time::Instant::now();
    while !running.get([127, 0, 0, 2], "/large").await.starts_with("HTTP/1.1 503") {
        assert!(begun.elapsed() < SOON, "the bytes that wait for another client are not counted");
    }
    assert!(running.get([127, 0, 0, 2], "/").await.starts_with("HTTP/1.1 200"));
    drop(waiting);
    while !running.get([127, 0, 0, 2], "/large").await.starts_with("HTTP/1.1 200") {
        assert!(begun.elapsed() < SOON, "the bytes of a client that has left still count");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_do_not_shut_out_other_clients() {
    let few = Shares { connections: 20, connections_of_one: 5, ..shares() };
    let running = run(routes(), few, Duration::from_secs(600)).await;
    let mut silent = Vec::new();
    for number in 0..200 {
        silent.push(running.connect([127, 0, 1, number % 8]).await);
    }
    for from in [[127, 0, 2, 1], [127, 0, 1, 1]] {
        assert!(running.get(from, "/").await.ends_with("fine"));
    }
    assert_eq!(rest(&mut silent[0]).await, "", "the idlest was closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_http_2_connections_make_room_and_get_a_goaway() {
    let few = Shares { connections: 4, ..shares() };
    let running = run(routes(), few, Duration::from_secs(600)).await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let (mut client, connection) = running.http_2(1_000).await;
        assert_eq!(request(&mut client, "/").await.expect("an answer").status(), 200);
        idle.push((client, connection));
    }
    assert!(running.get([127, 0, 0, 2], "/").await.ends_with("fine"));
    let (_client, first) = idle.remove(0);
    let ended = tokio::time::timeout(SOON, first).await.expect("it is closed").expect("no panic");
    assert!(ended.is_ok(), "with a GOAWAY, not in the middle: {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_have_places_of_their_own_when_all_others_are_busy() {
    let few = Shares { connections: 2, ..shares() };
    let begun = Arc::new(AtomicUsize::new(0));
    let (up, mut is_up) = tokio::sync::mpsc::unbounded_channel();
    let counted = begun.clone();
    let busy = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        up.send(()).expect("the test waits");
        std::future::pending::<()>()
    };
    let running = run(routes().route("/busy", get(busy)), few, Duration::from_secs(600)).await;
    let mut at_work = Vec::new();
    for _ in 0..2 {
        let mut stream = running.connect([127, 0, 0, 1]).await;
        stream.write_all(b"GET /busy HTTP/1.1\r\nhost: test\r\n\r\n").await.expect("sends");
        is_up.recv().await.expect("it begins");
        at_work.push(stream);
    }
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(running.connect([127, 0, 0, 1]).await);
    }
    assert_eq!(running.get([127, 0, 0, 1], "/").await, "", "all places are at work for this client");
    for from in [[127, 0, 0, 1], [127, 0, 0, 9]] {
        assert!(running.get(from, "/livez").await.ends_with("live"));
    }
    assert_eq!(begun.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_a_request_never_delay_a_stop() {
    let running = run(routes(), shares(), Duration::from_secs(600)).await;
    let silent = running.connect([127, 0, 0, 1]).await;
    let mut half = running.connect([127, 0, 0, 1]).await;
    half.write_all(b"GET / HTTP/1.1\r\nhost").await.expect("sends");
    let mut preface = running.connect([127, 0, 0, 1]).await;
    preface.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sends");
    let (_client, _connection) = running.http_2(1_000).await;
    // Accepted before the stop: the listener takes them in their order.
    assert!(running.get([127, 0, 0, 1], "/").await.ends_with("fine"));
    running.stop.cancel();
    tokio::time::timeout(SOON, running.ended).await.expect("the listener ends").expect("no panic");
    drop((silent, half, preface));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_answered_before_a_stop() {
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = Arc::new(tokio::sync::Mutex::new(Some(gone)));
    let (up, mut is_up) = tokio::sync::mpsc::unbounded_channel();
    let slow = move || {
        let gone = gone.clone();
        up.send(()).expect("the test waits");
        async move {
            gone.lock().await.take().expect("one request").await.expect("a word");
            "done"
        }
    };
    let running = run(routes().route("/slow", get(slow)), shares(), SOON).await;
    let mut stream = running.connect([127, 0, 0, 1]).await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: test\r\n\r\n").await.expect("sends");
    is_up.recv().await.expect("it begins");
    running.stop.cancel();
    go.send(()).expect("it waits");
    assert!(rest(&mut stream).await.ends_with("done"));
    tokio::time::timeout(SOON, running.ended).await.expect("the listener ends").expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_ignores_429_loses_its_connection() {
    let running = run(routes(), shares(), Duration::from_secs(600)).await;
    let mut stream = running.connect([127, 0, 0, 1]).await;
    let many = "GET /refused HTTP/1.1\r\nhost: test\r\n\r\n".repeat(20);
    stream.write_all(many.as_bytes()).await.expect("sends");
    assert_eq!(rest(&mut stream).await.matches("HTTP/1.1 429").count(), 10);
    let (mut client, connection) = running.http_2(1_000).await;
    while let Ok(answer) = request(&mut client, "/refused").await {
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    }
    tokio::time::timeout(SOON, connection).await.expect("the connection is closed").expect("no panic").ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_beyond_the_share_of_a_client_are_refused_and_may_be_repeated() {
    let bounded = Shares { streams_of_one: 3, ..shares() };
    let running = run(routes(), bounded, Duration::from_secs(600)).await;
    let (mut client, _connection) = running.http_2(0).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(request(&mut client, "/large").await.expect("an answer"));
    }
    let refused = request(&mut client, "/").await.expect_err("one too many");
    assert_eq!(refused.reason(), Some(h2::Reason::REFUSED_STREAM));
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_1_without_a_host_with_two_or_with_an_invalid_one_is_400() {
    let running = run(routes(), shares(), SOON).await;
    for (head, expected) in [
        ("HTTP/1.1\r\nhost: news.example:8080", "200"),
        ("HTTP/1.0", "200"),
        ("HTTP/1.1", "400"),
        ("HTTP/1.1\r\nhost: a\r\nhost: a", "400"),
        ("HTTP/1.1\r\nhost: a b", "400"),
        ("HTTP/1.1\r\nhost:", "400"),
    ] {
        let mut stream = running.connect([127, 0, 0, 1]).await;
        let request = format!("GET / {head}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sends");
        let answer = rest(&mut stream).await;
        assert_eq!(answer.split(' ').nth(1), Some(expected), "{head:?}: {answer}");
        let is_problem = answer.contains("application/problem+json") && answer.contains("\"bad_request\"");
        assert_eq!(is_problem, expected == "400", "{answer}");
    }
}
