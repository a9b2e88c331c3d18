//! `cargo xtask bench`: the portal and its floors, measured in turns on this machine.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::cargo::cargo;
use crate::engines::place::target;
use crate::engines::site::Site;
use crate::engines::{self, ENGINES, How, env};
use crate::step::seconds;

/// Compare the portal with floors: ratios with their goals, as a table and as JSON in target/bench.
///
/// It builds release binaries and starts the engines that don't run. Then it starts a fleet and a portal in
/// one process, each with stores of its own, and fills both through the API. Portal and floors get their load
/// in turns. A missed goal is not a failure: the exit status is not 0 only if something could not be
/// measured. docs/performance.md explains the table.
#[derive(Debug, clap::Args)]
pub struct Bench {
    /// The goals of docs/performance.md, such as P4; the default is all of them
    goals: Vec<String>,
    /// The length of a window of load, in seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The number of windows for each side
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// Use the existing binaries
    #[arg(long)]
    no_build: bool,
    /// Install missing programs without asking
    #[arg(long)]
    yes: bool,
}

/// The packages to measure, and the one that measures. Others are not built, because they would turn on
/// features that only tests need.
const PACKAGES: [&str; 6] = ["portal", "users", "news", "orchestrator", "recommendations", "bench"];

impl Bench {
    /// Builds, starts, measures, and then stops the engines that it has started.
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
        let status =
            command.status().context("the program `bench` can't be run; leave --no-build out to build it")?;
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
        let options = options.into_iter().filter(|(_, value)| !value.is_empty());
        let options = options.flat_map(|(name, value)| [name.to_owned(), value]);
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
