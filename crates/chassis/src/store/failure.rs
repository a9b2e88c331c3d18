use std::error::Error;

use kernel::{Class, Fault, Kind};
use sqlx::sqlite::SqliteError;

/// The failure of a store: unavailable for now, or broken. The error of the driver is its source, for the
/// log. It never reaches a caller.
#[derive(Debug, thiserror::Error)]
pub enum StoreFailure {
    /// The store may answer later.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The store will not answer until an operator has looked at it.
    #[error("the store failed")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreFailure {
    /// A failure that an operator must look at: a record that can't be read, a statement that can't be run.
    pub fn broken(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        StoreFailure::Broken(cause.into())
    }
}

impl Fault for StoreFailure {
    fn classify(&self) -> Class<'_> {
        match self {
            StoreFailure::Unavailable(_) => Class::own(Kind::Unavailable, "store_unavailable"),
            StoreFailure::Broken(_) => Class::own(Kind::Internal, "internal"),
        }
    }
}

impl From<sqlx::Error> for StoreFailure {
    fn from(error: sqlx::Error) -> Self {
        if is_transient(&error) {
            StoreFailure::Unavailable(error.into())
        } else {
            StoreFailure::Broken(error.into())
        }
    }
}

fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        // A server that stops in the middle of a handshake seems to send something wrong.
        | sqlx::Error::Protocol(_)
        | sqlx::Error::Tls(_) => true,
        sqlx::Error::Database(error) => {
            #[cfg(feature = "servers")]
            if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
                return is_transient_in_postgres(error);
            }
            error.try_downcast_ref::<SqliteError>().is_some_and(is_transient_in_sqlite)
        }
        _ => false,
    }
}

/// True if the same statement may succeed later. The code decides, because messages are translated.
#[cfg(feature = "servers")]
fn is_transient_in_postgres(error: &sqlx::postgres::PgDatabaseError) -> bool {
    let code = error.code();
    // Connection trouble; too many connections, no memory, disk full.
    code.starts_with("08")
        || code.starts_with("53")
        || matches!(
            code,
            // Serialization, deadlock, a lock that was not granted, a statement over its time.
            "40001" | "40P01" | "55P03" | "57014"
            // Shutdown, crash, starting up, idle too long; a standby that takes no writes.
            | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" | "25006"
        )
}

/// True for the primary result codes that mean an obstacle which may go: BUSY, LOCKED, NOMEM, IOERR, FULL,
/// CANTOPEN.
fn is_transient_in_sqlite(error: &SqliteError) -> bool {
    let code = sqlx::error::DatabaseError::code(error).and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 5 | 6 | 7 | 10 | 13 | 14))
}

impl From<sqlx::migrate::MigrateError> for StoreFailure {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::Execute(error) => error.into(),
            other => StoreFailure::Broken(other.into()),
        }
    }
}

impl From<serde_json::Error> for StoreFailure {
    fn from(error: serde_json::Error) -> Self {
        StoreFailure::Broken(error.into())
    }
}
