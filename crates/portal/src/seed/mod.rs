//! `portal seed`: fills a portal with a few hundred believable articles, and with people who write and read
//! them.
//!
//! The crate `seed` draws the stories and calls the use cases. This command prepares the portal for it: it
//! takes the data folder, and opens every service once.

#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::path::Path;

use chassis::{Surroundings, say, spawn, stop_signal};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use kernel::{Role, Section};
use seed::{DEFAULT_SEED, Seeding, Stores, Summary};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config};
use crate::{data_folder, first_admin, offline, run, whole};

const DEFAULT_ARTICLES: u16 = 300;

/// The content that a portal is filled with.
#[derive(Debug, Args)]
#[group(id = "seeding")]
pub struct Flags {
    /// The seed of all random choices: the same number gives the same people, articles and readings.
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// The number of articles, spread over three sections and three months.
    #[arg(long, value_name = "COUNT", default_value_t = DEFAULT_ARTICLES, value_parser = clap::value_parser!(u16).range(1..=5000))]
    articles: u16,
    #[command(flatten)]
    config: config::Flags,
}

/// Fills the portal of the configuration. A second run adds nothing; a run after one that was interrupted
/// continues where that one ended.
///
/// # Errors
/// Fails if a running portal holds the data folder, the portal was filled with another seed, or a store can't
/// be opened.
pub async fn seed(flags: &Flags) -> anyhow::Result<()> {
    let config = config::load(&flags.config)?.service;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    spawn("portal.signals", async move {
        stop_signal().await;
        stopping.cancel();
    });
    let bar =
        ProgressStyle::with_template("{msg:9} {wide_bar} {human_pos}/{human_len}  {elapsed}, {eta} left")?;
    let progress = ProgressBar::no_length().with_style(bar);
    let summary = fill(config.clone(), flags.seed, usize::from(flags.articles), &progress, &stop).await;
    progress.finish_and_clear();
    print_summary(&config.data_dir, summary?);
    Ok(())
}

async fn fill(
    config: Config,
    seed: u64,
    articles: usize,
    progress: &ProgressBar,
    stop: &CancellationToken,
) -> anyhow::Result<Summary> {
    let _lock = data_folder::hold(&config.data_dir)?;
    whole::ensure_complete(&config)?;
    let seeding = Seeding::prepare(stores(&config), seed, articles)?;
    if let Some(summary) = seeding.finished() {
        return Ok(summary);
    }
    open_once(&config).await?;
    seeding.fill(progress, stop).await
}

fn stores(config: &Config) -> Stores {
    Stores {
        data_dir: config.data_dir.clone(),
        users: config.users.clone(),
        news: Section::ALL.map(|section| (section, offline::config_of(config, section).clone())).into(),
        recommendations: config.recommendations.clone(),
    }
}

/// Builds all services and closes them again. After that the portal has its first admin, and every queue
/// exists before the first event is published, whichever services subscribe.
async fn open_once(config: &Config) -> anyhow::Result<()> {
    let mut users = config.users.clone();
    // In a fleet, the configuration of users decides on the first admin.
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

fn print_summary(data: &Path, summary: Summary) {
    let Summary { published, drafts, people, readings, is_old, accounts } = summary;
    let verb = if is_old { "already seeded" } else { "seeded" };
    say(format_args!(
        "{verb}: {published} published articles, {drafts} drafts, {people} accounts, {readings} readings"
    ));
    say(format_args!("  accounts  with their passwords in {}", seed::accounts_path(data).display()));
    if std::io::stdout().is_terminal() {
        for role in [Role::Reader, Role::Author, Role::Editor] {
            if let Some(account) = accounts.iter().find(|account| account.role == role) {
                say(format_args!("  {:8}  {}  {}", role.as_str(), account.email, account.password));
            }
        }
    }
}
