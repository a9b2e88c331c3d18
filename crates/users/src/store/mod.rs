//! The adapters of this service's ports. A URL's scheme chooses one; nothing else in the service knows which.

#[cfg(test)]
mod contract;
mod key_file;
mod memory;
mod outbox;
mod record;
mod sqlite;
mod sqlite_intake;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bus::Outbox;
use chassis::Closer;
use kernel::Clock;

pub use key_file::open as open_keys;

use crate::config::Cache;
use crate::ports::{Intake, UserCache, UserStore};

/// The store of accounts with what else lives in its database.
pub struct OpenStore {
    /// The accounts.
    pub store: Arc<dyn UserStore>,
    /// The facts that are to be told, written with their effects.
    pub outbox: Arc<dyn Outbox>,
    /// How it is closed.
    pub closer: Closer,
}

/// Opens the store that `url` names.
pub async fn open_store(url: &str) -> anyhow::Result<OpenStore> {
    if url.starts_with("sqlite:") {
        let store = sqlite::SqliteUserStore::open(url).await.context("store.url")?;
        let (outbox, closer) = (store.outbox(), store.closer());
        return Ok(OpenStore { store: Arc::new(store), outbox: Arc::new(outbox), closer });
    }
    bail!("store.url is {}; this build knows sqlite:FILE", shown(url))
}

/// Opens the intake that `url` names.
pub async fn open_intake(url: &str, clock: Arc<dyn Clock>) -> anyhow::Result<(Arc<dyn Intake>, Closer)> {
    if url.starts_with("sqlite:") {
        let intake = sqlite_intake::SqliteIntake::open(url, clock).await.context("intake.url")?;
        let closer = intake.closer();
        return Ok((Arc::new(intake), closer));
    }
    bail!("intake.url is {}; this build knows sqlite:FILE", shown(url))
}

/// Opens the cache that `config` names.
pub fn open_cache(config: &Cache) -> anyhow::Result<Arc<dyn UserCache>> {
    if config.url.starts_with("memory:") {
        let life = Duration::from_secs(config.ttl_seconds);
        return Ok(Arc::new(memory::MemoryUserCache::new(config.capacity, life)));
    }
    bail!("cache.url is {}; this build knows memory:", shown(&config.url))
}

/// A URL as it may be shown: the scheme alone, for the rest may hold a password.
fn shown(url: &str) -> String {
    url.split_once(':').map_or_else(|| "no URL".to_owned(), |(scheme, _)| format!("a {scheme}: URL"))
}
