//! The progress of a run.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over all windows of load that are to come. Lines that stay are printed above it.
pub struct Progress(ProgressBar);

impl Progress {
    /// Creates a bar for this many windows.
    ///
    /// # Errors
    /// Never: the template is a constant.
    pub fn new(windows: u64) -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {elapsed}  {wide_msg}")?;
        let bar = ProgressBar::new(windows).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Ok(Self(bar))
    }

    /// Shows the current step. Without a terminal it is a line.
    pub fn doing(&self, what: &str) {
        if self.0.is_hidden() {
            crate::say(&format!("… {what}"));
        }
        self.0.set_message(what.to_owned());
    }

    /// Shows the result of a window.
    pub fn line(&self, line: &str) {
        self.0.inc(1);
        self.say(line);
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        self.0.suspend(|| crate::say(line));
    }

    /// Removes the bar.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}
