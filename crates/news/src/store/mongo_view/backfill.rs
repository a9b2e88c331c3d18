//! The update of documents that an older program has written.

use chassis::StoreFailure;
use futures::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use serde::Deserialize;

use super::document::{broken, listed, matched, size, waiting};
use super::failure::failure;
use super::generations::view_names;
use super::marks;
use crate::store::record::{BylineColumns, read_document};

/// The form of the articles in a view. Form 2 added the members by which lists filter, form 3 the size of the
/// text. Form 4 compares labels and bylines by their keys, and names the account whose name a byline is. Form
/// 5 added the members by which lists of work filter and sort.
const FORM: i64 = 5;

#[derive(Deserialize)]
struct OldArticle {
    #[serde(rename = "_id")]
    id: String,
    version: i64,
    author: String,
    byline: String,
    document: String,
    content: String,
}

/// An article without the members of form 5.
#[derive(Deserialize)]
struct ArticleWithoutWait {
    #[serde(rename = "_id")]
    id: String,
    version: i64,
    document: String,
}

/// Adds the members that articles of an older form lack, from their own documents, once for each database. If
/// it is interrupted, the next start does the rest. (A replica of an older program that still runs continues
/// to write the old form: after an update from such a program, run `portal replay`.)
pub(super) async fn run(database: &Database) -> Result<(), StoreFailure> {
    let is_done = marks::collection::<Document>(database)
        .find_one(doc! { "_id": "form", "form": FORM })
        .await
        .map_err(failure)?;
    if is_done.is_some() {
        return Ok(());
    }
    for name in view_names(database).await? {
        add_keys(database, &name).await?;
        add_waits(database, &name).await?;
    }
    marks::upsert(database, "form", doc! { "$set": { "form": FORM } }).await
}

/// Adds the members of the forms 2 to 4 to the articles of one view.
async fn add_keys(database: &Database, name: &str) -> Result<(), StoreFailure> {
    let view = database.collection::<OldArticle>(name);
    let lacking = doc! { "byline_of": { "$exists": false } };
    let columns = doc! { "version": 1, "author": 1, "byline": 1, "document": 1, "content": 1 };
    let mut old = view.find(lacking).projection(columns).await.map_err(failure)?;
    while let Some(old) = old.try_next().await.map_err(failure)? {
        let article =
            read_document(&old.document, String::new(), BylineColumns::default()).map_err(broken)?;
        // A newer version that came meanwhile has all members, and an erasure has removed its byline.
        let same = doc! { "_id": old.id, "version": old.version, "byline": &old.byline };
        let mut missing = listed(&article);
        missing.extend(matched(&old.byline));
        missing.insert("byline_of", old.author);
        missing.insert("content_bytes", size(&old.content));
        view.update_one(same, doc! { "$set": missing }).await.map_err(failure)?;
    }
    Ok(())
}

/// Adds the members of form 5 to the articles of one view.
async fn add_waits(database: &Database, name: &str) -> Result<(), StoreFailure> {
    let view = database.collection::<ArticleWithoutWait>(name);
    let lacking = doc! { "state_since": { "$exists": false } };
    let columns = doc! { "version": 1, "document": 1 };
    let mut old = view.find(lacking).projection(columns).await.map_err(failure)?;
    while let Some(old) = old.try_next().await.map_err(failure)? {
        let article =
            read_document(&old.document, String::new(), BylineColumns::default()).map_err(broken)?;
        // A newer version that came meanwhile has all members.
        let same = doc! { "_id": old.id, "version": old.version };
        view.update_one(same, doc! { "$set": waiting(&article) }).await.map_err(failure)?;
    }
    Ok(())
}
