//! The stores of this service: the URL's scheme chooses the adapter.

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

pub use neo4j::Neo4jTasteGraph;
pub use sqlite::SqliteTasteGraph;

use crate::ports::TasteGraph;

/// An open graph, and what is behind it.
pub struct Opened {
    /// The port.
    pub graph: Arc<dyn TasteGraph>,
    /// What the adapter works with.
    pub engine: Engine,
}

/// What is no business of the port: asking whether the store lives, and closing it.
#[derive(Clone)]
pub enum Engine {
    /// A file of this process.
    Sqlite(Database),
    /// A server.
    Neo4j(Neo4jTasteGraph),
}

impl Engine {
    /// Its name in `/readyz`.
    pub fn name(&self) -> &'static str {
        match self {
            Engine::Sqlite(_) => "sqlite",
            Engine::Neo4j(_) => "neo4j",
        }
    }

    /// What it owes to people who were erased.
    pub fn erasure(&self) -> Arc<dyn Erasable> {
        match self {
            Engine::Sqlite(database) => Arc::new(SqliteErasure::new(database.clone())),
            Engine::Neo4j(graph) => Arc::new(graph.clone()),
        }
    }

    /// Asks it whether it still answers.
    pub async fn ping(&self) -> Result<(), StoreFailure> {
        match self {
            Engine::Sqlite(database) => database.ping().await,
            Engine::Neo4j(graph) => graph.ping().await,
        }
    }

    /// Asks it whether it takes writes, by writing a byte.
    pub async fn try_write(&self) -> Result<(), StoreFailure> {
        match self {
            Engine::Sqlite(database) => database.try_write().await,
            Engine::Neo4j(graph) => graph.try_write().await,
        }
    }

    /// Closes it. Connections to a server end with the last copy of their graph.
    pub async fn close(&self) {
        match self {
            Engine::Sqlite(database) => database.close().await,
            Engine::Neo4j(_) => {}
        }
    }
}

/// Reads the address of a graph, and connects to nothing.
///
/// # Errors
/// Where it can't be read; nothing of it is quoted.
pub fn read(url: &str) -> Result<(), StoreFailure> {
    if url.starts_with("sqlite:") { Ok(()) } else { neo4j::read(url) }
}

/// Opens the graph that `url` names: `sqlite:<path>`, or `neo4j://user:password@host:7687` (also as `bolt://`). `budget` is how
/// long a question to a server may take; a file needs none.
///
/// # Errors
/// Where the scheme is another, or the store can't be opened.
pub async fn open(url: &Url, budget: Duration) -> Result<Opened, StoreFailure> {
    match url.scheme() {
        "sqlite" => {
            let graph = SqliteTasteGraph::open(url.expose()).await?;
            Ok(Opened { engine: Engine::Sqlite(graph.database().clone()), graph: Arc::new(graph) })
        }
        "neo4j" | "bolt" => {
            let graph = Neo4jTasteGraph::open(url.expose(), budget).await?;
            Ok(Opened { engine: Engine::Neo4j(graph.clone()), graph: Arc::new(graph) })
        }
        _ => Err(StoreFailure::broken("store.url must begin with sqlite:, neo4j:// or bolt://")),
    }
}
