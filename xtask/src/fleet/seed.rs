//! Three months of news in the stores of the fleet: `portal seed` with the services' own logins.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::plan::Plan;
use crate::engines::state::State;

/// The options of the seed.
#[derive(Debug, clap::Args)]
pub struct Seed {
    /// The source of all chance: the same number gives the same people, articles and readings
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// The number of articles
    #[arg(long, value_name = "COUNT")]
    articles: Option<u16>,
}

impl Seed {
    /// Runs the seed. `folder` gets the list of the accounts, with their passwords.
    pub fn run(&self, portal: &Path, plan: &Plan, engines: &State, folder: &Path) -> Result<()> {
        let mut command = Command::new(portal);
        command.arg("seed").arg("--data-dir").arg(folder.join("seed"));
        if let Some(seed) = self.seed {
            command.arg("--seed").arg(seed.to_string());
        }
        if let Some(articles) = self.articles {
            command.arg("--articles").arg(articles.to_string());
        }
        command.envs(environment(plan, engines, folder));
        let status = command.status().with_context(|| format!("{} can't be run", portal.display()))?;
        ensure!(status.success(), "the seed was interrupted; run the same command again to continue it");
        Ok(())
    }
}

/// Returns the stores of all services, without the settings of a service's own process: its listeners and its
/// tokens.
fn environment(plan: &Plan, engines: &State, folder: &Path) -> Vec<(String, String)> {
    let first = plan.instances().into_iter().filter(|instance| instance.number == 1);
    let all = first.flat_map(|instance| plan.environment(instance, engines, folder));
    let own = ["__PROCESS__", "__GRPC__", "__TOKEN"];
    let mut stores: Vec<_> = all.filter(|(key, _)| !own.iter().any(|part| key.contains(part))).collect();
    // The services of a seed are in one process, so they need no addresses of each other.
    stores.retain(|(key, _)| {
        !["ORCHESTRATOR__RECOMMENDATIONS__URL", "RECOMMENDATIONS__USERS__URL"].contains(&key.as_str())
    });
    stores
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_seed_gets_every_store_and_no_listener() {
        let mut engines = State::default();
        engines.complete(|_, _| true).expect("ports are free");
        let plan = Plan::new("127.0.0.1:28081", 2, Vec::new()).expect("ports are free");
        let settings: BTreeMap<_, _> =
            environment(&plan, &engines, Path::new("/fleet")).into_iter().collect();
        for wanted in [
            "USERS__STORE__URL",
            "USERS__INTAKE__URL",
            "SPORTS_NEWS__VIEW__URL",
            "RECOMMENDATIONS__STORE__URL",
        ] {
            assert!(settings.contains_key(wanted), "{wanted} is missing");
        }
        let strange =
            |key: &&String| key.contains("LISTEN") || key.contains("TOKEN") || key.contains("PROFILE");
        assert_eq!(settings.keys().find(strange), None);
    }
}
