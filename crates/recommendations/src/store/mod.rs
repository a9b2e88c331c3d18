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

use chassis::sqlite::Database;
use chassis::{Erasable, SqliteErasure, StoreFailure, Url};

#[cfg(feature = "servers")]
use neo4j::Neo4jTasteGraph;
use sqlite::SqliteTasteGraph;

use crate::ports::TasteGraph;

/// An open graph with its engine.
pub struct OpenedGraph {
    /// The port.
    pub graph: Arc<dyn TasteGraph>,
    /// The engine behind it.
    pub engine: Engine,
}

/// The engine of a graph, for the host: health, erasure and closing, which the port does not offer.
#[derive(Clone)]
pub enum Engine {
    /// A file of this process.
    Sqlite(Database),
    /// A server.
    #[cfg(feature = "servers")]
    Neo4j(Neo4jTasteGraph),
}

impl Engine {
    /// Returns the name of the engine in `/readyz`.
    pub fn name(&self) -> &'static str {
        match self {
            Engine::Sqlite(_) => "sqlite",
            #[cfg(feature = "servers")]
            Engine::Neo4j(_) => "neo4j",
        }
    }

    /// Returns the store of the erasure duties.
    pub fn erasure(&self) -> Arc<dyn Erasable> {
        match self {
            Engine::Sqlite(database) => Arc::new(SqliteErasure::new(database.clone())),
            #[cfg(feature = "servers")]
            Engine::Neo4j(graph) => Arc::new(graph.clone()),
        }
    }

    /// Checks that the engine answers.
    pub async fn ping(&self) -> Result<(), StoreFailure> {
        match self {
            Engine::Sqlite(database) => database.ping().await,
            #[cfg(feature = "servers")]
            Engine::Neo4j(graph) => graph.ping().await,
        }
    }

    /// Checks that the engine accepts writes, by writing a byte.
    pub async fn try_write(&self) -> Result<(), StoreFailure> {
        match self {
            Engine::Sqlite(database) => database.try_write().await,
            #[cfg(feature = "servers")]
            Engine::Neo4j(graph) => graph.try_write().await,
        }
    }

    /// Closes the engine. Connections to a server end with the last copy of their graph.
    pub async fn close(&self) {
        match self {
            Engine::Sqlite(database) => database.close().await,
            #[cfg(feature = "servers")]
            Engine::Neo4j(_) => {}
        }
    }
}

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
pub async fn open(url: &Url, budget: Duration) -> Result<OpenedGraph, StoreFailure> {
    match url.scheme() {
        "sqlite" => {
            let graph = SqliteTasteGraph::open(url.expose()).await?;
            Ok(OpenedGraph { engine: Engine::Sqlite(graph.database().clone()), graph: Arc::new(graph) })
        }
        #[cfg(feature = "servers")]
        "neo4j" | "bolt" => {
            let graph = Neo4jTasteGraph::open(url.expose(), budget).await?;
            Ok(OpenedGraph { engine: Engine::Neo4j(graph.clone()), graph: Arc::new(graph) })
        }
        _ => Err(StoreFailure::broken("store.url must begin with sqlite:, neo4j:// or bolt://")),
    }
}
