//! Writing to standard output and standard error.
//!
//! No output ends or stalls a process, although a pipe may be broken, a disk full, or a reader may stop
//! reading. A command that ends answers with [`say`] and checks [`finish_output`] at its end. A command that
//! keeps running announces itself with [`print_in_background`] and logs with [`telemetry`](crate::telemetry),
//! whose lines are written by a thread of their own.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

/// The longest time that the end of a process waits for its last output.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The first failure to write an answer. Nothing is written after it.
static FAILED: Mutex<Option<std::io::Error>> = Mutex::new(None);

/// Writes a line of the answer of a command to standard output. A failure is kept for [`finish_output`], and
/// the command goes on.
pub fn say(line: impl Display) {
    print(format_args!("{line}\n"));
}

/// Writes a text of the answer of a command to standard output as [`say`] does, without a line break at its
/// end.
pub fn print(text: impl Display) {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if failed.is_none() {
        *failed = write!(std::io::stdout().lock(), "{text}").err();
    }
}

/// Writes the rest of the answer and checks that all of it was written. A reader that stops early, as in
/// `portal openapi | head`, is not a failure.
///
/// # Errors
/// The first failure since the start of the process.
pub fn finish_output() -> std::io::Result<()> {
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

/// Writes a text to standard output for a process that keeps running. A thread of its own writes it, and
/// nothing waits for it.
pub fn print_in_background(text: String) {
    // Without a thread the process runs as well, and the log says that it is ready.
    let _ = std::thread::Builder::new().name("print_in_background".to_owned()).spawn(move || {
        let mut output = std::io::stdout().lock();
        let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    });
}

/// Writes a line to standard error, for a person. It waits two seconds at most for a reader that does not
/// read.
pub(crate) fn print_error(line: String) {
    within(LAST_WORDS, move || {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    });
}

/// Runs some work on a thread of its own and waits for it until `limit` is over. Then the thread is left
/// behind.
pub(crate) fn within(limit: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel::<()>();
    let spawned = std::thread::Builder::new().name("last-words".to_owned()).spawn(move || {
        let _done = done;
        work();
    });
    if spawned.is_ok() {
        // Nothing is sent. It returns when the thread ends, even in a panic, and drops its half.
        let _ = ended.recv_timeout(limit);
    }
}
