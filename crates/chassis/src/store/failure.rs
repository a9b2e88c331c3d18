use std::error::Error;

use kernel::{Class, Fault, Kind};
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// Why a store did not do what it was asked: away for now, or broken. What the driver said is kept as the source, for the log;
/// it never reaches a caller.
#[derive(Debug, thiserror::Error)]
pub enum StoreFailure {
    /// It may work later.
    #[error("the store is away")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// It will not work without somebody looking.
    #[error("the store failed")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreFailure {
    /// A failure that somebody has to look at: a record that can't be read, a statement that can't be run.
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
        let away = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            // A server that goes in the middle of a greeting seems to have said something wrong.
            | sqlx::Error::Protocol(_)
            | sqlx::Error::Tls(_) => true,
            sqlx::Error::Database(error) => {
                error.try_downcast_ref::<PgDatabaseError>().is_some_and(crate::postgres::is_transient)
                    || error.try_downcast_ref::<SqliteError>().is_some_and(crate::sqlite::is_transient)
            }
            _ => false,
        };
        if away { StoreFailure::Unavailable(error.into()) } else { StoreFailure::Broken(error.into()) }
    }
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
