//! Real crashes: another process of this test binary is killed with SIGKILL in the middle of its work.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use chassis::Surroundings;
use testkit::{PATIENCE, Process, Program, wait_until};

use super::{Fixture, accept_all, consume, handler, message, next, publish, queue, text};
use crate::Bus;

/// The text before each message that the other process reports.
const MARK: &str = "report ";

pub(super) async fn a_confirmed_message_survives_kill_9(fixture: impl Fixture) {
    let mut confirmed = BTreeSet::new();
    for moment in [1, 2, 23, 60] {
        let mut other = start("publish", &fixture.url()).await;
        wait_until("messages that the bus has confirmed", PATIENCE, || {
            std::future::ready((reports(&other).len() >= moment).then_some(()))
        })
        .await;
        other.kill9();
        confirmed.extend(reports(&other));
    }
    let bus = fixture.bus().await;
    let (handler, mut received) = accept_all();
    let running = consume(&bus, "test.one", handler).await;
    while !confirmed.is_empty() {
        confirmed.remove(&text(&next(&mut received).await));
    }
    running.stop().await;
}

pub(super) async fn a_message_that_a_killed_consumer_held_is_delivered_again(fixture: impl Fixture) {
    let mut other = start("consume", &fixture.url()).await;
    let first = reports(&other).remove(0);
    other.kill9();
    let bus = fixture.bus().await;
    let (handler, mut received) = accept_all();
    let running = consume(&bus, "test.one", handler).await;
    assert_eq!(text(&next(&mut received).await), first);
    assert_eq!(text(&next(&mut received).await), "another");
    running.stop().await;
}

/// Starts another process on the same bus, and returns when it has reported its first message.
async fn start(role: &str, url: &str) -> Process {
    let name = "contract::crash::a_process_that_will_be_killed";
    Process::start(&Program::this_test(name, format!("{role} {url}"), MARK)).await
}

/// Returns the reports of a process so far. The test harness may have written before a report on its line,
/// and the last line may be incomplete.
fn reports(other: &Process) -> Vec<String> {
    let report = |line: &String| line.split_once(MARK)?.1.strip_suffix('.').map(str::to_owned);
    other.output().iter().filter_map(report).collect()
}

fn report(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{text}.").and_then(|()| out.flush()).expect("the parent reads the output");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a child of the crash cases"]
async fn a_process_that_will_be_killed() {
    let Some(argument) = Program::argument() else { return };
    let (role, url) = argument.split_once(' ').expect("a role and a URL");
    let bus = crate::open(url, &Surroundings::one_process()).await.expect("the bus opens").bus;
    match role {
        "publish" => publish_forever(&bus).await,
        "consume" => consume_one_forever(&bus).await,
        other => panic!("{other} is not a role"),
    }
}

async fn publish_forever(bus: &Arc<dyn Bus>) {
    let (never, _unseen) = accept_all();
    drop(bus.subscribe(queue("test.one"), never).await.expect("the subscription is accepted"));
    loop {
        let mut sent = message("test.happened", "");
        sent.body = bytes::Bytes::from(sent.id.to_string());
        let name = text(&sent);
        bus.publish(vec![sent]).await.expect("the bus confirms");
        report(&name);
    }
}

async fn consume_one_forever(bus: &Arc<dyn Bus>) {
    let endless = handler(|message| {
        report(&text(&message));
        std::future::pending()
    });
    let consumer = bus.subscribe(queue("test.one"), endless).await.expect("the subscription is accepted");
    publish(bus, "test.happened", "one").await;
    publish(bus, "test.happened", "another").await;
    consumer.run(tokio_util::sync::CancellationToken::new()).await;
}
