//! One step of `ci`: a command, its line and, when it fails, its output.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A named command.
pub struct Step {
    /// What its line begins with, and the log's name.
    pub name: &'static str,
    /// What it runs.
    pub command: Command,
}

/// How a step ended.
pub struct Outcome {
    /// True where the command succeeded.
    pub passed: bool,
    /// How long it ran.
    pub time: Duration,
}

impl Step {
    /// Runs the command and prints one line. What the command writes goes to a log in `logs`, shown only when
    /// it fails; with `verbose` it is shown as it comes.
    pub fn run(mut self, logs: &Path, verbose: bool) -> Result<Outcome> {
        let log = logs.join(format!("{}.log", self.name));
        say(&format!("{:<14}", self.name));
        if verbose {
            say!("{}", self.words());
        } else {
            let out = File::create(&log).with_context(|| format!("the log {}", log.display()))?;
            self.command.stderr(out.try_clone().context("the log")?).stdout(out);
        }

        let start = Instant::now();
        let status = self.command.stdin(Stdio::null()).status().with_context(|| self.words())?;
        let outcome = Outcome { passed: status.success(), time: start.elapsed() };

        let written = if verbose { String::new() } else { read(&log)? };
        let verdict = if outcome.passed { "ok" } else { "FAILED" };
        let name = if verbose { self.name } else { "" };
        let counted = tests(&written).map(|counted| format!("   {counted}")).unwrap_or_default();
        say!(
            "{name:<width$}{verdict:<7}{:>7}{counted}",
            seconds(outcome.time),
            width = if verbose { 14 } else { 0 }
        );
        if !outcome.passed {
            say!("\n{written}");
            say!("`{}` failed ({status}).", self.words());
        }
        Ok(outcome)
    }

    /// The command as one would type it.
    fn words(&self) -> String {
        let program = Path::new(self.command.get_program()).file_stem().unwrap_or_default();
        let arguments = self.command.get_args().map(|argument| argument.to_string_lossy());
        std::iter::once(program.to_string_lossy()).chain(arguments).collect::<Vec<_>>().join(" ")
    }
}

/// Writes to the standard output at once; a closed one is no failure of what is being done.
pub fn say(words: &str) {
    let mut out = std::io::stdout().lock();
    let _closed = out.write_all(words.as_bytes()).and_then(|()| out.flush());
}

/// A time as people read it.
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// True where colours help: on a terminal whose owner has not switched them off.
pub fn colours() -> bool {
    std::io::stdout().is_terminal() && crate::cargo::variable("NO_COLOR").is_none()
}

fn read(log: &Path) -> Result<String> {
    let bytes = std::fs::read(log).with_context(|| format!("the log {}", log.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The sum of the lines `test result: ok. 3 passed; 0 failed; 1 ignored; …`, where there is one.
pub fn tests(output: &str) -> Option<String> {
    let mut sums = [("passed", 0), ("failed", 0), ("ignored", 0)];
    let results =
        output.lines().filter_map(|line| line.split_once("test result: ")).map(|(_, result)| result);
    for (number, word) in
        results.flat_map(|result| result.split([';', '.'])).filter_map(|part| part.trim().split_once(' '))
    {
        if let (Ok(number), Some((_, sum))) =
            (number.parse::<u32>(), sums.iter_mut().find(|(name, _)| *name == word))
        {
            *sum += number;
        }
    }
    let some = sums.iter().filter(|(_, sum)| *sum > 0).map(|(name, sum)| format!("{sum} {name}"));
    Some(some.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_of_all_binaries_are_counted() {
        let output = "running 3 tests\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
                      test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n";
        assert_eq!(tests(output).as_deref(), Some("13 passed, 2 failed, 1 ignored"));
        assert_eq!(tests("Finished dev profile"), None);
    }

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let step = Step { name: "lints", command: crate::cargo::cargo(&["clippy", "--workspace"]) };
        assert_eq!(step.words(), "cargo clippy --workspace");
    }
}
