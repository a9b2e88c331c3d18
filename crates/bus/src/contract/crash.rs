//! Crashes are real: another process of this test binary is killed with SIGKILL in the middle of its work.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use chassis::Surroundings;
use testkit::{PATIENCE, Process, Program, wait_until};

use super::{Fixture, consume, handler, message, next, publish, queue, recording, text};
use crate::Bus;

/// What the other process writes before each fact that it reports.
const MARK: &str = "fact ";

pub(super) async fn a_confirmed_message_survives_kill_9(fixture: impl Fixture) {
    let mut confirmed = BTreeSet::new();
    for moment in [1, 2, 23, 60] {
        let mut other = start("publish", &fixture.url()).await;
        wait_until("messages that the bus has confirmed", PATIENCE, || {
            std::future::ready((facts(&other).len() >= moment).then_some(()))
        })
        .await;
        other.kill9();
        confirmed.extend(facts(&other));
    }
    let bus = fixture.bus().await;
    let (handler, mut seen) = recording();
    let running = consume(&bus, "test.one", handler).await;
    while !confirmed.is_empty() {
        confirmed.remove(&text(&next(&mut seen).await));
    }
    running.stop().await;
}

pub(super) async fn a_message_in_the_hand_of_a_killed_consumer_comes_again(fixture: impl Fixture) {
    let mut other = start("consume", &fixture.url()).await;
    let first = facts(&other).remove(0);
    other.kill9();
    let bus = fixture.bus().await;
    let (handler, mut seen) = recording();
    let running = consume(&bus, "test.one", handler).await;
    assert_eq!(text(&next(&mut seen).await), first);
    assert_eq!(text(&next(&mut seen).await), "another");
    running.stop().await;
}

/// Another process that works on the same bus, once it has reported its first fact.
async fn start(role: &str, url: &str) -> Process {
    let name = "contract::crash::a_process_that_will_be_killed";
    Process::start(&Program::this_test(name, format!("{role} {url}"), MARK)).await
}

/// What it has reported so far. The test harness may have written something before a fact on its line, and the last line
/// may be half a line.
fn facts(other: &Process) -> Vec<String> {
    let fact = |line: &String| line.split_once(MARK)?.1.strip_suffix('.').map(str::to_owned);
    other.output().iter().filter_map(fact).collect()
}

fn report(fact: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{fact}.").and_then(|()| out.flush()).expect("the parent listens");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a child of the crash cases"]
async fn a_process_that_will_be_killed() {
    let Some(argument) = Program::argument() else { return };
    let (role, url) = argument.split_once(' ').expect("a role and a URL");
    let bus = crate::open(url, &Surroundings::one_process()).await.expect("opens the bus").bus;
    match role {
        "publish" => publish_for_ever(&bus).await,
        "consume" => consume_one_for_ever(&bus).await,
        other => panic!("{other} is no role"),
    }
}

async fn publish_for_ever(bus: &Arc<dyn Bus>) {
    let (never, _unseen) = recording();
    drop(bus.subscribe(queue("test.one"), never).await.expect("subscribes"));
    loop {
        let mut sent = message("test.happened", "");
        sent.body = bytes::Bytes::from(sent.id.to_string());
        let name = text(&sent);
        bus.publish(vec![sent]).await.expect("the bus confirms");
        report(&name);
    }
}

async fn consume_one_for_ever(bus: &Arc<dyn Bus>) {
    let endless = handler(|message| {
        report(&text(&message));
        std::future::pending()
    });
    let consumer = bus.subscribe(queue("test.one"), endless).await.expect("subscribes");
    publish(bus, "test.happened", "one").await;
    publish(bus, "test.happened", "another").await;
    consumer.run(tokio_util::sync::CancellationToken::new()).await;
}
