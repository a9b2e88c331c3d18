//! The migration of labels that an older program wrote: it created a node for each spelling. When the graph
//! is opened, spellings of one label become one node.
//!
//! A node whose name is known to be a key has `is_key`. A node of an older replica that still runs does not
//! have it, and is checked when the next replica opens the graph.

use chassis::StoreFailure;
use kernel::{Label, UserId, match_key};

use super::pool::{self, AttemptError};
use super::{Neo4jTasteGraph, rows};

/// The number of labels or readers that are processed together.
const BATCH: u32 = 500;

/// Joins the spellings of all labels. If it is interrupted, the next start does the rest.
pub(super) async fn join(graph: &Neo4jTasteGraph) -> Result<(), StoreFailure> {
    loop {
        let labels = graph.pool.write(|| unmarked_labels(graph)).await?;
        if labels.is_empty() {
            return Ok(());
        }
        for label in labels {
            let key = match_key(label.as_str());
            if key == label.as_str() {
                graph.pool.write(|| mark(graph, &key)).await?;
                continue;
            }
            loop {
                let readers = graph.pool.write(|| readers(graph, &label)).await?;
                if readers.is_empty() {
                    break;
                }
                for reader in readers {
                    graph.pool.write(|| join_one(graph, reader, &label)).await?;
                }
            }
            graph.pool.write(|| remove(graph, &label)).await?;
        }
    }
}

async fn unmarked_labels(graph: &Neo4jTasteGraph) -> Result<Vec<Label>, AttemptError> {
    let query = graph.pool.query(
        "MATCH (label:Label) WHERE label.tenant = $tenant AND label.is_key IS NULL
         RETURN label.name AS name LIMIT $limit",
    );
    let mut tx = graph.pool.begin().await?;
    let found = pool::rows(&mut tx, query.param("limit", BATCH)).await?;
    let labels = found.iter().map(|row| Ok(Label::stored(row.get("name")?))).collect();
    tx.commit().await?;
    labels
}

async fn mark(graph: &Neo4jTasteGraph, key: &str) -> Result<(), AttemptError> {
    let query =
        graph.pool.query("MATCH (label:Label {tenant: $tenant, name: $name}) SET label.is_key = true");
    let mut tx = graph.pool.begin().await?;
    tx.run(query.param("name", key)).await?;
    Ok(tx.commit().await?)
}

async fn readers(graph: &Neo4jTasteGraph, label: &Label) -> Result<Vec<UserId>, AttemptError> {
    let query = graph.pool.query(
        "MATCH (reader:Reader)-[:LIKES]->(:Label {tenant: $tenant, name: $name})
         RETURN reader.id AS reader LIMIT $limit",
    );
    let mut tx = graph.pool.begin().await?;
    let query = query.param("name", label.as_str()).param("limit", BATCH);
    let readers = pool::rows(&mut tx, query).await?.iter().map(rows::reader).collect();
    tx.commit().await?;
    readers
}

/// Deletes a reader's edge to an old spelling and adds its weight to the edge to the label.
async fn join_one(graph: &Neo4jTasteGraph, reader: UserId, label: &Label) -> Result<(), AttemptError> {
    let mut tx = graph.pool.begin().await?;
    graph.lock(&mut tx, reader).await?;
    let query = graph.pool.query(
        "MATCH (:Reader {tenant: $tenant, id: $reader})-[likes:LIKES]->(:Label {tenant: $tenant, name: $name})
         WITH likes, coalesce(likes.shown, $name) AS shown, likes.weight AS weight, likes.reads AS reads,
              likes.last_read_at AS last_read_at
         DELETE likes RETURN shown, weight, reads, last_read_at",
    );
    let query = query.param("reader", reader.to_string()).param("name", label.as_str());
    for row in pool::rows(&mut tx, query).await? {
        let taste = rows::taste(&row)?;
        let known = graph.tastes(&mut tx, reader, &[taste.label()].into()).await?;
        let joined = match known.get(taste.label()) {
            Some(other) => other.clone().join(&taste),
            None => taste,
        };
        graph.put_tastes(&mut tx, reader, &[joined]).await?;
    }
    Ok(tx.commit().await?)
}

/// Removes the node of an old spelling, unless it has got a new edge meanwhile.
async fn remove(graph: &Neo4jTasteGraph, label: &Label) -> Result<(), AttemptError> {
    let query = graph.pool.query(
        "MATCH (label:Label {tenant: $tenant, name: $name}) WHERE NOT EXISTS { (label)<-[:LIKES]-() }
         DELETE label",
    );
    let mut tx = graph.pool.begin().await?;
    tx.run(query.param("name", label.as_str())).await?;
    Ok(tx.commit().await?)
}
