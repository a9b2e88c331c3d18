#![doc = include_str!("../README.md")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "floors are bare on purpose: axum's own extractors, tokio's own tasks; and a load waits by the clock"
)]

mod broker;
mod floors;
mod goals;
mod ground;
mod load;
mod machine;
mod progress;
mod report;
mod tally;
mod verdict;
mod window;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use system_tests::UNTHROTTLED;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};

use crate::floors::Floor;
use crate::goals::{ALL, Grounds, Measured};
use crate::ground::{InFleet, InOne};
use crate::progress::Progress;
use crate::window::Bench;

/// Ratios of the portal to floors. `cargo xtask bench` starts what it needs and then this.
#[derive(Debug, Parser)]
#[command(name = "bench", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure goals
    Run(Run),
    /// Say which goals there are
    List,
    /// Be one of the floors
    #[command(subcommand)]
    Floor(Floor),
}

#[derive(Debug, clap::Args)]
struct Run {
    /// The goals, as P4; without any, all of them
    goals: Vec<String>,
    /// Length of a window of load
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Number of rounds of each comparison
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// Process ids of the engines, which take part in the measurement
    #[arg(long, value_delimiter = ',')]
    engines: Vec<u32>,
    /// The file for the figures as JSON
    #[arg(long)]
    into: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.context("a runtime").and_then(|runtime| runtime.block_on(run(arguments.command)));
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(run) => run.run().await,
        Command::List => {
            ALL.iter().for_each(|goal| say(&format!("{:<5}{}", goal.id, goal.what)));
            Ok(ExitCode::SUCCESS)
        }
        Command::Floor(floor) => floor.run().await.map(|()| ExitCode::SUCCESS),
    }
}

impl Run {
    async fn run(self) -> Result<ExitCode> {
        let goals = self.meant()?;
        let rounds = usize::try_from(self.rounds)?;
        let windows = goals.iter().map(|goal| goal.windows * rounds).sum::<usize>();
        let bench = Bench {
            time: Duration::from_secs(self.seconds),
            rounds,
            engines: self.engines.clone(),
            progress: Progress::new(u64::try_from(windows)?)?,
            figures: std::cell::RefCell::default(),
        };
        let mut grounds = Grounds { fleet: None, one: None };
        if goals.iter().any(|goal| goal.fleet) {
            grounds.fleet = Some(InFleet::start(&bench.progress).await?);
        }
        if goals.iter().any(|goal| goal.one) {
            grounds.one = Some(InOne::start(&bench.progress).await?);
        }
        let mut rows = Vec::new();
        for goal in goals {
            rows.extend(goals::measure(&bench, goal, &mut grounds).await);
        }
        bench.progress.end();
        let unthrottled = UNTHROTTLED.iter().map(|(name, value)| format!("{name}={value}"));
        let settings = unthrottled.chain(["a gateway without limits".to_owned()]).collect();
        let report = report::Report::new(&bench, settings, rows);
        say(&report.text());
        say(&format!("figures: {}", report.write(&self.into)?.display()));
        Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The goals that were named, in the order of measuring.
    fn meant(&self) -> Result<Vec<Measured>> {
        for name in &self.goals {
            let known = ALL.map(|goal| goal.id).join(", ");
            if goals::named(name).is_none() {
                bail!("nothing here measures `{name}`; there are {known}");
            }
        }
        let named = |goal: &Measured| self.goals.iter().any(|name| goals::named(name) == Some(*goal));
        let meant: Vec<_> = ALL.into_iter().filter(|goal| self.goals.is_empty() || named(goal)).collect();
        ensure!(!meant.is_empty(), "there is no goal to measure");
        Ok(meant)
    }
}

/// Prints a line on the standard output. If its reader has left, the line is dropped and the work continues.
fn say(words: &str) {
    let mut out = std::io::stdout().lock();
    let _closed = writeln!(out, "{words}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn goals_are_measured_in_their_order_and_unknown_ones_refused() {
        let meant = |words: &[&str]| {
            let words = [&["bench", "run", "--into", "x"], words].concat();
            let Command::Run(run) = Arguments::parse_from(words).command else { panic!("it is run") };
            run.meant().map(|goals| goals.iter().map(|goal| goal.id).collect::<Vec<_>>())
        };
        assert_eq!(meant(&["p11", "P4"]).expect("are known"), ["P4", "P11"]);
        assert_eq!(meant(&[]).expect("all").len(), ALL.len());
        assert!(meant(&["P99"]).expect_err("unknown").to_string().contains("P25"));
    }
}
