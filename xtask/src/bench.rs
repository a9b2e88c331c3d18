//! `cargo xtask bench`: the portal beside floors, on this machine, in these minutes.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::cargo::cargo;
use crate::engines::place::target;
use crate::engines::site::Site;
use crate::engines::{self, ENGINES, How, env};
use crate::step::seconds;

/// Measure the portal against floors: ratios with their goals, as a table and as JSON in target/bench.
///
/// It builds release binaries, starts the engines that don't run, a fleet and a portal in one process on
/// stores of their own, fills both through the API and puts portal and floors under load in turns. Nothing
/// fails because of a ratio; the exit status is another than 0 only where something could not be measured.
/// docs/performance.md says how to read it.
#[derive(Debug, clap::Args)]
pub struct Bench {
    /// The goals of docs/performance.md, as P4; without any, all that are measured
    goals: Vec<String>,
    /// How long a window of load is
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How often each side has its turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// Take the binaries as they are
    #[arg(long)]
    no_build: bool,
    /// Install without asking what the engines need
    #[arg(long)]
    yes: bool,
}

/// What is measured, and what measures. Nothing else is in the selection, so that no feature is on which only
/// tests need.
const PACKAGES: [&str; 6] = ["portal", "users", "news", "orchestrator", "recommendations", "bench"];

impl Bench {
    /// Builds, starts, measures, and stops the engines that it has started.
    pub fn run(self) -> Result<ExitCode> {
        if !self.no_build {
            build()?;
        }
        let before = engines::running()?;
        let result = self.with_engines();
        let stopped = if before.is_empty() { engines::down(&[]) } else { Ok(()) };
        result.and_then(|code| stopped.map(|()| code))
    }

    fn with_engines(&self) -> Result<ExitCode> {
        let site = engines::up(&How { yes: self.yes, docker: false }, false)?;
        let binaries = target()?.join("release");
        let mut command = Command::new(binaries.join("bench"));
        command.args(self.arguments(&site)?).arg("--into").arg(target()?.join("bench"));
        command.envs(env::variables(&site)).env("PORTAL_BINARIES", &binaries);
        let status = command.status().context("the program `bench`; without --no-build it is built")?;
        Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn arguments(&self, site: &Site) -> Result<Vec<String>> {
        let running = ENGINES.iter().filter_map(|engine| site.runner.running(engine.name));
        let engines: Vec<_> = running.map(|id| id.to_string()).collect();
        let options = [
            ("--seconds", self.seconds.to_string()),
            ("--rounds", self.rounds.to_string()),
            ("--engines", engines.join(",")),
        ];
        let given = options.into_iter().filter(|(_, value)| !value.is_empty());
        let options = given.flat_map(|(name, value)| [name.to_owned(), value]);
        Ok(std::iter::once("run".to_owned()).chain(self.goals.clone()).chain(options).collect())
    }
}

fn build() -> Result<()> {
    let mut cargo = cargo(&["build", "--release", "--locked", "--bins", "--features", "portal/servers"]);
    for package in PACKAGES {
        cargo.args(["--package", package]);
    }
    let start = Instant::now();
    let status = cargo.status().context("Cargo can't be run")?;
    ensure!(status.success(), "the services don't compile");
    say!("{:<18}built  {:>7}", "release binaries", seconds(start.elapsed()));
    Ok(())
}
