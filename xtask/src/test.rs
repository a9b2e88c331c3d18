//! `cargo xtask test`: the tests with whatever they need.

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cargo::{cargo, variable};
use crate::engines::{self, How, env};
use crate::step::seconds;

/// Run all tests: those on the embedded stores, and with `--servers` those against the real ones.
///
/// With `--servers` it starts the engines that don't run, runs `cargo test --workspace -- --include-ignored` (a missing engine is a
/// failure), and stops what it started, also after a failure or a Ctrl-C. Golden files are compared, never written.
#[derive(Debug, clap::Args)]
pub struct Test {
    /// The tests that need a server too: what is missing is installed, started and stopped again
    #[arg(long)]
    servers: bool,
    /// Only the tests of this package; may be given several times
    #[arg(long, short)]
    package: Vec<String>,
    /// Only the tests whose name contains this
    filter: Option<String>,
    #[command(flatten)]
    engines: How,
}

impl Test {
    /// Runs them, with their output as it comes.
    pub fn run(self) -> Result<ExitCode> {
        if !self.servers {
            println!(
                "The tests on the embedded stores; those that need a server are ignored (`--servers` runs them)."
            );
            return self.test(&[]);
        }
        let interrupted = Arc::new(AtomicBool::new(false));
        let note = Arc::clone(&interrupted);
        // A Ctrl-C reaches Cargo and the tests by themselves; here it only must not keep us from stopping the engines.
        ctrlc::set_handler(move || note.store(true, Ordering::SeqCst)).context("the handler of Ctrl-C")?;
        let before = engines::running()?;
        let result = self.with_engines(&interrupted);
        let mut stopped = engines::down(&before);
        if variable("CI").is_some() {
            stopped = stopped.and_then(|()| engines::clear_outside());
        }
        result.and_then(|code| stopped.map(|()| code))
    }

    fn with_engines(&self, interrupted: &AtomicBool) -> Result<ExitCode> {
        let site = engines::up(&self.engines, true)?;
        if interrupted.load(Ordering::SeqCst) {
            bail!("interrupted");
        }
        self.test(&env::variables(&site))
    }

    fn test(&self, variables: &[(&'static str, String)]) -> Result<ExitCode> {
        let mut tests = self.command();
        tests.envs(variables.iter().map(|(name, value)| (name, value)));
        let words: Vec<_> = tests.get_args().map(|word| word.to_string_lossy()).collect();
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
        if self.servers {
            tests.args(["--", "--include-ignored"]);
        }
        tests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(servers: bool, package: &[&str], filter: Option<&str>) -> Vec<String> {
        let package = package.iter().map(|name| (*name).to_owned()).collect();
        let filter = filter.map(str::to_owned);
        let command = Test { servers, package, filter, engines: How::default() }.command();
        command.get_args().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn with_servers_every_test_runs_and_none_is_ignored() {
        assert_eq!(words(true, &[], None), ["test", "--locked", "--workspace", "--", "--include-ignored"]);
    }

    #[test]
    fn without_servers_the_tests_that_need_one_stay_ignored() {
        assert_eq!(
            words(false, &["bus"], Some("outbox")),
            ["test", "--locked", "--package", "bus", "outbox"]
        );
    }
}
