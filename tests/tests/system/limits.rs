//! Clients that the portal has to withstand.

use std::io::ErrorKind;
use std::time::Duration;

use testkit::wait_until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use system_tests::{Shape, World, scenarios};

scenarios! {
    on both shapes:
        headers_that_are_too_large_together_are_a_problem,
        clients_that_send_nonsense_or_nothing_are_disconnected_and_affect_no_other,
        a_client_that_reads_no_responses_is_disconnected,
        silent_connections_do_not_shut_out_other_clients,
        a_connection_serves_many_requests,
        a_client_that_compares_versions_too_often_gets_retry_after_and_may_still_read;
}

async fn headers_that_are_too_large_together_are_a_problem(shape: Shape) {
    let world = World::new(shape).await;
    let call = (0..40).fold(world.client().get("/news/v1/all/1/10"), |call, number| {
        call.header(&format!("x-filler-{number}"), "x".repeat(1_000))
    });
    call.send().await.expect_problem(431, "headers_too_large");
}

async fn clients_that_send_nonsense_or_nothing_are_disconnected_and_affect_no_other(shape: Shape) {
    let world = impatient(shape).await;
    let address = address_of(&world);
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(&address).await.expect("connects"));
    }
    let mut nonsense = TcpStream::connect(&address).await.expect("connects");
    nonsense.write_all(b"\x16\x03\x01 nonsense \r\n\r\n").await.expect("sends");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), nonsense.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection was not closed");
    world.client().get("/news/v1/all/1/10").send().await.expect_status(200);
    // "PRI" is the beginning of HTTP/2. This client sends nothing else.
    let mut half = silent.pop().expect("one of the silent");
    half.write_all(b"PRI").await.expect("sends");
    for mut stream in [half, silent.pop().expect("another")] {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut [0; 16])).await;
        // Closed, or reset if the portal has not read everything that was sent.
        let read = read.expect("a client that says nothing is sent away");
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

async fn a_client_that_reads_no_responses_is_disconnected(shape: Shape) {
    let world = impatient(shape).await;
    let address = address_of(&world);
    let mut stream = TcpStream::connect(&address).await.expect("connects");
    // More than fits into the system's buffers.
    let ask = format!("GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(ask.repeat(32).as_bytes()).await.expect("sends");
    // A disconnected client notices it when it sends. If the portal still waits, it reads the data or leaves
    // it in the buffer.
    wait_until("the end of the connection", Duration::from_secs(30), async || {
        stream.try_write(b"\r\n").is_err_and(|error| error.kind() != ErrorKind::WouldBlock).then_some(())
    })
    .await;
    world.client().get("/news/v1/all/1/10").send().await.expect_status(200);
}

async fn silent_connections_do_not_shut_out_other_clients(shape: Shape) {
    // In a fleet the gateway holds the connections of clients, and closes the oldest silent ones.
    let settings: &[_] = match shape {
        Shape::OneProcess => &[("PROCESS__EDGE__CONNECTIONS_PER_ADDRESS", "20")],
        Shape::Fleet => &[],
    };
    let world = World::with(shape, settings).await;
    let address = address_of(&world);
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(&address).await.expect("connects"));
    }
    world.client().get("/news/v1/all/1/10").send().await.expect_status(200);
    if shape == Shape::OneProcess {
        world.client().get("/livez").send().await.expect_status(200);
        // The oldest ones were closed.
        let read = tokio::time::timeout(Duration::from_secs(10), silent[0].read(&mut [0; 1])).await;
        assert!(matches!(read.expect("it is closed at once"), Ok(0) | Err(_)));
    }
}

/// The gateway of the original had no keep-alive, time-out or limit.
async fn a_connection_serves_many_requests(shape: Shape) {
    let world = World::new(shape).await;
    let address = address_of(&world);
    let mut stream = TcpStream::connect(&address).await.expect("connects");
    for _ in 0..3 {
        let request = format!("GET /users/v1/.well-known/jwks.json HTTP/1.1\r\nhost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sends");
        let answer = whole_answer(&mut stream).await;
        assert!(answer.starts_with("http/1.1 200"), "{answer}");
    }
}

/// In a fleet the gateway admits all of these requests, because this test is about the services' limit.
/// `deploy/limits.rs` tests the gateway's.
async fn a_client_that_compares_versions_too_often_gets_retry_after_and_may_still_read(shape: Shape) {
    // The period is long, so that a slow machine does not return a request to the limit meanwhile.
    let world = World::with(shape, &[("PROCESS__EDGE__THROTTLE__COSTLY", "[\"3/day\"]")]).await;
    let admin = world.admin().await;
    let path = format!("/news/v1/sports/{}", world.published("sports", "The cup", &["cup"], &admin).await);
    for base in ["/news/v1", "/v1/news"] {
        let same = path.replace("/news/v1", base);
        world.client().get(&format!("{same}/diff?from=2&to=2")).send().await.expect_status(200);
    }
    // A comparison of versions that do not exist counts too.
    let other = "/news/v1/famous/0190b2c4-0000-7000-8000-000000000000/diff?from=1&to=2";
    world.client().get(other).send().await.expect_problem(404, "not_found");
    // A token does not bypass the limit.
    for call in [
        world.client().get(other),
        world.client().get(&format!("{path}/diff?from=1&to=2")).token(&admin.token),
    ] {
        let refused = call.send().await.expect_problem(429, "too_many_requests");
        let seconds = refused.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
        assert!(seconds.is_some_and(|seconds| (1..=86_400 / 3).contains(&seconds)), "{refused}");
        assert!(
            refused.header("ratelimit").is_some_and(|left| left.starts_with("\"costly-day\";r=0;t=")),
            "{refused}"
        );
    }
    for rest in ["?min_version=2", "/history", "/versions/2"] {
        world.client().get(&format!("{path}{rest}")).send().await.expect_status(200);
    }
}

/// Starts a portal that gives clients one second. The fleet's gateway gives them ten, as by default.
async fn impatient(shape: Shape) -> World {
    let settings: &[_] = match shape {
        Shape::OneProcess => &[("PROCESS__EDGE__HEADER_BUDGET_MS", "1000")],
        Shape::Fleet => &[],
    };
    World::with(shape, settings).await
}

fn address_of(world: &World) -> String {
    world.client().base().trim_start_matches("http://").to_owned()
}

/// Reads one answer, up to its Content-Length, in lower case.
async fn whole_answer(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    let mut part = [0u8; 4096];
    loop {
        let length = stream.read(&mut part).await.expect("an answer");
        assert!(length > 0, "the connection was closed after {answer:?}");
        answer += &String::from_utf8_lossy(&part[..length]).to_ascii_lowercase();
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { continue };
        let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let announced: usize = announced.and_then(|it| it.parse().ok()).expect("an answer with a length");
        if body.len() >= announced {
            return answer;
        }
    }
}
