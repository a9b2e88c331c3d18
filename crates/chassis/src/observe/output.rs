//! What a process writes to its standard output and standard error.
//!
//! No output ends or stalls a process: a pipe may be broken, a disk full, and a reader may stop reading. A command that ends by itself
//! answers with [`say`] and asks [`said`] at its end. A command that runs on announces itself with [`mention`] and logs with
//! [`telemetry`](crate::telemetry), whose lines are written by a thread of their own.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

/// How long the end of a process waits until its last words are written.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The first failure to write an answer; what follows it is not written.
static FAILED: Mutex<Option<std::io::Error>> = Mutex::new(None);

/// Writes a line of a command's answer to standard output. A failure is kept for [`said`]: the work of the command goes on.
pub fn say(line: impl Display) {
    print(format_args!("{line}\n"));
}

/// Writes the text of a command's answer to standard output, as [`say`] does, without a line break at its end.
pub fn print(text: impl Display) {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if failed.is_none() {
        *failed = write!(std::io::stdout().lock(), "{text}").err();
    }
}

/// Writes what is left of the answer and returns whether all of it was written. A reader that has seen enough, as in
/// `portal openapi | head`, is no failure.
///
/// # Errors
/// The first failure since the start of the process.
pub fn said() -> std::io::Result<()> {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    let failure = failed.take().map_or_else(|| std::io::stdout().flush(), Err);
    match failure {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            Err(std::io::Error::new(error.kind(), format!("standard output can't be written: {error}")))
        }
        Ok(()) => Ok(()),
    }
}

/// Writes a text to standard output for a process that runs on: from a thread of its own, for which nothing waits.
pub fn mention(text: String) {
    // Without a thread the process runs on just as well, and the log says that it is ready.
    let _ = std::thread::Builder::new().name("mention".to_owned()).spawn(move || {
        let mut output = std::io::stdout().lock();
        let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    });
}

/// Writes a line to standard error, for a person. It waits no longer than a moment for a reader that does not read.
pub(crate) fn complain(line: String) {
    within(LAST_WORDS, move || {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    });
}

/// Does some work on a thread of its own, and waits for it until `limit` is over; then the thread is left behind.
pub(crate) fn within(limit: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel::<()>();
    let spawned = std::thread::Builder::new().name("last-words".to_owned()).spawn(move || {
        let _done = done;
        work();
    });
    if spawned.is_ok() {
        // Nothing is sent: it returns when the thread ends, well or in a panic, and drops its half.
        let _ = ended.recv_timeout(limit);
    }
}
