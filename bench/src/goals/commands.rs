//! Writes: P11.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proto::news::v1::command_request::Action;
use proto::news::v1::{ArticleFields, CommandRequest, CreateArticle};
use testkit::Client;

use crate::broker::{Call, Caller};
use crate::floors::{Drive, driven};
use crate::ground::{InFleet, article};
use crate::load::{Ask, Target};
use crate::verdict::{Goal, Row};
use crate::window::{Bench, Side};

const IN_FLIGHT: usize = 16;
/// Bytes of an event of such an article.
const EVENT: &str = "1000";
/// The longest time for the projection of the events that a window leaves.
const CAUGHT_UP: Duration = Duration::from_secs(300);

/// P11: drafts, asked of the section over the broker; the same through the orchestrator; and transactions of
/// two insertions.
pub async fn at_sixteen(bench: &Bench, fleet: &mut InFleet) -> Result<Vec<Row>> {
    const ID: &str = "P11";
    let token = fleet.stock.admin().await.token;
    let data = format!("{IN_FLIGHT} in flight, events of about {EVENT} bytes");
    let side = |what: &str, servers: &[u32]| Side::new(ID, what, data.clone(), servers);
    let section = [fleet.id("sports-news")];
    let (floor, command) = (side("two insertions", &[]), side("draft, sports-news", &section));
    let through = side("draft, orchestrator", &section);
    let caller = Caller::new(fleet.fleet.setting("sports-news", "BUS__URL")).await?;
    let url = fleet.fleet.setting("sports-news", "EVENTS__URL");
    let orchestrator = fleet.url("orchestrator");
    let public = Target::at(&orchestrator, draft_over_http(token.clone()))?;
    let client = Client::new(&orchestrator);
    let (mut ratios, mut whole, mut figures) = (Vec::new(), Vec::new(), Vec::new());
    for round in bench.rounds() {
        let drive = Drive::new(IN_FLIGHT, bench.time);
        let bare =
            bench.window(&floor, round, driven(&["inserts", "--url", url, "--bytes", EVENT], drive)).await?;
        let call = draft(token.clone());
        let drafts = async {
            let (tally, _) = caller.closed("sports", IN_FLIGHT, bench.time, call).await?;
            Ok(tally)
        };
        let drafts = bench.window(&command, round, drafts).await?;
        caught_up(bench, &client, &token, round).await?;
        let http = async { Ok(public.closed(IN_FLIGHT, bench.time).await) };
        let http = bench.window(&through, round, http).await?;
        caught_up(bench, &client, &token, round).await?;
        ratios.push(drafts.achieved / bare.achieved);
        whole.push(http.achieved / bare.achieved);
        figures.extend([drafts, bare, http]);
    }
    Ok(vec![
        Row::of(ID, "command at 16 in flight / bare two-insert transaction, by rate", ratios)
            .goal(Goal::AtLeast(0.70))
            .seen_in(&figures),
        Row::of(ID, "… through the orchestrator", whole).seen_in(&figures),
    ])
}

fn draft(token: String) -> impl Fn(u64) -> Call + Send + Sync + 'static {
    move |number| {
        let written = article("sports", usize::try_from(number).unwrap_or(0));
        let text = |name: &str| written[name].as_str().unwrap_or_default().to_owned();
        let tags = vec!["bench".to_owned()];
        let fields =
            ArticleFields { title: text("title"), content: text("content"), tags, ..Default::default() };
        let action = Some(Action::Create(CreateArticle { fields: Some(fields), publish: false }));
        Call::by("Command", &CommandRequest { action, ..Default::default() }, &token)
    }
}

fn draft_over_http(token: String) -> impl Fn(u64) -> Ask + Send + Sync + 'static {
    move |number| Ask::post("/sports", &article("sports", usize::try_from(number).unwrap_or(0))).token(&token)
}

/// Waits until the events of a window are sent and projected, because they would slow the next window. One
/// more draft is written: events are projected in their order, so when that can be read, so can all before
/// it.
async fn caught_up(bench: &Bench, client: &Client, token: &str, round: usize) -> Result<()> {
    bench.progress.doing(&format!("P11 round {round}: the projection catches up"));
    let answer = client.post("/sports").token(token).json(&article("sports", 0)).send().await;
    ensure!(answer.status == 201, "{answer}");
    let id = answer.json()["news"]["id"].as_str().context("an id")?.to_owned();
    testkit::wait_until("the projection", CAUGHT_UP, || async {
        let answer = client.get(&format!("/sports/{id}")).token(token).try_send().await;
        answer.is_ok_and(|answer| answer.status == 200).then_some(())
    })
    .await;
    Ok(())
}
