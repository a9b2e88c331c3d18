#![doc = include_str!("../README.md")]

mod accounts;
mod clock;
mod facts;
mod fill;
mod library;
mod patience;
mod plan;
mod random;
mod rules;
mod stage;
mod template;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;
use kernel::{Clock, Section, SystemClock, Timestamp};
use tokio_util::sync::CancellationToken;

pub use accounts::Account;
pub use fill::Summary;
pub use plan::{Change, Person, Plan, PlannedArticle, PlannedReading, PlannedVersion, Text};

use accounts::Accounts;
use fill::Filling;
use plan::WINDOW;
use stage::Stage;

/// The seed that `portal seed` uses by default.
pub const DEFAULT_SEED: u64 = 1847;

const MINUTE: i64 = 60_000;
/// The longest time that the outboxes may take to empty at the end.
const SETTLING: Duration = Duration::from_secs(60);

/// The stores that a seed fills, as the services are configured for them.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The folder that keeps the file of accounts.
    pub data_dir: PathBuf,
    /// The accounts.
    pub users: users::Config,
    /// The sections. Each must be there.
    pub news: BTreeMap<Section, news::Config>,
    /// The readings.
    pub recommendations: recommendations::Config,
}

/// A seed and the portal that it fills. No other process may work on the stores meanwhile.
pub struct Seeding {
    seed: u64,
    articles: usize,
    stores: Stores,
    plan: Plan,
    accounts: Option<Accounts>,
}

impl Seeding {
    /// Makes the plan of `seed` with this number of articles, and reads what an earlier run has noted. Opens
    /// no store.
    ///
    /// # Errors
    /// Fails if there are fewer stories than articles, or if the portal was filled with another seed.
    pub fn prepare(stores: Stores, seed: u64, articles: usize) -> anyhow::Result<Self> {
        let plan = Plan::new(seed, articles)?;
        let accounts = Accounts::read(&stores.data_dir)?;
        if let Some(accounts) = &accounts {
            accounts.ensure_same(seed, articles)?;
        }
        Ok(Self { seed, articles, stores, plan, accounts })
    }

    /// Returns the summary if an earlier run has done everything.
    pub fn finished(&self) -> Option<Summary> {
        let accounts = self.accounts.as_ref().filter(|accounts| accounts.done)?;
        Some(Summary::new(&self.plan, &accounts.account, true))
    }

    /// Carries the plan out. A run after one that was interrupted continues where that one ended.
    ///
    /// # Errors
    /// Fails if a store can't be opened, a use case refuses for good, or `stop` is cancelled.
    pub async fn fill(self, progress: &ProgressBar, stop: &CancellationToken) -> anyhow::Result<Summary> {
        let stage = Stage::open(&self.stores).await?;
        let outcome = self.fill_on(&stage, progress, stop).await;
        stage.close().await;
        outcome
    }

    async fn fill_on(
        self,
        stage: &Stage,
        progress: &ProgressBar,
        stop: &CancellationToken,
    ) -> anyhow::Result<Summary> {
        let (plan, folder) = (&self.plan, &self.stores.data_dir);
        let mut accounts = match self.accounts {
            Some(accounts) => accounts,
            None => {
                stage.ensure_unseeded(plan, folder).await?;
                // The first moment, cut to a minute. It is noted in the file, and a later run takes it from
                // there.
                let now = SystemClock.now().millis();
                let began = Timestamp::from_millis((now - WINDOW).div_euclid(MINUTE) * MINUTE);
                // The passwords come first: after a crash no account has a password that is not in the file.
                let accounts = Accounts::new(self.seed, self.articles, began, plan);
                accounts.write(folder)?;
                accounts
            }
        };
        Filling { plan, stage, began: accounts.began()?, progress, stop }.run(&accounts).await?;
        stage.settle(SETTLING).await?;
        accounts.done = true;
        accounts.write(folder)?;
        Ok(Summary::new(plan, &accounts.account, false))
    }
}

/// Returns the path of the file of accounts in a data folder.
pub fn accounts_path(data: &Path) -> PathBuf {
    Accounts::path(data)
}
