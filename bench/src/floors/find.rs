//! The MongoDB driver alone: `find_one` by the key, on the document that the section reads.

use anyhow::{Context, Result};
use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection};

use super::{Done, Drive};

/// Finds it again and again.
pub async fn drive(url: &str, id: &str, drive: Drive) -> Result<Done> {
    let client = Client::with_uri_str(url).await.context("the URL of the database")?;
    let database = client.default_database().context("the URL names a database")?;
    // The view that readers see is named by a mark.
    let mark = database.collection::<Document>("marks").find_one(doc! { "_id": "view" }).await?;
    let live = mark.context("the view's mark")?.get_i64("live").context("the live view")?;
    let articles: Collection<Document> = database.collection(&format!("articles_{live}"));
    let key = id.to_owned();
    let once = move || {
        let (articles, key) = (articles.clone(), key.clone());
        async move {
            let found = articles.find_one(doc! { "_id": key }).await.context("a find")?;
            found.map(drop).context("the article is not there")
        }
    };
    drive.counted(once).await
}
