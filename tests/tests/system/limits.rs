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
async fn a_client_that_sends_nonsense_or_nothing_harms_nobody() {
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
}
