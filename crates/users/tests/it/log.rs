//! The log of all tests of this binary, with all levels.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing::Level;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static START: Once = Once::new();

struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        so_far().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Installs the subscriber, before the first test does anything: a subscriber of one test can miss events of
/// other threads.
pub fn start() {
    START.call_once(|| {
        let subscriber =
            tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(|| Lines).finish();
        tracing::subscriber::set_global_default(subscriber).expect("there is one subscriber");
    });
}

/// Returns the log so far.
pub fn so_far() -> MutexGuard<'static, Vec<u8>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}
