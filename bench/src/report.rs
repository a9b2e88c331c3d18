//! The result of a run: a table for people and a file for programs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kernel::{Clock, SystemClock};
use serde::Serialize;

use crate::ground::{ACCOUNTS, ARTICLES};
use crate::verdict::{Row, table};
use crate::window::{Bench, Figure};

/// Everything that a run has seen.
#[derive(Debug, Serialize)]
pub struct Report {
    at: String,
    processors: usize,
    seconds: u64,
    rounds: usize,
    articles: usize,
    accounts: usize,
    /// The settings of the portal that differ from the documented ones.
    settings: Vec<String>,
    rows: Vec<Row>,
    figures: Vec<Figure>,
}

impl Report {
    /// The report of a run.
    pub fn new(bench: &Bench, settings: Vec<String>, rows: Vec<Row>) -> Self {
        Self {
            at: SystemClock.now().to_string(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            seconds: bench.time.as_secs(),
            rounds: bench.rounds,
            articles: ARTICLES,
            accounts: ACCOUNTS,
            settings,
            rows,
            figures: bench.figures.take(),
        }
    }

    /// Formats the table, with the notes that explain it.
    pub fn text(&self) -> String {
        let settings = self.settings.join(", ");
        format!(
            "\n{}\n\n{}: {} windows of {} s for each side, {} processors for the portal, the engines and the load together;\n\
             {} articles and {} accounts in each shape; settings that differ from the documented ones: {settings}.\n\
             A ratio is the median of the rounds. docs/performance.md says how to read this.",
            table(&self.rows),
            self.at,
            self.rounds,
            self.seconds,
            self.processors,
            self.articles,
            self.accounts,
        )
    }

    /// Writes it into a folder, under its time and as `latest.json`. Gives the first of them.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(folder).with_context(|| format!("the folder {}", folder.display()))?;
        let text = serde_json::to_string_pretty(self).context("the report as JSON")?;
        let path = folder.join(format!("{}.json", self.at.replace(':', "-")));
        for path in [&path, &folder.join("latest.json")] {
            std::fs::write(path, &text).with_context(|| format!("the file {}", path.display()))?;
        }
        Ok(path)
    }

    /// True where everything that was asked for could be measured, whatever came out.
    pub fn is_complete(&self) -> bool {
        self.rows.iter().all(|row| row.ratio.is_some())
    }
}
