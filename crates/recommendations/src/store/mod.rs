//! The stores of this service. The scheme of the URL selects the adapter.

#[cfg(feature = "servers")]
mod neo4j;
mod sqlite;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod model;

use std::sync::Arc;
use std::time::Duration;

use chassis::{Dependency, OpenedStore, SqliteErasure, StoreFailure, Url};

#[cfg(feature = "servers")]
use neo4j::Neo4jTasteGraph;
use sqlite::SqliteTasteGraph;

use crate::ports::TasteGraph;

/// Checks the address of a graph server without connecting. Addresses of other schemes are accepted unread.
///
/// # Errors
/// Fails if the address is not valid. The error quotes nothing of it.
pub fn check_address(url: &str) -> Result<(), StoreFailure> {
    match url.split_once(':') {
        #[cfg(feature = "servers")]
        Some(("neo4j" | "bolt", _)) => neo4j::check_address(url),
        _ => Ok(()),
    }
}

/// Opens the graph at `url`: `sqlite:<path>`, or `neo4j://user:password@host:7687` (also as `bolt://`).
/// `budget` is the longest time for a query to a server; a file needs no budget.
///
/// # Errors
/// Fails if the scheme is unknown or the store can't be opened.
#[cfg_attr(not(feature = "servers"), expect(unused_variables, reason = "only a server needs a budget"))]
pub async fn open(url: &Url, budget: Duration) -> Result<OpenedStore<dyn TasteGraph>, StoreFailure> {
    match url.scheme() {
        "sqlite" => Ok(opened_sqlite(SqliteTasteGraph::open(url.expose()).await?)),
        #[cfg(feature = "servers")]
        "neo4j" | "bolt" => Ok(opened_neo4j(Neo4jTasteGraph::open(url.expose(), budget).await?)),
        _ => Err(StoreFailure::broken("store.url must begin with sqlite:, neo4j:// or bolt://")),
    }
}

fn opened_sqlite(graph: SqliteTasteGraph) -> OpenedStore<dyn TasteGraph> {
    let (graph, database) = (Arc::new(graph.clone()), graph.database().clone());
    let dependency = Dependency::of("sqlite", &graph, |graph| Box::pin(graph.database().ping()))
        .with_write_probe_of(&graph, |graph| Box::pin(graph.database().try_write()));
    OpenedStore::new(graph as Arc<dyn TasteGraph>)
        .with_erasure(Arc::new(SqliteErasure::new(database.clone())))
        .with_dependency(dependency)
        .with_closer(Box::pin(async move { database.close().await }))
}

/// Connections to a server end with the last copy of their graph, so there is nothing to close.
#[cfg(feature = "servers")]
fn opened_neo4j(graph: Neo4jTasteGraph) -> OpenedStore<dyn TasteGraph> {
    let graph = Arc::new(graph);
    let dependency = Dependency::of("neo4j", &graph, |graph| Box::pin(graph.ping()))
        .with_write_probe_of(&graph, |graph| Box::pin(graph.try_write()));
    OpenedStore::new(graph.clone() as Arc<dyn TasteGraph>).with_erasure(graph).with_dependency(dependency)
}
