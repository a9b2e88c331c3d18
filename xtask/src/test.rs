//! `cargo xtask test`: the tests, with the servers that they need.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cargo::{cargo, variable};
use crate::engines::{self, How, env};
use crate::step::{self, seconds};

/// Run all tests: on the embedded stores, against the real servers, and the scenarios on both shapes.
///
/// It installs missing programs, starts the engines that don't run, and runs
/// `cargo test --workspace -- --include-ignored` (a missing engine is a failure). Then it stops the engines
/// that it has started, also after a failure or a Ctrl-C. Golden files are compared, never written.
#[derive(Debug, clap::Args)]
pub struct Test {
    /// Run only the tests that need no server; install and start nothing
    #[arg(long)]
    embedded: bool,
    /// Run only the tests of this package; can be repeated
    #[arg(long, short)]
    package: Vec<String>,
    /// Run only the tests whose name contains this text
    filter: Option<String>,
    #[command(flatten)]
    engines: How,
}

impl Test {
    /// Runs the tests and shows their output immediately.
    pub fn run(self) -> Result<ExitCode> {
        if self.embedded {
            return self.test(&[]);
        }
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&interrupted);
        // Ctrl-C reaches Cargo and the tests by itself. Here it must only not prevent that the engines are
        // stopped.
        ctrlc::set_handler(move || flag.store(true, Ordering::SeqCst)).context("the handler of Ctrl-C")?;
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
        let arguments: Vec<_> = tests.get_args().map(|argument| argument.to_string_lossy()).collect();
        say!("cargo {}\n", arguments.join(" "));
        let start = Instant::now();
        let mut running = tests.stdout(Stdio::piped()).spawn().context("Cargo can't be run")?;
        let counts = running.stdout.take().map(show);
        let status = running.wait().context("Cargo can't be run")?;
        let verdict = if status.success() { "green" } else { "FAILED" };
        let counts = counts.flatten().unwrap_or_else(|| "no test was run".to_owned());
        say!("\ntest: {verdict} after {}, building included: {counts}", seconds(start.elapsed()));
        if self.embedded {
            say!("The ignored tests need servers: without --embedded they run too.");
        }
        Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn command(&self) -> Command {
        // A failure does not hide other failures.
        let mut tests = cargo(&["test", "--locked", "--no-fail-fast"]);
        if self.package.is_empty() {
            tests.arg("--workspace");
        }
        for package in &self.package {
            tests.args(["--package", package]);
        }
        tests.args(&self.filter);
        if !self.embedded {
            tests.args(["--", "--include-ignored"]);
        }
        tests
    }
}

/// Shows the output of the tests immediately. Returns the number of tests at the end.
fn show(output: impl Read) -> Option<String> {
    let mut results = String::new();
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        say!("{line}");
        if line.starts_with("test result: ") {
            results += &line;
            results.push('\n');
        }
    }
    step::tests(&results)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(embedded: bool, package: &[&str], filter: Option<&str>) -> Vec<String> {
        let package = package.iter().map(|name| (*name).to_owned()).collect();
        let filter = filter.map(str::to_owned);
        let command = Test { embedded, package, filter, engines: How::default() }.command();
        command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn every_test_runs_and_none_is_ignored() {
        let all = ["test", "--locked", "--no-fail-fast", "--workspace", "--", "--include-ignored"];
        assert_eq!(words(false, &[], None), all);
    }

    #[test]
    fn the_embedded_tests_leave_those_out_that_need_a_server() {
        let some = ["test", "--locked", "--no-fail-fast", "--package", "bus", "outbox"];
        assert_eq!(words(true, &["bus"], Some("outbox")), some);
    }
}
