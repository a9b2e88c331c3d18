use chassis::StoreFailure;
use futures::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use serde::Deserialize;

use super::document::{broken, listed, matched, size};
use super::failure::failure;
use super::marks;
use super::places::views;
use crate::store::record::{BylineColumns, read_document};

/// The form of the articles in a view. Since form 2 what lists ask for stands beside the document, since form 3 the size of the text;
/// since form 4 labels and bylines are matched by their keys, and it is said whose name a byline is.
const FORM: i64 = 4;

#[derive(Deserialize)]
struct Old {
    #[serde(rename = "_id")]
    id: String,
    version: i64,
    author: String,
    byline: String,
    document: String,
    content: String,
}

/// Gives articles of an older form what they lack, out of their own documents; once for each database. Whoever is killed in the
/// middle of it does the rest at the next start. (A replica of an older program that still runs beside writes the old form on:
/// after an update from such a one `portal replay` makes all of it anew.)
pub(super) async fn run(database: &Database) -> Result<(), StoreFailure> {
    let done = marks::of::<Document>(database)
        .find_one(doc! { "_id": "form", "form": FORM })
        .await
        .map_err(failure)?;
    if done.is_some() {
        return Ok(());
    }
    for name in views(database).await? {
        let view = database.collection::<Old>(&name);
        let lacking = doc! { "byline_of": { "$exists": false } };
        let columns = doc! { "version": 1, "author": 1, "byline": 1, "document": 1, "content": 1 };
        let mut old = view.find(lacking).projection(columns).await.map_err(failure)?;
        while let Some(old) = old.try_next().await.map_err(failure)? {
            let article =
                read_document(&old.document, String::new(), BylineColumns::default()).map_err(broken)?;
            // A newer version that came meanwhile has everything, and an erasure has blanked its byline.
            let same = doc! { "_id": old.id, "version": old.version, "byline": &old.byline };
            let mut lacked = listed(&article);
            lacked.extend(matched(&old.byline));
            lacked.insert("byline_of", old.author);
            lacked.insert("content_bytes", size(&old.content));
            view.update_one(same, doc! { "$set": lacked }).await.map_err(failure)?;
        }
    }
    marks::put(database, "form", doc! { "$set": { "form": FORM } }).await
}
