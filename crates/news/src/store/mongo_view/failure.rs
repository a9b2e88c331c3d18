//! Errors of the driver as failures of the store.

use chassis::StoreFailure;
use mongodb::error::{Error, ErrorKind, RETRYABLE_WRITE_ERROR, WriteFailure};

/// Returns an error of the driver as a failure of the store. The error's kind is the sentence for the log;
/// the rest of it is the whole answer of the server, byte by byte.
pub(super) fn failure(error: Error) -> StoreFailure {
    let sentence = error.kind.to_string();
    if is_transient(&error) {
        StoreFailure::Unavailable(sentence.into())
    } else {
        StoreFailure::broken(sentence)
    }
}

/// True if a document with this id exists already. A guarded upsert of a version that is not newer fails with
/// this error.
pub(super) fn is_duplicate(error: &Error) -> bool {
    code(error) == Some(DUPLICATE_KEY)
}

/// The code for a key that a unique index contains already.
pub(super) const DUPLICATE_KEY: i32 = 11_000;

fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        _ => None,
    }
}

/// True if the same request may succeed later. It looks at the code, because texts differ between servers.
fn is_transient(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Io(_)
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Shutdown
        | ErrorKind::Write(WriteFailure::WriteConcernError(_)) => true,
        _ => error.contains_label(RETRYABLE_WRITE_ERROR) || code(error).is_some_and(passes),
    }
}

fn passes(code: i32) -> bool {
    matches!(
        code,
        // Unreachable, not found, time-outs of the network.
        6 | 7 | 89 | 9_001
        // No primary, stepping down, shutting down.
        | 91 | 189 | 10_107 | 11_600 | 11_602 | 13_435 | 13_436
        // A lock, a conflict of writes, the time limit, the write concern.
        | 24 | 46 | 50 | 64 | 112 | 262
        // FerretDB's only code for trouble with the database behind it. (In MongoDB it is a bug of the
        // server.)
        | 1
    )
}

#[cfg(test)]
mod tests {
    use kernel::{Fault, Kind};

    use super::*;

    #[test]
    fn a_broken_connection_is_unavailable_and_a_wrong_query_is_a_defect() {
        let broke = Error::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert_eq!(failure(broke).kind(), Kind::Unavailable);
        assert_eq!(failure(Error::custom("nonsense")).kind(), Kind::Internal);
        assert!(passes(11_600) && !passes(DUPLICATE_KEY) && !passes(18));
    }
}
