//! `portal seed`: fills a portal with a few hundred believable articles, and people who write and read them.
//!
//! Everything goes through the use cases: people register, authors draft, editors revise and publish, readers consent and read. What is
//! special is the clock, which walks from three months ago to now, so that what is stored is what would have been stored then.
//! `crates/portal/seed/README.md` says how the stories are made.

mod accounts;
mod clock;
mod facts;
mod fill;
mod library;
mod patience;
mod plan;
mod random;
mod stage;
mod template;
mod words;

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use chassis::{Surroundings, asked_to_stop, say, spawn};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use kernel::{Clock, Role, SystemClock, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config};
use crate::{first_admin, run, whole};
use accounts::Accounts;
use fill::{Filling, Summary};
use plan::{Plan, WINDOW};
use stage::Stage;

/// The seed that is taken where none is named.
pub const DEFAULT_SEED: u64 = 1847;
/// How many articles are written where nobody says.
const DEFAULT_ARTICLES: u16 = 300;
const MINUTE: i64 = 60_000;

/// What to fill a portal with.
#[derive(Debug, Args)]
#[group(id = "seeding")]
pub struct Flags {
    /// What all chance comes from: the same number gives the same people, articles and readings.
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// How many articles are written, over three sections and three months.
    #[arg(long, value_name = "COUNT", default_value_t = DEFAULT_ARTICLES, value_parser = clap::value_parser!(u16).range(1..=5000))]
    articles: u16,
    #[command(flatten)]
    config: config::Flags,
}

/// Fills the portal that the configuration names, while no portal holds the data folder. A second run adds nothing; a run after one
/// that was interrupted goes on where it ended.
///
/// # Errors
/// Where a running portal holds the data folder, the portal holds another seed, or a store can't be opened.
pub async fn seed(flags: &Flags) -> anyhow::Result<()> {
    let config = config::load(&flags.config)?.service;
    let stop = CancellationToken::new();
    let asked = stop.clone();
    spawn("portal.signals", async move {
        asked_to_stop().await;
        asked.cancel();
    });
    let bar =
        ProgressStyle::with_template("{msg:9} {wide_bar} {human_pos}/{human_len}  {elapsed}, {eta} left")?;
    let progress = ProgressBar::no_length().with_style(bar);
    let summary = fill(config.clone(), flags.seed, usize::from(flags.articles), &progress, &stop).await;
    progress.finish_and_clear();
    tell(&config.data_dir, summary?);
    Ok(())
}

/// Does all of a seed, and says what is there then.
async fn fill(
    mut config: Config,
    seed: u64,
    articles: usize,
    progress: &ProgressBar,
    stop: &CancellationToken,
) -> anyhow::Result<Summary> {
    let data = config.data_dir.clone();
    let _lock = run::hold(&data)?;
    whole::ensure(&config)?;
    let plan = Plan::of(seed, articles)?;
    let known = Accounts::read(&data)?;
    if let Some(known) = &known {
        known.ensure_same(seed, articles)?;
        if known.done {
            return Ok(Summary::of(&plan, &known.account, true));
        }
    }
    open_once(&mut config).await?;
    let stage = Stage::open(&config).await?;
    let outcome = on_stage(&stage, &plan, known, &data, (seed, articles), progress, stop).await;
    stage.close().await;
    outcome
}

/// Builds the whole portal once and closes it again: so that it has its first admin, and every queue is there before the first event
/// is told, whichever services listen.
async fn open_once(config: &mut Config) -> anyhow::Result<()> {
    let mut users = config.users.clone();
    // In a fleet the first admin is the affair of its own configuration.
    if users.store.url.scheme() == "sqlite" {
        first_admin::provide(&mut users, &config.data_dir)?;
    }
    let all = Config { users, ..config.clone() };
    let services = run::build(all, &Surroundings::one_process()).await?;
    for closer in services.into_iter().flat_map(|service| service.closers) {
        closer.await;
    }
    Ok(())
}

async fn on_stage(
    stage: &Stage,
    plan: &Plan,
    known: Option<Accounts>,
    data: &Path,
    (seed, articles): (u64, usize),
    progress: &ProgressBar,
    stop: &CancellationToken,
) -> anyhow::Result<Summary> {
    let mut accounts = match known {
        Some(known) => known,
        None => {
            stage.ensure_unseeded(plan, data).await?;
            // The first moment, cut to a minute: from here on it stands in the file, and a later run takes it from there.
            let now = SystemClock.now().millis();
            let began = Timestamp::from_millis((now - WINDOW).div_euclid(MINUTE) * MINUTE);
            // The passwords first: a crash leaves no account whose password nobody knows.
            Accounts::new(seed, articles, began, plan)?.written(data)?
        }
    };
    let filling = Filling { plan, stage, began: accounts.began()?, progress, stop };
    filling.all(&accounts).await?;
    stage.settled(Duration::from_secs(60)).await?;
    accounts.done = true;
    let accounts = accounts.written(data)?;
    Ok(Summary::of(plan, &accounts.account, false))
}

fn tell(data: &Path, summary: Summary) {
    let Summary { published, drafts, people, readings, was_there, accounts } = summary;
    let verb = if was_there { "there already" } else { "seeded" };
    say(format_args!(
        "{verb}: {published} published articles, {drafts} drafts, {people} accounts, {readings} readings"
    ));
    say(format_args!("  accounts  with their passwords in {}", Accounts::path(data).display()));
    if std::io::stdout().is_terminal() {
        for role in [Role::Reader, Role::Author, Role::Editor] {
            if let Some(account) = accounts.iter().find(|account| account.role == role) {
                say(format_args!("  {:8}  {}  {}", role.as_str(), account.email, account.password));
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
