//! The adapters of this service's ports. The scheme of a URL chooses one.

#[cfg(feature = "servers")]
mod mongo_view;
mod newsroom;
#[cfg(feature = "servers")]
mod postgres_events;
mod record;
mod rows;
mod sqlite_events;
mod sqlite_view;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod model;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod races;
#[cfg(test)]
mod upgrades;

use std::sync::Arc;

use bus::Outbox;
use chassis::{Dependency, OpenedStore, StoreFailure};

use crate::ports::{AppendError, EventStore, NewsView};

pub use record::{BylineColumns, RecordError, read_event, write_event};

/// Opens the event store that `url` names, with its outbox: `sqlite:` is embedded, `postgres:` is for the
/// fleet. `service` is the name that a server shows for the connections.
///
/// # Errors
/// Fails if the URL names no adapter, or if the store can't be opened.
#[cfg_attr(not(feature = "servers"), expect(unused_variables, reason = "only a server shows the name"))]
pub async fn open_events(
    url: &str,
    service: &str,
) -> Result<OpenedStore<dyn EventStore, Arc<dyn Outbox>>, StoreFailure> {
    let opened = match scheme(url) {
        "sqlite" => sqlite_events::SqliteEventStore::open(url).await?.into_opened(),
        #[cfg(feature = "servers")]
        "postgres" | "postgresql" => {
            postgres_events::PostgresEventStore::open(url, service).await?.into_opened()
        }
        other => return Err(no_adapter("the event store", other, "`sqlite:` and `postgres:`")),
    };
    let dependency = Dependency::of("events", &opened.port, |store| store.ping())
        .with_write_probe_of(&opened.port, |store| store.try_write());
    Ok(opened.with_dependency(dependency))
}

/// Opens the view that `url` names: `sqlite:` is embedded, `mongodb:` is for the fleet. `service` is the name
/// that a server shows for the connections.
///
/// # Errors
/// Fails if the URL names no adapter, or if the view can't be opened.
#[cfg_attr(not(feature = "servers"), expect(unused_variables, reason = "only a server shows the name"))]
pub async fn open_view(url: &str, service: &str) -> Result<OpenedStore<dyn NewsView>, StoreFailure> {
    let opened = match scheme(url) {
        "sqlite" => sqlite_view::SqliteNewsView::open(url).await?.into_opened(),
        #[cfg(feature = "servers")]
        "mongodb" => mongo_view::MongoNewsView::open(url, service).await?.into_opened(),
        other => return Err(no_adapter("the view", other, "`sqlite:` and `mongodb:`")),
    };
    let dependency = Dependency::of("view", &opened.port, |view| view.ping())
        .with_write_probe_of(&opened.port, |view| view.try_write());
    Ok(opened.with_dependency(dependency))
}

/// Checks the address of a MongoDB without connecting. Addresses of other stores are not checked here.
///
/// # Errors
/// Fails if the address can't be read. The error never quotes it.
pub fn read_view(url: &str) -> Result<(), StoreFailure> {
    match scheme(url) {
        #[cfg(feature = "servers")]
        "mongodb" => mongo_view::read(url),
        _ => Ok(()),
    }
}

/// Returns the scheme only, because the rest of a URL may contain a password.
fn scheme(url: &str) -> &str {
    url.split(':').next().unwrap_or_default()
}

fn no_adapter(store: &str, scheme: &str, known: &str) -> StoreFailure {
    StoreFailure::broken(format!("{store} can't be at `{scheme}:`; the known schemes are {known}"))
}

impl From<sqlx::Error> for AppendError {
    fn from(error: sqlx::Error) -> Self {
        AppendError::Store(error.into())
    }
}
