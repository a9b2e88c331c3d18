//! What a portal withstands.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_too_large_together_are_a_problem() {
    let world = World::new().await;
    let call = (0..40).fold(world.client().get("/news/v1/all/1/10"), |call, number| {
        call.header(&format!("x-filler-{number}"), &"x".repeat(1_000))
    });
    call.send().await.expect_problem(431, "headers_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_nonsense_half_a_word_or_nothing_harm_nobody_and_are_sent_away() {
    let world = World::new().await;
    let address = world.portal.url().trim_start_matches("http://").to_owned();
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(&address).await.expect("connects"));
    }
    let mut nonsense = TcpStream::connect(&address).await.expect("connects");
    nonsense.write_all(b"\x16\x03\x01 nonsense \r\n\r\n").await.expect("sends");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), nonsense.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection was not closed");
    world.client().get("/livez").send().await.expect_status(200);
    world.client().get("/readyz").send().await.expect_status(200);
    // "PRI" is how HTTP/2 begins, and so does a client that never goes on.
    let mut half = silent.pop().expect("one of the silent");
    half.write_all(b"PRI").await.expect("sends");
    for mut stream in [half, silent.pop().expect("another")] {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut [0; 16])).await;
        // Closed, or reset where something that it sent was never read.
        let read = read.expect("a client that says nothing is sent away after ten seconds");
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

/// The original's gateway had no keepalive, time-out or limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_many_requests() {
    let world = World::new().await;
    let address = world.portal.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.expect("connects");
    for _ in 0..3 {
        let request = format!("GET /livez HTTP/1.1\r\nhost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sends");
        let mut answer = [0u8; 1024];
        let length = stream.read(&mut answer).await.expect("an answer");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    }
}
