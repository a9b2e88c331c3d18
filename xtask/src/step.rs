//! One step of `ci`: a command with one line of output, or with all of it if the command fails.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A named command.
pub struct Step {
    /// The beginning of its line, and the name of its log.
    pub name: &'static str,
    /// The command to run.
    pub command: Command,
}

/// The result of a step.
pub struct Outcome {
    /// True if the command succeeded.
    pub passed: bool,
    /// The time that it took.
    pub time: Duration,
}

impl Step {
    /// Runs the command and prints one line. The output of the command goes to a file in `logs`, and is shown
    /// only if the command fails. With `verbose` it is shown immediately.
    pub fn run(mut self, logs: &Path, verbose: bool) -> Result<Outcome> {
        let log = logs.join(format!("{}.log", self.name));
        say(&format!("{:<14}", self.name));
        if verbose {
            say!("{}", self.command_line());
        } else {
            let out = File::create(&log).with_context(|| format!("the log {}", log.display()))?;
            self.command.stderr(out.try_clone().context("the log")?).stdout(out);
        }

        let start = Instant::now();
        let status = self.command.stdin(Stdio::null()).status().with_context(|| self.command_line())?;
        let outcome = Outcome { passed: status.success(), time: start.elapsed() };

        let output = if verbose { String::new() } else { read(&log)? };
        let verdict = if outcome.passed { "ok" } else { "FAILED" };
        let name = if verbose { self.name } else { "" };
        let counts = tests(&output).map(|counts| format!("   {counts}")).unwrap_or_default();
        say!(
            "{name:<width$}{verdict:<7}{:>7}{counts}",
            seconds(outcome.time),
            width = if verbose { 14 } else { 0 }
        );
        if !outcome.passed {
            say!("\n{output}");
            say!("`{}` failed ({status}).", self.command_line());
        }
        Ok(outcome)
    }

    /// Returns the command as it would be typed.
    fn command_line(&self) -> String {
        let program = Path::new(self.command.get_program()).file_stem().unwrap_or_default();
        let arguments = self.command.get_args().map(|argument| argument.to_string_lossy());
        std::iter::once(program.to_string_lossy()).chain(arguments).collect::<Vec<_>>().join(" ")
    }
}

/// Writes to the standard output immediately. A closed output does not make the command fail.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Returns a time in a readable form.
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Returns true on a terminal that shows colours and whose user has not switched them off.
pub fn colours() -> bool {
    std::io::stdout().is_terminal() && crate::cargo::variable("NO_COLOR").is_none()
}

fn read(log: &Path) -> Result<String> {
    let bytes = std::fs::read(log).with_context(|| format!("the log {}", log.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns the sum of all lines `test result: ok. 3 passed; 0 failed; 1 ignored; …`, if there are any.
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
        assert_eq!(step.command_line(), "cargo clippy --workspace");
    }
}
