use chassis::StoreFailure;
use mongodb::error::{Error, ErrorKind, RETRYABLE_WRITE_ERROR, WriteFailure};

/// What the driver said, as a failure of the store. Its kind is the sentence for the log; the rest is the server's whole
/// answer, byte by byte.
pub(super) fn failure(error: Error) -> StoreFailure {
    let said = error.kind.to_string();
    if is_transient(&error) { StoreFailure::Unavailable(said.into()) } else { StoreFailure::broken(said) }
}

/// Whether a document with this id was there already, which is what a guarded upsert says of a version that is not newer.
pub(super) fn is_duplicate(error: &Error) -> bool {
    code(error) == Some(DUPLICATE_KEY)
}

/// The code of "a unique index has this key already".
pub(super) const DUPLICATE_KEY: i32 = 11_000;

fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        _ => None,
    }
}

/// Whether it may be otherwise later: told by the code, since texts differ from server to server.
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
        // FerretDB's only word for trouble with the database behind it. (In MongoDB it is a bug of the server.)
        | 1
    )
}

#[cfg(test)]
mod tests {
    use kernel::{Fault, Kind};

    use super::*;

    #[test]
    fn a_connection_that_broke_is_away_and_a_wrong_question_is_broken() {
        let broke = Error::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert_eq!(failure(broke).kind(), Kind::Unavailable);
        assert_eq!(failure(Error::custom("nonsense")).kind(), Kind::Internal);
        assert!(passes(11_600) && !passes(DUPLICATE_KEY) && !passes(18));
    }
}
