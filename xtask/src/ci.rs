//! `cargo xtask ci`: what must be green before a change lands.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::cargo::{cargo, has, logs, need, succeeds, variable};
use crate::step::{Step, colours, seconds};

/// Check everything: format, lints, documentation, tests; stop at the first failure.
///
/// It prints one line for each step. The output of a step is shown if the step fails, and kept in
/// target/xtask. Golden files are compared, never written.
#[derive(Debug, clap::Args)]
pub struct Ci {
    /// Leave the tests out, for example before `cargo xtask test`
    #[arg(long)]
    skip_tests: bool,
    /// Show the output of each step immediately
    #[arg(long, short)]
    verbose: bool,
}

impl Ci {
    /// Runs the steps in order.
    pub fn run(self) -> Result<ExitCode> {
        need("fmt", "rustfmt")?;
        need("clippy", "clippy")?;
        let (logs, start) = (logs()?, Instant::now());
        let (dependencies, unchecked) = dependencies();
        for mut step in dependencies.into_iter().chain(self.steps()) {
            if variable("CARGO_TERM_COLOR").is_none() && colours() && !self.verbose {
                // The output goes to a file first and to the terminal when the step fails.
                step.command.env("CARGO_TERM_COLOR", "always");
            }
            let name = step.name;
            if !step.run(&logs, self.verbose)?.passed {
                say!("ci: FAILED at `{name}` after {}", seconds(start.elapsed()));
                return Ok(ExitCode::FAILURE);
            }
        }
        let without = if self.skip_tests { " (without tests)" } else { "" };
        say!("ci: green{without} in {}", seconds(start.elapsed()));
        for check in unchecked {
            say!("ci: NOT CHECKED: {check}");
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Returns the steps, the cheap ones first. The tests are compiled in a step of their own, so the next
    /// step measures only their run.
    fn steps(&self) -> Vec<Step> {
        let mut docs = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
        docs.env("RUSTDOCFLAGS", format!("{} -D warnings", variable("RUSTDOCFLAGS").unwrap_or_default()));
        let lints = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        // A first build has no drivers of servers. The lints of the workspace never compile that variant.
        let alone = ["clippy", "--package", "portal", "--locked", "--", "-D", "warnings"];
        let mut steps = vec![
            Step { name: "format", command: cargo(&["fmt", "--all", "--check"]) },
            Step { name: "lints", command: cargo(&lints) },
            Step { name: "one process", command: cargo(&alone) },
            Step { name: "documentation", command: docs },
        ];
        if !self.skip_tests {
            let build = cargo(&["test", "--workspace", "--locked", "--no-run"]);
            steps.push(Step { name: "build", command: build });
            steps.push(Step { name: "tests", command: cargo(&["test", "--workspace", "--locked"]) });
        }
        steps
    }
}

/// Returns the checks of the dependencies that are possible on this machine, and what can't be checked here.
fn dependencies() -> (Vec<Step>, Vec<&'static str>) {
    if !has("deny") {
        let unchecked = "bans, licences, sources and known vulnerabilities of the dependencies: \
                         `cargo install cargo-deny --locked` turns these checks on";
        return (Vec::new(), vec![unchecked]);
    }
    let deny = ["deny", "--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"];
    let mut steps = vec![Step { name: "dependencies", command: cargo(&deny) }];
    // A step of its own: if the database can't be reached, that is not a fault of the dependencies.
    if !succeeds(&mut cargo(&["deny", "fetch", "db"])) {
        let unchecked = "known vulnerabilities of the dependencies: the advisory database of RustSec can't be \
                         reached (`cargo deny fetch db` says why)";
        return (steps, vec![unchecked]);
    }
    // The same database as that of `cargo audit`.
    let advisories = ["deny", "--locked", "check", "--disable-fetch", "advisories"];
    steps.push(Step { name: "advisories", command: cargo(&advisories) });
    (steps, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_are_left_out_only_on_request() {
        let names = |skip_tests| {
            let steps = Ci { skip_tests, verbose: false }.steps();
            steps.into_iter().map(|step| step.name).collect::<Vec<_>>()
        };
        assert_eq!(names(false), ["format", "lints", "one process", "documentation", "build", "tests"]);
        assert_eq!(names(true), ["format", "lints", "one process", "documentation"]);
    }
}
