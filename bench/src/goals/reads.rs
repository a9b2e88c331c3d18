//! Reads of one thing: P4, P5, P6, P25.

use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection};
use testkit::Folder;

use super::CONNECTIONS;
use crate::broker::{Call, Caller};
use crate::floors::{Drive, Static, driven, server};
use crate::ground::{ACCOUNTS, ARTICLES, InFleet, InOne};
use crate::load::{Ask, Target};
use crate::verdict::{Goal, Row};
use crate::window::{Bench, Figure, Side};

/// Before the first round: connections are made, caches are filled.
const WARM: Duration = Duration::from_secs(1);
/// Number of finds and calls in flight.
const IN_FLIGHT: usize = 16;

/// A request that is repeated as fast as responses arrive, with the processes that respond.
struct Asked {
    target: Target,
    side: Side,
}

impl Asked {
    /// Asks once before, to know the size of an answer and that there is one.
    async fn new(
        goal: &'static str,
        what: &str,
        data: &str,
        target: Target,
        servers: &[u32],
    ) -> Result<Self> {
        let bytes = target.once().await.with_context(|| what.to_owned())?.len();
        target.closed(CONNECTIONS, WARM).await;
        Ok(Self { target, side: Side::new(goal, what, format!("{data}, answers of {bytes} bytes"), servers) })
    }

    async fn window(&self, bench: &Bench, round: usize) -> Result<Figure> {
        let load = async { Ok(self.target.closed(CONNECTIONS, bench.time).await) };
        bench.window(&self.side, round, load).await
    }
}

/// Both sides in turns. Gives their figures, a pair for each round.
async fn in_turns(bench: &Bench, portal: &Asked, floor: &Asked) -> Result<Vec<(Figure, Figure)>> {
    let mut pairs = Vec::new();
    for round in bench.rounds() {
        let floor = floor.window(bench, round).await?;
        pairs.push((portal.window(bench, round).await?, floor));
    }
    Ok(pairs)
}

fn rates(pairs: &[(Figure, Figure)]) -> Vec<f64> {
    pairs.iter().map(|(portal, floor)| portal.achieved / floor.achieved).collect()
}

/// The floor's CPU time divided by the portal's: the ratio if only processors limited both.
fn cpu(pairs: &[(Figure, Figure)]) -> Result<Vec<f64>> {
    pairs.iter().map(|(portal, floor)| Ok(floor.cpu()? / portal.cpu()?)).collect()
}

fn all(pairs: &[(Figure, Figure)]) -> Vec<Figure> {
    pairs.iter().flat_map(|(portal, floor)| [portal.clone(), floor.clone()]).collect()
}

/// P4: all clients read one article, which nginx caches for a second.
pub async fn hot_article(bench: &Bench, fleet: &mut InFleet) -> Result<Vec<Row>> {
    const ID: &str = "P4";
    let path = format!("/news/v1/sports/{}", fleet.stock.of("sports")[0]);
    let hot = Target::at(fleet.fleet.url(), move |_| Ask::get(path.clone()))?;
    let gateway = [fleet.fleet.gateway_id()];
    let hot =
        Asked::new(ID, "hot article, gateway", &format!("1 of {ARTICLES} articles"), hot, &gateway).await?;
    let nginx = Static::start().await?;
    let file = Target::new(nginx.address, |_| Ask::get("/"));
    let file = Asked::new(ID, "nginx, a file", "1 file", file, &[nginx.id()]).await?;
    let pairs = in_turns(bench, &hot, &file).await?;
    let figures = all(&pairs);
    Ok(vec![
        Row::of(ID, "hot article through the gateway / nginx static 1 KB, by rate", rates(&pairs))
            .goal(Goal::AtLeast(0.80))
            .seen_in(&figures),
        Row::of(ID, "… the same by CPU of nginx", cpu(&pairs)?).seen_in(&figures),
    ])
}

/// P5: a reader reads their own account, which lies in the cache.
pub async fn user(bench: &Bench, fleet: &mut InFleet, one: &mut InOne) -> Result<Vec<Row>> {
    const ID: &str = "P5";
    let data = format!("1 of {ACCOUNTS} accounts");
    let (reader, theirs) = (fleet.stock.reader().await, one.stock.reader().await);
    let ask = |path: String, token: String| move |_| Ask::get(path.clone()).token(&token);
    let users = Target::at(&fleet.url("users"), ask(format!("/{}", reader.id), reader.token))?;
    let bytes = users.once().await?.len();
    let users = Asked::new(ID, "user read, users", &data, users, &[fleet.id("users")]).await?;
    let portal = Target::at(one.portal.url(), ask(format!("/users/v1/{}", theirs.id), theirs.token))?;
    let portal =
        Asked::new(ID, "user read, one process", &data, portal, &[one.portal.process().id()]).await?;
    let floor = server(&["json", "--bytes", &bytes.to_string()]).await?;
    let json = Target::at(floor.ready(), |_| Ask::get("/1"))?;
    let json = Asked::new(ID, "bare axum JSON", "nothing", json, &[floor.id()]).await?;

    let (mut fleets, mut ones) = (Vec::new(), Vec::new());
    for round in bench.rounds() {
        let floor = json.window(bench, round).await?;
        fleets.push((users.window(bench, round).await?, floor.clone()));
        ones.push((portal.window(bench, round).await?, floor));
    }
    let figures = all(&fleets);
    Ok(vec![
        Row::of(ID, "user read, cache hit / bare axum JSON, by CPU", cpu(&fleets)?)
            .goal(Goal::AtLeast(0.60))
            .seen_in(&figures),
        Row::of(ID, "… the same by rate", rates(&fleets)).seen_in(&figures),
        Row::of(ID, "… by CPU, one process", cpu(&ones)?).seen_in(&all(&ones)),
    ])
}

