//! `cargo xtask fuzz`: the fuzz targets with many inputs.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::cargo::cargo;
use crate::step::seconds;

/// Run the fuzz targets: every parser of outside input on its kept corpus and on random changes of it.
///
/// The targets are ordinary tests in modules named `fuzz`, so `cargo test` tries each of them with a few
/// inputs. This command tries many more. When a target fails, it prints the smallest input that makes it
/// fail; add that to the corpus `fuzz/<target>` of its crate, so that every later run tries it first.
#[derive(Debug, clap::Args)]
pub struct Fuzz {
    /// The number of inputs for each target
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    cases: u32,
}

impl Fuzz {
    /// Runs the targets, crate by crate.
    pub fn run(self) -> Result<ExitCode> {
        let start = Instant::now();
        let status = self.command().status().context("Cargo can't be run")?;
        let verdict = if status.success() { "green" } else { "FAILED" };
        say!("\nfuzz: {verdict} after {}", seconds(start.elapsed()));
        Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn command(&self) -> Command {
        let mut tests =
            cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--lib", "--test", "it"]);
        tests.args(["--", "fuzz::"]).env("PROPTEST_CASES", self.cases.to_string());
        tests
    }
}
