//! The memory of one process during every attack that once exhausted it. Lists of long texts are in
//! `memory.rs`.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt;
use futures::stream::iter;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use system_tests::memory::{CONTAINER, MemoryWatch};
use system_tests::{PASSWORD, Shape, World, scenarios};

scenarios! {
    on one process, because "the bound is the one of its container":
        memory_stays_under_the_bound_of_the_container_through_every_attack;
}

const MIB: u64 = 1024 * 1024;
/// The largest response to a refused request of at most 2 kB, in bytes.
const MAX_REFUSAL: usize = 64 * 1024;

/// The limits of requests are off here, so every other bound has to hold without them.
async fn memory_stays_under_the_bound_of_the_container_through_every_attack(shape: Shape) {
    let mut world = World::alone(shape).await;
    let watch = MemoryWatch::start(world.portal().process().id());
    for attack in 0..4 {
        match attack {
            0 => send_bodies_of_many_unknown_members(&world).await,
            1 => open_streams_that_take_nothing(&world).await,
            2 => ask_for_many_different_lists(&world).await,
            _ => hold_silent_connections(&world).await,
        }
        eprintln!("attack {attack}: at most {} MiB so far", watch.peak() / MIB);
        world.client().get("/news/v1/all/1/10").send().await.expect_status(200);
    }
    let peak = watch.stop();
    eprintln!("memory of the one process through all attacks: at most {} MiB", peak / MIB);
    assert!(peak < CONTAINER, "{} MiB", peak / MIB);
}

/// Sends a body of 200,000 unknown members, compressed to less than 2 kB, in forty requests at a time.
async fn send_bodies_of_many_unknown_members(world: &World) {
    let fields = json!({"name": "Ada", "email": "ada@example.org", "password": PASSWORD}).to_string();
    let body = format!("{},{}}}", fields.trim_end_matches('}'), vec!["\"\":1"; 200_000].join(","));
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(body.as_bytes()).expect("packs");
    let packed = packed.finish().expect("packs");
    assert!(packed.len() < 2_000, "{}", packed.len());
    let ask = |number: usize| {
        let path = ["/users/v1/", "/users/v1/sessions"][number % 2];
        let call = world.client().post(path).header("content-type", "application/json");
        call.header("content-encoding", "gzip").body(packed.clone()).send()
    };
    iter(0..80)
        .map(ask)
        .buffer_unordered(40)
        .for_each(async |answer| {
            assert!(matches!(answer.status, 400..=499 | 503), "{answer}");
            assert!(answer.body.len() <= MAX_REFUSAL, "{} bytes", answer.body.len());
        })
        .await;
}

/// Opens HTTP/2 connections whose client accepts no byte of any response. The portal closes each of them,
/// although the client answers PINGs.
async fn open_streams_that_take_nothing(world: &World) {
    let address = world.client().base().trim_start_matches("http://").to_owned();
    let ends = (0..4).map(|_| take_nothing(&address));
    let all = futures::future::join_all(ends);
    let ended = tokio::time::timeout(Duration::from_secs(60), all).await;
    assert!(ended.is_ok(), "a connection whose streams make no progress was kept");
}

/// Opens 140 streams with a window of zero bytes, and reads frames until the portal closes the connection.
async fn take_nothing(address: &str) {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 §6.5.2) of 0.
    opening.extend(frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    for number in 0..140u32 {
        let mut block = vec![0x82, 0x86, 0x04];
        let path = b"/openapi.json";
        block.push(u8::try_from(path.len()).expect("a short path"));
        block.extend(path);
        block.push(0x01);
        block.push(u8::try_from(address.len()).expect("a short address"));
        block.extend(address.as_bytes());
        // END_STREAM and END_HEADERS.
        opening.extend(frame(1, 0x05, number * 2 + 1, &block));
    }
    stream.write_all(&opening).await.expect("sends");
    let mut head = [0; 9];
    while stream.read_exact(&mut head).await.is_ok() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        if stream.read_exact(&mut payload).await.is_err() {
            return;
        }
        let answer = match (head[3], head[4] & 1) {
            (6, 0) => frame(6, 1, 0, &payload),
            (4, 0) => frame(4, 1, 0, &[]),
            _ => continue,
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Requests empty lists, each under a different key of several hundred bytes.
async fn ask_for_many_different_lists(world: &World) {
    let label = "%F0%9F%8E%BE".repeat(45);
    let ask = |number: usize| world.client().get(&format!("/news/v1/all?label={label}{number}")).send();
    iter(0..3_000)
        .map(ask)
        .buffer_unordered(16)
        .for_each(async |answer| assert!(matches!(answer.status, 200 | 503), "{answer}"))
        .await;
}

/// Opens connections that send nothing. The portal may refuse some of them.
async fn hold_silent_connections(world: &World) {
    let address = world.client().base().trim_start_matches("http://").to_owned();
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.extend(TcpStream::connect(&address).await);
    }
    world.client().get("/livez").send().await.expect_status(200);
}
