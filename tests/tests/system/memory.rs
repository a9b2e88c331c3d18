//! What one process may take, whatever anonymous clients ask for.

use std::time::Duration;

use serde_json::json;
use system_tests::memory::{CONTAINER, MemoryWatch, anonymous_memory};
use system_tests::{Shape, World, scenarios};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

scenarios! {
    on one process, because "the memory of one process is what a container of the portal has":
        lists_of_the_longest_texts_and_readers_who_take_nothing_leave_it_under_256_mib;
}

/// As long as a text may be.
const LONG: usize = 500_000;

async fn lists_of_the_longest_texts_and_readers_who_take_nothing_leave_it_under_256_mib(shape: Shape) {
    let mut world = World::alone(shape).await;
    let admin = world.admin().await;
    let text = "All work and no play. ".repeat(LONG / 22);
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
    // Sixty who ask and take nothing, each for another list.
    let address = world.client().base().trim_start_matches("http://").to_owned();
    let mut unread = Vec::new();
    for limit in 40..100 {
        let mut stream = TcpStream::connect(&address).await.expect("connects");
        let ask =
            format!("GET /news/v1/all?include=content&limit={limit} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.expect("sends");
        unread.push(stream);
    }
    // Eight at once who take everything, and one who wants no texts.
    let paths = (1..=8)
        .map(|number| format!("/news/v1/all?include=content&limit=100&to=2099-01-0{number}T00:00:00Z"));
    let lists = paths.map(|path| {
        let client = world.client().clone();
        async move {
            let answer = client.get(&path).send().await;
            let status = answer.status;
            assert!([200, 503].contains(&status), "{path}: {answer:?}");
            if status == 200 {
                let bytes = answer.text().len();
                assert!(bytes <= 3 * 1024 * 1024, "{bytes} bytes");
            }
        }
    });
    let plain = async {
        for limit in 1..=20 {
            let call = world.client().get(&format!("/news/v1/all?limit={limit}"));
            call.send().await.expect_status(200);
        }
    };
    tokio::join!(futures::future::join_all(lists), plain);
    // Those who took nothing are still there, or were sent away; one begins to read.
    let mut some = [0; 1024];
    let first = unread.first_mut().expect("one of them");
    let read = tokio::time::timeout(Duration::from_secs(10), first.read(&mut some)).await;
    assert!(read.is_ok(), "it was answered or sent away");
    let peak = watch.stop();
    eprintln!("peak of one process: {} MiB ({} MiB before)", peak >> 20, before >> 20);
    assert!(peak < CONTAINER, "{} MiB", peak >> 20);
}
