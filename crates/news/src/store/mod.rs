//! The adapters of this service's ports. The scheme of a URL chooses one.

#[cfg(feature = "servers")]
mod mongo_view;
#[cfg(feature = "servers")]
mod postgres_answers;
#[cfg(feature = "servers")]
mod postgres_events;
mod record;
mod sqlite_answers;
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
use chassis::StoreFailure;

use crate::ports::{AppendError, EventStore, NewsView};

pub use record::{BylineColumns, RecordError, read_event, write_event};

/// Opens the command side that `url` names, with its outbox: `sqlite:` is the embedded one, `postgres:` that of the fleet.
/// `service` is the name that a server shows for the connections.
///
/// # Errors
/// Where the URL names no adapter, or the store can't be opened.
#[cfg_attr(not(feature = "servers"), expect(unused_variables, reason = "only a server shows the name"))]
pub async fn open_events(
    url: &str,
    service: &str,
) -> Result<(Arc<dyn EventStore>, Arc<dyn Outbox>), StoreFailure> {
    match scheme(url) {
        "sqlite" => {
            let store = sqlite_events::SqliteEventStore::open(url).await?;
            let outbox = store.outbox();
            Ok((Arc::new(store), outbox))
        }
        #[cfg(feature = "servers")]
        "postgres" | "postgresql" => {
            let store = postgres_events::PostgresEventStore::open(url, service).await?;
            let outbox = store.outbox();
            Ok((Arc::new(store), outbox))
        }
        other => Err(no_adapter("events", other, "`sqlite:` and `postgres:`")),
    }
}

/// Opens the query side that `url` names: `sqlite:` is the embedded one, `mongodb:` that of the fleet. `service` is the
/// name that a server shows for the connections.
///
/// # Errors
/// Where the URL names no adapter, or the store can't be opened.
#[cfg_attr(not(feature = "servers"), expect(unused_variables, reason = "only a server shows the name"))]
pub async fn open_view(url: &str, service: &str) -> Result<Arc<dyn NewsView>, StoreFailure> {
    match scheme(url) {
        "sqlite" => Ok(Arc::new(sqlite_view::SqliteNewsView::open(url).await?)),
        #[cfg(feature = "servers")]
        "mongodb" => Ok(Arc::new(mongo_view::MongoNewsView::open(url, service).await?)),
        other => Err(no_adapter("the view", other, "`sqlite:` and `mongodb:`")),
    }
}

/// Reads the address of a MongoDB server and connects to nothing. Addresses of other schemes are accepted unread.
///
/// # Errors
/// When the address cannot be read. The error quotes nothing of it.
pub fn read_view(url: &str) -> Result<(), StoreFailure> {
    match scheme(url) {
        #[cfg(feature = "servers")]
        "mongodb" => mongo_view::read(url),
        _ => Ok(()),
    }
}

/// The scheme only: the rest of a URL may hold a password.
fn scheme(url: &str) -> &str {
    url.split(':').next().unwrap_or_default()
}

fn no_adapter(of: &str, scheme: &str, known: &str) -> StoreFailure {
    StoreFailure::broken(format!("no store of {of} speaks `{scheme}:`; there are {known}"))
}

impl From<sqlx::Error> for AppendError {
    fn from(error: sqlx::Error) -> Self {
        AppendError::Store(error.into())
    }
}
