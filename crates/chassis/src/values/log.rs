use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::Targets;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Text for people.
    Text,
    /// One JSON object in each line.
    Json,
}

/// Reads the filter of the log. A single word must be a level: as a target it would silence everything.
///
/// # Errors
/// If the text is not a filter.
pub(crate) fn log_filter(text: &str) -> anyhow::Result<Targets> {
    const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];
    for part in text.split(',').map(str::trim).filter(|part| !part.contains('=')) {
        let is_level = LEVELS.contains(&part.to_ascii_lowercase().as_str());
        anyhow::ensure!(is_level, "{part:?} is not a level; the levels are {}", LEVELS.join(", "));
    }
    Ok(text.parse()?)
}
