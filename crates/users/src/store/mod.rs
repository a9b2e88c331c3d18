//! The adapters of this service's ports. The scheme of a URL selects one; no other part of the service knows
//! which.

mod audit;
#[cfg(test)]
mod contract;
mod email_keys;
mod erasures;
mod hash_costs;
mod key_file;
mod memory;
mod outbox;
#[cfg(feature = "servers")]
mod postgres;
mod record;
#[cfg(feature = "servers")]
mod redis;
mod rows;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use bus::Outbox;
use chassis::{Closer, Erasable, StoreFailure, Url};
use kernel::Clock;

pub use key_file::open as open_keys;
pub use outbox::receipt as erasure_receipt;

use crate::ports::{AuditLog, ErasureLog, Intake, IntakeError, UserCache, UserStore, UserStoreError};

/// The store of accounts, with what else its database contains.
pub struct OpenStore {
    /// The accounts.
    pub store: Arc<dyn UserStore>,
    /// The audit of the accounts.
    pub audit: Arc<dyn AuditLog>,
    /// The erasures with their receipts.
    pub erasures: Arc<dyn ErasureLog>,
    /// The messages that wait to be published, written in the transaction of their effect.
    pub outbox: Arc<dyn Outbox>,
    /// The erasures that the database still owes.
    pub erasure: Arc<dyn Erasable>,
    /// Closes the database.
    pub closer: Closer,
}

/// Why a store, an intake or a cache was not opened. It names the key of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// This build has no adapter for the scheme of the URL.
    #[error("`{key}` has the scheme {scheme:?}; use {supported}")]
    Scheme {
        /// The key.
        key: &'static str,
        /// The scheme alone, because the rest of the URL may contain a password.
        scheme: String,
        /// The forms of URL that this build supports.
        supported: &'static str,
    },
    /// The store does not answer, or is broken.
    #[error("`{0}`")]
    Store(&'static str, #[source] StoreFailure),
}

const STORE: &str = "store.url";
const INTAKE: &str = "intake.url";
const CACHE: &str = "cache.url";

/// The longest wait of a request for a cache on a server. Asking the store instead takes little longer.
#[cfg(feature = "servers")]
const CACHE_PATIENCE: Duration = Duration::from_millis(100);

/// Opens the store that `url` names.
///
/// # Errors
/// If it can't be opened.
pub async fn open_store(url: &Url) -> Result<OpenStore, OpenError> {
    let failed = |failure| OpenError::Store(STORE, failure);
    match url.scheme() {
        "sqlite" => {
            let store = sqlite::SqliteUserStore::open(url.expose()).await.map_err(failed)?;
            let (outbox, erasure, closer) =
                (Arc::new(store.outbox()), Arc::new(store.erasure()), store.closer());
            let store = Arc::new(store);
            Ok(OpenStore {
                store: store.clone(),
                audit: store.clone(),
                erasures: store,
                outbox,
                erasure,
                closer,
            })
        }
        #[cfg(feature = "servers")]
        "postgres" | "postgresql" => {
            let store = postgres::PostgresUserStore::open(url.expose()).await.map_err(failed)?;
            let (outbox, erasure, closer) =
                (Arc::new(store.outbox()), Arc::new(store.erasure()), store.closer());
            let store = Arc::new(store);
            Ok(OpenStore {
                store: store.clone(),
                audit: store.clone(),
                erasures: store,
                outbox,
                erasure,
                closer,
            })
        }
        _ => Err(unsupported(STORE, url, "sqlite:FILE or postgres://")),
    }
}

/// Opens the intake that `url` names.
///
/// # Errors
/// If it can't be opened.
pub async fn open_intake(url: &Url, clock: Arc<dyn Clock>) -> Result<(Arc<dyn Intake>, Closer), OpenError> {
    let failed = |failure| OpenError::Store(INTAKE, failure);
    match url.scheme() {
        "sqlite" => {
            let intake = sqlite::SqliteIntake::open(url.expose(), clock).await.map_err(failed)?;
            let closer = intake.closer();
            Ok((Arc::new(intake), closer))
        }
        #[cfg(feature = "servers")]
        "redis" => {
            let intake = redis::RedisIntake::open(url.expose(), clock).await.map_err(failed)?;
            let closer = intake.closer();
            Ok((Arc::new(intake), closer))
        }
        _ => Err(unsupported(INTAKE, url, "sqlite:FILE or redis://")),
    }
}

/// Opens the cache that `url` names. In the memory of this process it holds at most `capacity` accounts; each
/// account expires after `life`.
///
/// # Errors
/// If the URL can't be read. A server that does not answer is not an error: the service works without its
/// cache.
pub fn open_cache(url: &Url, capacity: u64, life: Duration) -> Result<Arc<dyn UserCache>, OpenError> {
    match url.scheme() {
        "memory" => Ok(Arc::new(memory::MemoryUserCache::new(capacity, life))),
        #[cfg(feature = "servers")]
        "redis" => {
            let cache = redis::RedisUserCache::new(url.expose(), life, CACHE_PATIENCE);
            Ok(Arc::new(cache.map_err(|failure| OpenError::Store(CACHE, failure))?))
        }
        _ => Err(unsupported(CACHE, url, "memory: or redis://")),
    }
}

/// Reads the address of a Redis server, without connecting to it. Addresses with another scheme are accepted
/// unread.
///
/// # Errors
/// If the address can't be read. The error does not quote it, because it may contain a password.
pub fn read_redis(url: &str) -> Result<(), StoreFailure> {
    match url.split_once(':') {
        #[cfg(feature = "servers")]
        Some(("redis", _)) => redis::Redis::new(url, CACHE_PATIENCE).map(drop),
        _ => Ok(()),
    }
}

fn unsupported(key: &'static str, url: &Url, supported: &'static str) -> OpenError {
    OpenError::Scheme { key, scheme: url.scheme().to_owned(), supported }
}

impl From<sqlx::Error> for UserStoreError {
    fn from(error: sqlx::Error) -> Self {
        UserStoreError::Store(error.into())
    }
}

impl From<sqlx::Error> for IntakeError {
    fn from(error: sqlx::Error) -> Self {
        IntakeError::Store(error.into())
    }
}
