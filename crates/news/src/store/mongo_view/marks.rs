//! The collection `marks`: documents about the whole database, each under a name.

use chassis::StoreFailure;
use mongodb::bson::{Document, doc};
use mongodb::{Collection, Database};

use super::failure::{failure, is_duplicate};

/// Returns the collection.
pub(super) fn collection<T: Send + Sync>(database: &Database) -> Collection<T> {
    database.collection("marks")
}

/// Changes the document `name`, and creates it if it does not exist.
pub(super) async fn upsert(database: &Database, name: &str, change: Document) -> Result<(), StoreFailure> {
    let marks = collection::<Document>(database);
    let this = doc! { "_id": name };
    match marks.update_one(this.clone(), change.clone()).upsert(true).await {
        // Another replica has created it at the same moment.
        Err(error) if is_duplicate(&error) => marks.update_one(this, change).await,
        put => put,
    }
    .map_err(failure)?;
    Ok(())
}
