use std::error::Error;

use kernel::Kind;

/// The whole chain of causes in one line, for the log.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Logs a failure whose cause lies with us, once, at the boundary where it becomes an answer: a warning where it heals by
/// itself, an error where somebody must look.
pub fn log_failure(kind: Kind, code: &str, cause: &str, what: &'static str) {
    if kind.is_transient() {
        tracing::warn!(code, cause, "{what}");
    } else {
        tracing::error!(code, cause, "{what}");
    }
}
