//! The thread that writes log lines.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::observe::output::within;

/// The most lines that wait for the thread: some seconds of a busy day, and a few MiB.
const WAITING: usize = 8_192;
/// The most bytes that are written together. If no line waits, fewer are written.
const BATCH: usize = 32 * 1024;
/// The longest time that the end of a process waits for its last lines.
const LAST_LINES: Duration = Duration::from_secs(2);
/// The shortest time between two reports of lost lines.
const BETWEEN_REPORTS: Duration = Duration::from_secs(1);

/// The number of lines that left the queue and could not be written.
static UNWRITTEN: AtomicU64 = AtomicU64::new(0);
/// The counter of lines that found the queue full.
static REFUSED: OnceLock<ErrorCounter> = OnceLock::new();

/// Returns the number of lines that were lost since the start of this process.
pub(crate) fn lost_lines() -> u64 {
    let refused = REFUSED.get().map_or(0, ErrorCounter::dropped_lines);
    u64::try_from(refused).unwrap_or(u64::MAX).saturating_add(UNWRITTEN.load(Ordering::Relaxed))
}

/// The running log. Dropping it writes the waiting lines, if a reader takes them, within two seconds.
#[must_use]
pub struct Logging(Option<WorkerGuard>);

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(guard) = self.0.take() {
            // The guard may print an error if the output is stuck, or panic if it is full.
            within(LAST_LINES, move || drop(guard));
        }
    }
}

/// Starts the thread that writes to `output`.
pub(super) fn start(output: impl Write + Send + 'static) -> (NonBlocking, Logging) {
    let output = Output { output, batch: Vec::new(), reported: 0, last_report: None };
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING)
        .thread_name("log")
        .finish(output);
    // Only the first one is the log of the process.
    let _ = REFUSED.set(writer.error_counter());
    (writer, Logging(Some(guard)))
}

/// The output of the thread. Lines that arrive together are written together. Lines that can't be written are
/// dropped.
struct Output<W> {
    output: W,
    batch: Vec<u8>,
    /// The number of lost lines that the log has reported.
    reported: u64,
    last_report: Option<Instant>,
}

impl<W: Write> Output<W> {
    fn send(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        match self.output.write_all(&self.batch).and_then(|()| self.output.flush()) {
            Ok(()) => self.report(),
            Err(_) => {
                let lines = self.batch.iter().filter(|byte| **byte == b'\n').count();
                UNWRITTEN.fetch_add(u64::try_from(lines).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        }
        self.batch.clear();
    }

    /// Reports missing lines in the log, once it takes lines again.
    fn report(&mut self) {
        let lost = lost_lines();
        let is_due = self.last_report.is_none_or(|at| at.elapsed() >= BETWEEN_REPORTS);
        if lost > self.reported && is_due {
            let lines = lost - self.reported;
            (self.reported, self.last_report) = (lost, Some(Instant::now()));
            tracing::warn!(lines, "lines of this log are missing: they could not be written");
        }
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.batch.extend_from_slice(bytes);
        if self.batch.len() >= BATCH {
            self.send();
        }
        Ok(bytes.len())
    }

    /// Is called when no line waits.
    fn flush(&mut self) -> std::io::Result<()> {
        self.send();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// An output whose every write waits for a permission and fails if it is denied.
    struct Slow {
        permissions: Receiver<bool>,
        written: Sender<String>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let granted = self.permissions.recv().unwrap_or(true);
            if !granted {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            let _ = self.written.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_output_blocks_no_writer_and_lost_lines_are_counted() {
        let (permit, permissions) = channel();
        let (written, lines) = channel();
        let (writer, logging) = start(Slow { permissions, written });
        let lost = || writer.error_counter().dropped_lines();
        assert_eq!(lost(), 0);
        let line = format!("{}\n", "x".repeat(1_000));
        for _ in 0..WAITING + 2_000 {
            writer.clone().write_all(line.as_bytes()).expect("a line is taken or lost, never refused");
        }
        // The thread holds what it had taken when it began to wait; the queue holds as many as it may.
        assert!(lost() > 0 && lost() <= 2_000, "{}", lost());
        let before = UNWRITTEN.load(Ordering::Relaxed);
        permit.send(false).expect("the thread waits");
        drop(permit);
        drop(logging);
        assert!(UNWRITTEN.load(Ordering::Relaxed) > before, "what can't be written is counted as well");
        let all: String = lines.try_iter().collect();
        assert!(all.lines().count() > 1_000, "what waited is written at the end");
    }
}
