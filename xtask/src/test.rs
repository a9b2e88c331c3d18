//! `cargo xtask test`: the tests with whatever they need.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::cargo::cargo;
use crate::step::seconds;

/// Run the tests: rings 1 to 5 on the embedded stores, no server needed.
///
/// Today this is `cargo test --workspace`. Tests that need a server of the fleet are reported as ignored; this command will
/// start the servers for them. Golden files are compared, never written.
#[derive(Debug, clap::Args)]
pub struct Test {
    /// Only the tests of this package; may be given several times
    #[arg(long, short)]
    package: Vec<String>,
    /// Only the tests whose name contains this
    filter: Option<String>,
}

impl Test {
    /// Runs them, with their output as it comes.
    pub fn run(self) -> Result<ExitCode> {
        let mut tests = self.command();
        let words: Vec<_> = tests.get_args().map(|word| word.to_string_lossy()).collect();
        println!("The tests on the embedded stores: no server is needed, nothing is left behind.");
        println!("cargo {}\n", words.join(" "));
        let start = Instant::now();
        let status = tests.status().context("Cargo can't be run")?;
        let verdict = if status.success() { "green" } else { "FAILED" };
        println!("test: {verdict} after {}, building included", seconds(start.elapsed()));
        Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn command(&self) -> Command {
        let mut tests = cargo(&["test", "--locked"]);
        if self.package.is_empty() {
            tests.arg("--workspace");
        }
        for package in &self.package {
            tests.args(["--package", package]);
        }
        tests.args(&self.filter);
        tests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(package: &[&str], filter: Option<&str>) -> Vec<String> {
        let package = package.iter().map(|name| (*name).to_owned()).collect();
        let command = Test { package, filter: filter.map(str::to_owned) }.command();
        command.get_args().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn without_arguments_every_test_runs() {
        assert_eq!(words(&[], None), ["test", "--locked", "--workspace"]);
        assert_eq!(words(&["bus"], Some("outbox")), ["test", "--locked", "--package", "bus", "outbox"]);
    }
}
