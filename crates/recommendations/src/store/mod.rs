//! The stores of this service: the URL's scheme chooses the adapter.

mod sqlite;

#[cfg(test)]
mod contract;

use std::sync::Arc;

use chassis::StoreFailure;

pub use sqlite::SqliteTasteGraph;

use crate::ports::TasteGraph;

/// An open graph, and the adapter behind it for what is no business of the port: asking whether it lives, and closing it.
pub struct Opened {
    /// The port.
    pub graph: Arc<dyn TasteGraph>,
    /// The adapter's file.
    pub database: chassis::sqlite::Database,
}

/// Opens the graph that `url` names: `sqlite:<path>`. `neo4j:` comes with the fleet.
///
/// # Errors
/// Where the scheme is another, or the store can't be opened.
pub async fn open(url: &str) -> Result<Opened, StoreFailure> {
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => {
            let graph = SqliteTasteGraph::open(url).await?;
            Ok(Opened { database: graph.database().clone(), graph: Arc::new(graph) })
        }
        _ => Err(StoreFailure::broken("store.url must begin with sqlite: (neo4j: comes with the fleet)")),
    }
}
