//! The work of the orchestrator: P8, P10.

use std::time::Duration;

use anyhow::Result;

use super::CONNECTIONS;
use crate::floors::server;
use crate::ground::{ARTICLES, InFleet, SECTIONS};
use crate::load::{Ask, Target};
use crate::verdict::{Goal, Row};
use crate::window::{Bench, Side};

/// The rate of the timetable as a part of the rate that one connection reaches, so that no request waits for
/// another.
const CALM: f64 = 0.25;
/// The most lists a second …
const MOST: f64 = 50.0;
/// … and how many a window has at least.
const LISTS: f64 = 20.0;
/// Number of different pages.
const PAGES: u64 = 20;

/// P8: reads through the orchestrator and the broker, by our way and by the original's.
pub async fn broker(bench: &Bench, fleet: &mut InFleet) -> Result<Vec<Row>> {
    const ID: &str = "P8";
    let ids = fleet.stock.of("sports");
    let data = format!("{} of {ARTICLES} articles, {CONNECTIONS} connections", ids.len());
    let target = |url: &str, prefix: &'static str, past: &'static str| {
        let ids = ids.clone();
        Target::at(url, move |number| {
            let place = usize::try_from(number % ids.len() as u64).unwrap_or(0);
            Ask::get(format!("{prefix}/{}{past}", ids[place]))
        })
    };
    // A request with `min_version` is answered by the section, and never from a cache.
    let portal = target(&fleet.url("orchestrator"), "/sports", "?min_version=1")?;
    let broker = fleet.fleet.setting("sports-news", "BUS__URL");
    let floor = server(&["original", "--broker", broker, "--section", "sports"]).await?;
    let original = target(floor.ready(), "", "")?;
    portal.once().await?;
    original.once().await?;
    let ours = Side::new(ID, "article read, orchestrator", data.clone(), &[fleet.id("orchestrator")]);
    let theirs = Side::new(ID, "article read, the original's way", data, &[floor.id()]);
    portal.closed(CONNECTIONS, Duration::from_secs(1)).await;
    let (mut ratios, mut figures) = (Vec::new(), Vec::new());
    for round in bench.rounds() {
        let slow = async { Ok(original.closed(CONNECTIONS, bench.time).await) };
        let slow = bench.window(&theirs, round, slow).await?;
        let quick = async { Ok(portal.closed(CONNECTIONS, bench.time).await) };
        let quick = bench.window(&ours, round, quick).await?;
        ratios.push(quick.achieved / slow.achieved);
        figures.extend([quick, slow]);
    }
    let row =
        Row::of(ID, "article read through orchestrator and broker / the original's way, by rate", ratios);
    Ok(vec![row.unit(" ×").goal(Goal::AtLeast(50.0)).seen_in(&figures)])
}

/// P10: one list of all sections, and the same of each alone.
pub async fn three_sections(bench: &Bench, fleet: &mut InFleet) -> Result<Vec<Row>> {
    const ID: &str = "P10";
    let data = format!("{PAGES} pages of 10 of {ARTICLES} articles");
    let url = fleet.url("orchestrator");
    // Requests of staff are never answered from a cache.
    let token = fleet.stock.admin().await.token;
    let mut asked = Vec::new();
    for list in ["all"].into_iter().chain(SECTIONS) {
        let token = token.clone();
        let page = move |number| Ask::get(format!("/{list}/{}/10", number % PAGES + 1)).token(&token);
        let target = Target::at(&url, page)?;
        target.once().await?;
        asked.push((
            Side::new(ID, &format!("list of {list}"), data.clone(), &[fleet.id("orchestrator")]),
            target,
        ));
    }
    let alone = asked[0].1.closed(1, Duration::from_secs(2)).await.achieved();
    let rate = (alone * CALM).clamp(1.0, MOST);
    let time = bench.time.max(Duration::from_secs_f64(LISTS / rate));
    let (mut ratios, mut figures) = (Vec::new(), Vec::new());
    for round in bench.rounds() {
        let mut medians = Vec::new();
        for (side, target) in &asked {
            let load = async { Ok(target.open(rate, 8, time).await) };
            let figure = bench.window(side, round, load).await?;
            medians.push(figure.p50_ms.unwrap_or_default());
            figures.push(figure);
        }
        let slowest = medians[1..].iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        ratios.push(medians[0] / slowest);
    }
    let row = Row::of(ID, "three sections together / the slowest of them alone, p50", ratios);
    Ok(vec![row.goal(Goal::AtMost(1.4)).seen_in(&figures)])
}
