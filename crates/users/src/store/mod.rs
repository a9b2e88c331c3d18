//! The adapters of this service's ports. A URL's scheme chooses one; nothing else in the service knows which.

#[cfg(test)]
mod contract;
mod costs;
mod counts;
mod email_keys;
mod key_file;
mod memory;
mod outbox;
#[cfg(feature = "servers")]
mod postgres;
#[cfg(feature = "servers")]
mod postgres_admins;
#[cfg(feature = "servers")]
mod postgres_rows;
#[cfg(feature = "servers")]
mod postgres_sessions;
mod record;
#[cfg(feature = "servers")]
mod redis;
#[cfg(feature = "servers")]
mod redis_cache;
#[cfg(feature = "servers")]
mod redis_intake;
mod sqlite;
mod sqlite_answers;
mod sqlite_costs;
mod sqlite_intake;
mod sqlite_rows;
mod sqlite_sessions;
#[cfg(test)]
mod upgrades;

use std::sync::Arc;
use std::time::Duration;

use bus::Outbox;
use chassis::{Closer, Erasable, StoreFailure, Url};
use kernel::{Clock, Sections};
use uuid::Uuid;

pub use key_file::open as open_keys;

use crate::config::Cache;
use crate::domain::{Digest, Salt};
use crate::ports::{Intake, SessionName, UserCache, UserStore};

/// The store of accounts with what else lives in its database.
pub struct OpenStore {
    /// The accounts.
    pub store: Arc<dyn UserStore>,
    /// The facts that are to be told, written with their effects.
    pub outbox: Arc<dyn Outbox>,
    /// What it owes to people who were erased.
    pub erasure: Arc<dyn Erasable>,
    /// How it is closed.
    pub closer: Closer,
}

/// Why a store, an intake or a cache was not opened. It names the key of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The scheme of its URL is none of those that this build knows.
    #[error("{key} is a {scheme:?} URL; this build knows {known}")]
    Scheme {
        /// The key.
        key: &'static str,
        /// The scheme alone, for the rest may hold a password.
        scheme: String,
        /// What would do.
        known: &'static str,
    },
    /// It does not answer, or is broken.
    #[error("{0}")]
    Store(&'static str, #[source] StoreFailure),
}

const STORE: &str = "store.url";
const INTAKE: &str = "intake.url";
const CACHE: &str = "cache.url";

/// How long a request waits for a cache in a server. Asking the store instead takes little longer.
#[cfg(feature = "servers")]
const CACHE_PATIENCE: Duration = Duration::from_millis(100);

/// Opens the store that `url` names.
///
/// # Errors
/// Where it can't be opened.
pub async fn open_store(url: &Url) -> Result<OpenStore, OpenError> {
    let failed = |failure| OpenError::Store(STORE, failure);
    match url.scheme() {
        "sqlite" => {
            let store = sqlite::SqliteUserStore::open(url.expose()).await.map_err(failed)?;
            let (outbox, erasure, closer) =
                (Arc::new(store.outbox()), Arc::new(store.erasure()), store.closer());
            Ok(OpenStore { store: Arc::new(store), outbox, erasure, closer })
        }
        #[cfg(feature = "servers")]
        "postgres" | "postgresql" => {
            let store = postgres::PostgresUserStore::open(url.expose()).await.map_err(failed)?;
            let (outbox, erasure, closer) =
                (Arc::new(store.outbox()), Arc::new(store.erasure()), store.closer());
            Ok(OpenStore { store: Arc::new(store), outbox, erasure, closer })
        }
        _ => Err(unknown(STORE, url, "sqlite:FILE and postgres://")),
    }
}

/// Opens the intake that `url` names.
///
/// # Errors
/// Where it can't be opened.
pub async fn open_intake(url: &Url, clock: Arc<dyn Clock>) -> Result<(Arc<dyn Intake>, Closer), OpenError> {
    let failed = |failure| OpenError::Store(INTAKE, failure);
    match url.scheme() {
        "sqlite" => {
            let intake = sqlite_intake::SqliteIntake::open(url.expose(), clock).await.map_err(failed)?;
            let closer = intake.closer();
            Ok((Arc::new(intake), closer))
        }
        #[cfg(feature = "servers")]
        "redis" => {
            let intake = redis_intake::RedisIntake::open(url.expose(), clock).await.map_err(failed)?;
            let closer = intake.closer();
            Ok((Arc::new(intake), closer))
        }
        _ => Err(unknown(INTAKE, url, "sqlite:FILE and redis://")),
    }
}

/// Opens the cache that `config` names.
///
/// # Errors
/// Where its URL can't be read. That a server does not answer is no reason: a cache may be away.
pub fn open_cache(config: &Cache) -> Result<Arc<dyn UserCache>, OpenError> {
    let life = Duration::from_secs(config.ttl_seconds);
    match config.url.scheme() {
        "memory" => Ok(Arc::new(memory::MemoryUserCache::new(config.capacity, life))),
        #[cfg(feature = "servers")]
        "redis" => {
            let cache = redis_cache::RedisUserCache::new(config.url.expose(), life, CACHE_PATIENCE);
            Ok(Arc::new(cache.map_err(|failure| OpenError::Store(CACHE, failure))?))
        }
        _ => Err(unknown(CACHE, &config.url, "memory: and redis://")),
    }
}

/// Reads the address of a Redis server and connects to nothing. Addresses of other schemes are accepted unread.
///
/// # Errors
/// When the address cannot be read. The error quotes nothing of it: it may hold a password.
pub fn read_redis(url: &str) -> Result<(), StoreFailure> {
    match url.split_once(':') {
        #[cfg(feature = "servers")]
        Some(("redis", _)) => redis::Redis::new(url, CACHE_PATIENCE).map(drop),
        _ => Ok(()),
    }
}

fn unknown(key: &'static str, url: &Url, known: &'static str) -> OpenError {
    OpenError::Scheme { key, scheme: url.scheme().to_owned(), known }
}

/// Where a role holds, as both databases keep it: nothing for all sections, those of the future too.
fn sections_text(sections: &Sections) -> Result<Option<String>, StoreFailure> {
    if sections.is_all() { Ok(None) } else { Ok(Some(serde_json::to_string(sections)?)) }
}

fn sections_of(text: Option<&str>) -> Result<Sections, StoreFailure> {
    Ok(text.map(serde_json::from_str).transpose()?.unwrap_or_default())
}

/// A session's name as what its columns are compared with; null matches nothing.
fn parts(name: &SessionName) -> (Option<Uuid>, Option<Uuid>, Option<&[u8]>) {
    match name {
        SessionName::Id(user, session) => (Some(session.uuid()), Some(user.uuid()), None),
        SessionName::Series(series) => (None, None, Some(series.bytes())),
    }
}

/// What is kept of secrets, from a column. Both databases keep bytes.
fn digest(bytes: Vec<u8>) -> Result<Digest, StoreFailure> {
    Ok(Digest::stored(exactly_32(bytes)?))
}

fn salt(bytes: Vec<u8>) -> Result<Salt, StoreFailure> {
    Ok(Salt::stored(exactly_32(bytes)?))
}

fn exactly_32(bytes: Vec<u8>) -> Result<[u8; 32], StoreFailure> {
    bytes.try_into().map_err(|_| StoreFailure::broken("a digest in the store has another length"))
}
