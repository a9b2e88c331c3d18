//! The adapters of this service's ports. The scheme of a URL selects one; no other part of the service knows
//! which.

mod audit;
#[cfg(test)]
mod contract;
mod email_keys;
mod erasable_intake;
mod erasures;
mod exports;
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
use chassis::{Closer, Dependency, Erasable, OpenedStore, StoreFailure, Url};
use kernel::Clock;

pub use key_file::open as open_keys;
pub use outbox::receipt as erasure_receipt;

use erasable_intake::ErasableIntake;

use crate::ports::{
    AuditLog, ErasureLog, ExportStore, Intake, IntakeError, UserCache, UserStore, UserStoreError,
};

/// The database of the accounts, with all ports that it serves.
pub struct OpenedAccounts {
    /// The accounts, and what belongs to their database.
    pub store: OpenedStore<dyn UserStore, Arc<dyn Outbox>>,
    /// The audit of the accounts.
    pub audit: Arc<dyn AuditLog>,
    /// The erasures with their receipts.
    pub erasures: Arc<dyn ErasureLog>,
    /// The parts of exports that have arrived.
    pub exports: Arc<dyn ExportStore>,
}

impl OpenedAccounts {
    fn new<S>(adapter: S, outbox: Arc<dyn Outbox>, erasure: Arc<dyn Erasable>, closer: Closer) -> Self
    where
        S: UserStore + AuditLog + ErasureLog + ExportStore,
    {
        let adapter = Arc::new(adapter);
        let store: Arc<dyn UserStore> = adapter.clone();
        let probe = Dependency::of("store", &store, |store| store.ping())
            .with_write_probe_of(&store, |store| store.try_write());
        let opened = OpenedStore::new(store)
            .with_outbox(outbox)
            .with_erasure(erasure)
            .with_dependency(probe)
            .with_closer(closer);
        Self { store: opened, audit: adapter.clone(), erasures: adapter.clone(), exports: adapter }
    }
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
pub async fn open_store(url: &Url) -> Result<OpenedAccounts, OpenError> {
    let failed = |failure| OpenError::Store(STORE, failure);
    match url.scheme() {
        "sqlite" => Ok(sqlite::SqliteUserStore::open(url.expose()).await.map_err(failed)?.into_opened()),
        #[cfg(feature = "servers")]
        "postgres" | "postgresql" => {
            Ok(postgres::PostgresUserStore::open(url.expose()).await.map_err(failed)?.into_opened())
        }
        _ => Err(unsupported(STORE, url, "sqlite:FILE or postgres://")),
    }
}

/// Opens the intake that `url` names.
///
/// # Errors
/// If it can't be opened.
pub async fn open_intake(url: &Url, clock: Arc<dyn Clock>) -> Result<OpenedStore<dyn Intake>, OpenError> {
    let failed = |failure| OpenError::Store(INTAKE, failure);
    let opened = match url.scheme() {
        "sqlite" => sqlite::SqliteIntake::open(url.expose(), clock).await.map_err(failed)?.into_opened(),
        #[cfg(feature = "servers")]
        "redis" => redis::RedisIntake::open(url.expose(), clock).await.map_err(failed)?.into_opened(),
        _ => return Err(unsupported(INTAKE, url, "sqlite:FILE or redis://")),
    };
    let erasure = Arc::new(ErasableIntake(opened.port.clone()));
    let dependency = Dependency::of("intake", &opened.port, |intake| intake.ping())
        .with_write_probe_of(&opened.port, |intake| intake.try_write());
    Ok(opened.with_erasure(erasure).with_dependency(dependency))
}

/// Opens the cache that `url` names. In the memory of this process it holds at most `capacity` accounts; each
/// account expires after `life`.
///
/// # Errors
/// If the URL can't be read. A server that does not answer is not an error: the service works without its
/// cache.
pub fn open_cache(url: &Url, capacity: u64, life: Duration) -> Result<OpenedStore<dyn UserCache>, OpenError> {
    let cache: Arc<dyn UserCache> = match url.scheme() {
        "memory" => Arc::new(memory::MemoryUserCache::new(capacity, life)),
        #[cfg(feature = "servers")]
        "redis" => {
            let cache = redis::RedisUserCache::new(url.expose(), life, CACHE_PATIENCE);
            Arc::new(cache.map_err(|failure| OpenError::Store(CACHE, failure))?)
        }
        _ => return Err(unsupported(CACHE, url, "memory: or redis://")),
    };
    let dependency = Dependency::of("cache", &cache, |cache| cache.ping()).optional();
    Ok(OpenedStore::new(cache).with_dependency(dependency))
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
