//! The documents that say something about all of a database, each under a name.

use chassis::StoreFailure;
use mongodb::bson::{Document, doc};
use mongodb::{Collection, Database};

use super::failure::{failure, is_duplicate};

/// Where they are.
pub(super) fn of<T: Send + Sync>(database: &Database) -> Collection<T> {
    database.collection("marks")
}

/// Changes this one, and makes it where it is not there.
pub(super) async fn put(database: &Database, name: &str, change: Document) -> Result<(), StoreFailure> {
    let marks = of::<Document>(database);
    let this = doc! { "_id": name };
    match marks.update_one(this.clone(), change.clone()).upsert(true).await {
        // Another replica has made it at the same moment: now it is there.
        Err(error) if is_duplicate(&error) => marks.update_one(this, change).await,
        put => put,
    }
    .map_err(failure)?;
    Ok(())
}
