//! The adapters of this service's ports. The scheme of a URL chooses one.

mod record;
mod sqlite_events;
mod sqlite_view;

#[cfg(test)]
mod contract;

use std::sync::Arc;

use bus::Outbox;
use chassis::StoreFailure;

use crate::ports::{EventStore, NewsView};

pub use record::{RecordError, read_event, write_event};

/// Opens the command side that `url` names, with its outbox. `sqlite:` is the embedded one; the fleet brings
/// `postgres:`.
///
/// # Errors
/// Where the URL names no adapter, or the store can't be opened.
pub async fn open_events(url: &str) -> Result<(Arc<dyn EventStore>, Arc<dyn Outbox>), StoreFailure> {
    if !url.starts_with("sqlite:") {
        return Err(no_adapter(url));
    }
    let store = sqlite_events::SqliteEventStore::open(url).await?;
    let outbox = store.outbox();
    Ok((Arc::new(store), outbox))
}

/// Opens the query side that `url` names. `sqlite:` is the embedded one; the fleet brings `mongodb:`.
///
/// # Errors
/// Where the URL names no adapter, or the store can't be opened.
pub async fn open_view(url: &str) -> Result<Arc<dyn NewsView>, StoreFailure> {
    if !url.starts_with("sqlite:") {
        return Err(no_adapter(url));
    }
    Ok(Arc::new(sqlite_view::SqliteNewsView::open(url).await?))
}

/// The scheme only: the rest of a URL may hold a password.
fn no_adapter(url: &str) -> StoreFailure {
    let scheme = url.split(':').next().unwrap_or_default();
    StoreFailure::broken(format!(
        "no store of news speaks `{scheme}:`; this shape of the portal knows `sqlite:`"
    ))
}
