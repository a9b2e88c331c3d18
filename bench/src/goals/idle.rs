//! The portal without load: P21, P22.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use system_tests::SERVICES;

use crate::ground::{ACCOUNTS, ARTICLES, InFleet, InOne};
use crate::machine::{Memory, memory};
use crate::verdict::{Goal, Row};
use crate::window::Bench;

const MIB: f64 = 1024.0 * 1024.0;
/// The longest time for which the fleet rests …
const REST: Duration = Duration::from_secs(60);
/// … and how long its memory must not have changed by more than a hundredth to end that earlier.
const STEADY: Duration = Duration::from_secs(15);
/// The most that a start may take, in seconds.
const START: f64 = 1.0;

/// P21: the memory of the six processes together, at rest after the work of filling them.
pub async fn memory_of(bench: &Bench, fleet: &InFleet) -> Result<Vec<Row>> {
    bench.progress.doing("P21 the fleet rests");
    let begun = Instant::now();
    let (mut last, mut since) = (sum(fleet)?, Instant::now());
    while begun.elapsed() < REST && since.elapsed() < STEADY {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = sum(fleet)?;
        if now.pss.abs_diff(last.pss) > last.pss / 100 {
            (last, since) = (now, Instant::now());
        }
    }
    let now = sum(fleet)?;
    for service in SERVICES {
        let of = memory(fleet.id(service)).context("the memory of a service")?;
        let (pss, rss) = (of.pss as f64 / MIB, of.rss as f64 / MIB);
        bench.progress.say(&format!("P21 {service:<16} {pss:>6.1} MiB PSS {rss:>6.1} MiB RSS"));
    }
    let rested = begun.elapsed().as_secs();
    let what =
        format!("six binaries at rest ({rested} s after {ARTICLES} articles, {ACCOUNTS} accounts), PSS");
    Ok(vec![
        Row::of("P21", &what, vec![now.pss as f64 / MIB]).unit(" MiB").goal(Goal::AtMost(120.0)),
        Row::of("P21", "… RSS", vec![now.rss as f64 / MIB]).unit(" MiB"),
    ])
}

fn sum(fleet: &InFleet) -> Result<Memory> {
    let mut all = Memory::default();
    for service in SERVICES {
        let of = memory(fleet.id(service)).with_context(|| format!("the memory of {service}"))?;
        all = Memory { rss: all.rss + of.rss, pss: all.pss + of.pss };
    }
    Ok(all)
}

/// P22: each program is killed and started again on its data, while the others run.
pub async fn starts(bench: &Bench, fleet: &mut InFleet, one: &mut InOne) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut row = |what: &str, times: Vec<f64>| {
        let row = Row::of("P22", &format!("start until ready, {what}"), times);
        rows.push(row.unit(" s").goal(Goal::AtMost(START)));
    };
    for service in SERVICES {
        let mut times = Vec::new();
        for round in bench.rounds() {
            fleet.fleet.kill9(service);
            let time = fleet.fleet.time_start(service).await.as_secs_f64();
            bench.progress.line(&format!("P22 {service:<16} ready after {time:.3} s, round {round}"));
            times.push(time);
        }
        row(service, times);
    }
    let mut times = Vec::new();
    for round in bench.rounds() {
        one.portal.kill9();
        let begun = Instant::now();
        one.portal.restart().await;
        testkit::wait_until("the one process", testkit::PATIENCE, || async {
            let answer = one.portal.client().get("/readyz").try_send().await;
            answer.is_ok_and(|answer| answer.status == 200).then_some(())
        })
        .await;
        let time = begun.elapsed().as_secs_f64();
        bench.progress.line(&format!("P22 {:<16} ready after {time:.3} s, round {round}", "one process"));
        times.push(time);
    }
    row("one process", times);
    Ok(rows)
}
