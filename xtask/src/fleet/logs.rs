//! The logs of the processes of the fleet.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::engines::process::{Runner, pause};

/// The selection of lines.
#[derive(Debug, clap::Args)]
pub struct Logs {
    /// A service, one process of it such as users.2, or gateway; the default is all of them
    service: Option<String>,
    /// The number of lines from each log
    #[arg(long, short = 'n', default_value_t = 20)]
    lines: usize,
    /// Show new lines as they are written, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
}

/// A log, and the number of its bytes that were shown.
struct Tail {
    name: String,
    path: PathBuf,
    shown: u64,
}

impl Logs {
    /// Prints the lines, each with the name of its process.
    pub fn show(&self, runner: &Runner) -> Result<()> {
        let names = runner.all_logs();
        let meant =
            names.into_iter().filter(|name| self.service.as_deref().is_none_or(|wanted| is_of(name, wanted)));
        let mut tails: Vec<_> = meant.map(|name| Tail { path: runner.log(&name), name, shown: 0 }).collect();
        ensure!(!tails.is_empty(), "there is no such log; `cargo xtask fleet status` shows the names");
        for tail in &mut tails {
            let text = tail.more()?;
            print(&tail.name, last(&text, self.lines))?;
        }
        if !self.follow {
            return Ok(());
        }
        loop {
            pause(Duration::from_millis(200));
            for tail in &mut tails {
                let text = tail.more()?;
                print(&tail.name, &text)?;
            }
        }
    }
}

impl Tail {
    /// Returns what was written since the last call, up to the last complete line.
    fn more(&mut self) -> Result<String> {
        let mut file = File::open(&self.path).with_context(|| format!("the log {}", self.path.display()))?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.shown)).and_then(|_| file.read_to_end(&mut bytes)).context("a log")?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes.truncate(whole);
        self.shown += u64::try_from(whole).context("the length of a log")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Returns true if `wanted` is the name or its service: `users` matches `users.1` and `users.2`.
fn is_of(name: &str, wanted: &str) -> bool {
    name == wanted || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
}

/// Prints lines. Fails if the reader has closed the output, as in `fleet logs | head`.
fn print(name: &str, text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    text.lines().try_for_each(|line| writeln!(out, "{name:<20}{line}")).context("the standard output")
}

fn last(text: &str, count: usize) -> &str {
    let start = text.trim_end_matches('\n').rmatch_indices('\n').nth(count.max(1) - 1);
    start.map_or(text, |(at, _)| &text[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_the_last_lines() {
        assert_eq!(last("one\ntwo\nthree\n", 2), "two\nthree\n");
        assert_eq!(last("one\ntwo\n", 5), "one\ntwo\n");
        assert_eq!(last("", 5), "");
    }

    #[test]
    fn a_service_names_all_its_processes_and_no_other_service() {
        assert!(is_of("users.2", "users") && is_of("users.2", "users.2") && is_of("gateway", "gateway"));
        assert!(!is_of("users.2", "users.1") && !is_of("users.1", "user"));
    }

    #[test]
    fn a_followed_log_is_shown_once_and_in_complete_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users.1.log");
        let mut tail = Tail { name: "users.1".to_owned(), path: path.clone(), shown: 0 };
        std::fs::write(&path, "one\ntw").expect("writes");
        assert_eq!(tail.more().expect("reads"), "one\n");
        std::fs::write(&path, "one\ntwo\n").expect("writes");
        assert_eq!(tail.more().expect("reads"), "two\n");
        assert_eq!(tail.more().expect("reads"), "");
    }
}
