use kernel::Kind;

/// Logs a failure of ours once, at the boundary where it becomes an answer. The level is a warning if it
/// recovers by itself, and an error if an operator must look at it.
pub fn log_failure(kind: Kind, code: &str, cause: &str, what: &'static str) {
    if kind.is_transient() {
        tracing::warn!(code, cause, "{what}");
    } else {
        tracing::error!(code, cause, "{what}");
    }
}
