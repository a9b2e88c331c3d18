//! The memory of one process while anonymous clients request the largest lists.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::json;
use system_tests::memory::{CONTAINER, MemoryWatch, anonymous_memory};
use system_tests::{Shape, World, scenarios};
use testkit::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

scenarios! {
    on one process, because "the bound is the one of its container":
        lists_of_the_longest_texts_for_fast_and_stalled_readers_stay_under_256_mib;
}

/// The address of the stalled clients. The client of the world has another one.
const STALLED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// The most characters of a text.
const MAX_TEXT: usize = 500_000;

async fn lists_of_the_longest_texts_for_fast_and_stalled_readers_stay_under_256_mib(shape: Shape) {
    let mut world = World::alone(shape).await;
    let admin = world.admin().await;
    let text = "All work and no play. ".repeat(MAX_TEXT / 22);
    for number in 0..100 {
        let section = ["famous", "politics", "sports"][number % 3];
        let body = json!({"title": format!("Long {number}"), "content": text, "tags": ["long"]});
        let draft = world.client().post(&format!("/news/v1/{section}"));
        let draft = draft.token(&admin.token).json(&body).send().await.expect_status(201).json();
        let id = system_tests::text_of(&draft["news"]["id"]);
        let publish = world.client().post(&format!("/news/v1/{section}/{id}/publish")).token(&admin.token);
        publish.header("if-match", "\"v1\"").send().await.expect_status(200);
    }
    let last = "/news/v1/all?limit=1";
    while world.client().get(last).send().await.expect_status(200).json()["page"]["total"] != 100 {
        tokio::task::yield_now().await;
    }
    let process = world.portal().process().id();
    let before = anonymous_memory(process);
    let watch = MemoryWatch::start(process);
    // Sixty clients at another address request different lists and read nothing of the responses.
    let address = world.client().base().trim_start_matches("http://").to_owned();
    let mut stalled = Vec::new();
    for limit in 40..100 {
        let mut stream = connect_from(STALLED, &address).await;
        let request =
            format!("GET /news/v1/all?include=content&limit={limit} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sends");
        stalled.push(stream);
    }
    // Eight clients read complete lists at the same time, and one reads lists without texts.
    let paths = (1..=8)
        .map(|number| format!("/news/v1/all?include=content&limit=100&to=2099-01-0{number}T00:00:00Z"));
    let lists = paths.map(|path| {
        let client = world.client().clone();
        async move { client.get(&path).send().await }
    });
    let plain = async {
        for limit in 1..=20 {
            let call = world.client().get(&format!("/news/v1/all?limit={limit}"));
            call.send().await.expect_status(200);
        }
    };
    let (lists, ()) = tokio::join!(futures::future::join_all(lists), plain);
    let complete = lists.into_iter().filter(is_complete_list).count();
    eprintln!("{complete} of 8 lists with texts were complete, the others were refused");
    let path = "/news/v1/all?include=content&limit=100&to=2099-02-01T00:00:00Z";
    assert!(is_complete_list(&world.client().get(path).send().await), "the other address has its share");
    // The stalled clients are still connected or were disconnected. One of them begins to read.
    let mut some = [0; 1024];
    let first = stalled.first_mut().expect("one of them");
    let read = tokio::time::timeout(Duration::from_secs(10), first.read(&mut some)).await;
    assert!(read.is_ok(), "the client got neither a response nor a disconnect");
    drop(stalled);
    let peak = watch.stop();
    eprintln!("peak of one process: {} MiB ({} MiB before)", peak >> 20, before >> 20);
    assert!(peak < CONTAINER, "{} MiB", peak >> 20);
}

/// Connects to the portal from this local address.
async fn connect_from(local: IpAddr, address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((local, 0).into()).expect("a local address");
    socket.connect(address.parse().expect("an address")).await.expect("connects")
}

/// Returns true for a complete list with texts and false for a clean refusal.
///
/// # Panics
/// If the response is neither.
fn is_complete_list(response: &Response) -> bool {
    if response.status == 503 {
        let refused = response.clone().expect_problem(503, "busy");
        assert!(refused.header("retry-after").is_some(), "{refused}");
        return false;
    }
    let list = response.clone().expect_status(200).json();
    assert!(response.body.len() <= 3 * 1024 * 1024, "{} bytes", response.body.len());
    let articles = list["news"].as_array().expect("a list has articles");
    let are_whole =
        articles.iter().all(|article| system_tests::text_of(&article["content"]).len() > MAX_TEXT - 22);
    assert!(!articles.is_empty() && are_whole && list["partial"] == false, "a page without its texts");
    true
}