/// P6: the section answers a call for an article; the driver finds the same document.
pub async fn section(bench: &Bench, fleet: &mut InFleet) -> Result<Vec<Row>> {
    const ID: &str = "P6";
    let (article, section) = (fleet.stock.of("sports")[0].clone(), [fleet.id("sports-news")]);
    let caller = Caller::new(fleet.fleet.setting("sports-news", "BUS__URL")).await?;
    let data = format!("1 of {} articles, {IN_FLIGHT} in flight", fleet.stock.of("sports").len());
    let side = |what: &str, servers: &[u32]| Side::new(ID, what, data.clone(), servers);
    let (read, refused) =
        (side("article read, sports-news", &section), side("refused call, sports-news", &section));
    let found = side("bare driver find", &[]);
    let url = fleet.fleet.setting("sports-news", "VIEW__URL");
    let (mut ratios, mut without, mut figures) = (Vec::new(), Vec::new(), Vec::new());
    caller.closed("sports", IN_FLIGHT, WARM, calls(Call::get(&article))).await?;
    for round in bench.rounds() {
        let find = ["find", "--url", url, "--id", &article];
        let floor = driven(&find, Drive::new(IN_FLIGHT, bench.time));
        let floor = bench.window(&found, round, floor).await?;
        let call = |call| {
            let caller = caller.clone();
            async move { Ok(caller.closed("sports", IN_FLIGHT, bench.time, calls(call)).await?.0) }
        };
        let portal = bench.window(&read, round, call(Call::get(&article))).await?;
        let nothing = bench.window(&refused, round, call(Call::get("no id").refused())).await?;
        ratios.push(portal.cpu()? / floor.cpu()?);
        without.push((portal.cpu()? - nothing.cpu()?) / floor.cpu()?);
        figures.extend([portal, floor]);
    }
    Ok(vec![
        Row::of(ID, "article read in the section / bare driver find, by CPU", ratios)
            .goal(Goal::AtMost(1.5))
            .seen_in(&figures),
        Row::of(ID, "… less what a call costs that finds nothing", without).seen_in(&figures),
    ])
}

fn calls(call: Call) -> impl Fn(u64) -> Call + Send + Sync + 'static {
    move |_| call.clone()
}

/// P25: the one process reads articles; axum reads rows.
pub async fn one_process(bench: &Bench, one: &mut InOne) -> Result<Vec<Row>> {
    const ID: &str = "P25";
    let ids = one.stock.of("sports");
    let (count, data) = (ids.len() as u64, format!("{} of {ARTICLES} articles", ids.len()));
    let folder = Folder::on_disk();
    let file = folder.join("articles.db");
    rows_of(&file, &ids, &one.stock.body("sports", &ids[0]).await).await?;
    let floor = server(&["sqlite", "--file", &file.display().to_string()]).await?;
    let path = move |ids: &[String], number: u64| ids[usize::try_from(number % count).unwrap_or(0)].clone();
    let rows = ids.clone();
    let sqlite = Target::at(floor.ready(), move |number| Ask::get(format!("/{}", path(&rows, number))))?;
    let sqlite = Asked::new(ID, "axum and SQLite", &data, sqlite, &[floor.id()]).await?;
    let read = Target::at(one.portal.url(), move |number| {
        Ask::get(format!("/news/v1/sports/{}", path(&ids, number)))
    })?;
    let read = Asked::new(ID, "article read, one process", &data, read, &[one.portal.process().id()]).await?;
    let pairs = in_turns(bench, &read, &sqlite).await?;
    let figures = all(&pairs);
    Ok(vec![
        Row::of(ID, "one process: article read / bare axum + SQLite, by CPU", cpu(&pairs)?)
            .goal(Goal::AtLeast(0.60))
            .seen_in(&figures),
        Row::of(ID, "… the same by rate", rates(&pairs)).seen_in(&figures),
    ])
}

/// A file with one row for each id, each with the same body.
async fn rows_of(file: &std::path::Path, ids: &[String], body: &[u8]) -> Result<()> {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut connection = options.journal_mode(SqliteJournalMode::Wal).connect().await.context("the file")?;
    let table = "create table articles (id text primary key, body text not null) without rowid";
    sqlx::query(table).execute(&mut connection).await?;
    let body = String::from_utf8_lossy(body);
    for id in ids {
        let row = sqlx::query("insert into articles values ($1, $2)").bind(id).bind(&*body);
        row.execute(&mut connection).await?;
    }
    connection.close().await.context("the file")
}
