//! Reads during a storm of logins: P16.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use system_tests::PASSWORD;
use tokio::task::JoinSet;

use super::CONNECTIONS;
use crate::ground::{ACCOUNTS, ARTICLES, InFleet, InOne, SECTIONS, Stock};
use crate::load::{Ask, Line, Target};
use crate::verdict::{Goal, Row};
use crate::window::{Bench, Figure, Side};

/// Number of clients that log in.
const LOGINS: usize = 200;
/// The pause of a client that was refused with a Retry-After.
const RETRY: Duration = Duration::from_secs(1);
/// Reads a second by the timetable.
const READS: f64 = 50.0;

/// P16: reads of news with and without a login storm, by their time and by their number, on both shapes.
pub async fn logins(bench: &Bench, fleet: &InFleet, one: &InOne) -> Result<Vec<Row>> {
    let gateway = [fleet.fleet.gateway_id()];
    let mut rows = on(bench, "fleet", fleet.fleet.url(), &fleet.stock, &gateway).await?;
    rows.extend(on(bench, "one process", one.portal.url(), &one.stock, &[one.portal.process().id()]).await?);
    Ok(rows)
}

async fn on(bench: &Bench, shape: &str, url: &str, stock: &Stock, servers: &[u32]) -> Result<Vec<Row>> {
    const ID: &str = "P16";
    let news = Target::at(url, reads(stock))?;
    news.once().await?;
    let side =
        |what: &str| Side::new(ID, &format!("{what}, {shape}"), format!("{ARTICLES} articles"), servers);
    let (quiet, stormy) = (side("news by timetable"), side("… in a login storm"));
    let (fast, slow) = (side("news as fast as possible"), side("… in a login storm, as fast"));
    let (mut times, mut speeds, mut figures) = (Vec::new(), Vec::new(), Vec::new());
    for round in bench.rounds() {
        let timetable = || async { Ok(news.open(READS, CONNECTIONS, bench.time).await) };
        let full = || async { Ok(news.closed(CONNECTIONS, bench.time).await) };
        let calm = bench.window(&quiet, round, timetable()).await?;
        let full_calm = bench.window(&fast, round, full()).await?;
        let storm = Storm::begin(url, stock)?;
        let in_storm = bench.window(&stormy, round, timetable()).await?;
        let full_storm = bench.window(&slow, round, full()).await?;
        bench.progress.say(&storm.end().await);
        times.push(p99(&in_storm) / p99(&calm));
        speeds.push(full_storm.achieved / full_calm.achieved);
        figures.extend([calm, in_storm]);
    }
    Ok(vec![
        Row::of(ID, &format!("news p99 in a storm of {LOGINS} logins / without, {shape}"), times)
            .goal(Goal::AtMost(2.0))
            .seen_in(&figures),
        Row::of(ID, &format!("news read as fast as possible in the storm / without, {shape}"), speeds)
            .goal(Goal::AtLeast(0.5)),
    ])
}

fn p99(figure: &Figure) -> f64 {
    figure.p99_ms.unwrap_or_default().max(f64::MIN_POSITIVE)
}

/// Every article in its turn.
fn reads(stock: &Stock) -> impl Fn(u64) -> Ask + Send + Sync + 'static {
    let articles = stock.articles.clone();
    move |number| {
        let number = usize::try_from(number).unwrap_or(0);
        let (place, of) = (number % SECTIONS.len(), number / SECTIONS.len());
        let ids = &articles[place];
        Ask::get(format!("/news/v1/{}/{}", SECTIONS[place], ids[of % ids.len()]))
    }
}

/// Clients that log in all together, and again as soon as they are logged in. A refused client tries again
/// after a second.
struct Storm {
    over: Arc<AtomicBool>,
    people: JoinSet<()>,
    let_in: Arc<AtomicU64>,
    sent_away: Arc<AtomicU64>,
}

impl Storm {
    fn begin(url: &str, stock: &Stock) -> Result<Self> {
        let address = url.trim_start_matches("http://").parse()?;
        let (over, let_in, sent_away) = <(Arc<AtomicBool>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let mut people = JoinSet::new();
        for number in 0..LOGINS {
            let body = json!({"email": stock.emails[number % ACCOUNTS], "password": PASSWORD});
            let ask = Ask::post("/users/v1/sessions", &body);
            let (over, let_in, sent_away) = (over.clone(), let_in.clone(), sent_away.clone());
            people.spawn(async move {
                let mut line = Line::new(address);
                while !over.load(Ordering::Relaxed) {
                    if line.ask(&ask).await.is_ok_and(|(status, _)| status == 201) {
                        let_in.fetch_add(1, Ordering::Relaxed);
                    } else {
                        sent_away.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(RETRY).await;
                    }
                }
            });
        }
        Ok(Self { over, people, let_in, sent_away })
    }

    /// Lets all clients finish, and returns the result.
    async fn end(self) -> String {
        self.over.store(true, Ordering::Relaxed);
        self.people.join_all().await;
        let (let_in, sent_away) =
            (self.let_in.load(Ordering::Relaxed), self.sent_away.load(Ordering::Relaxed));
        format!("P16 the storm of {LOGINS}: {let_in} logins, {sent_away} sent away for a second")
    }
}
