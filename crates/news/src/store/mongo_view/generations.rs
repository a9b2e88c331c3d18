//! The generations of a view: the one that readers see, the one before it, and the one that is being built.

use std::time::{Duration, Instant};

use chassis::StoreFailure;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};
use serde::Deserialize;

use super::failure::failure;
use super::marks;

/// The indexes of a view, as `db/news/mongo` describes them.
const INDEXES: &str = include_str!("../../../../../db/news/mongo/articles.json");
/// The prefix of the names of view collections.
const VIEWS: &str = "articles_";
/// The time for which readers may use the view that they know. A view that was replaced stays until the next
/// rebuild.
const FRESH: Duration = Duration::from_secs(1);

/// The numbers of the views. A number is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Generations {
    /// The view that readers see.
    pub live: i64,
    /// The view before it: a reader may still be reading it.
    pub previous: Option<i64>,
    /// The view that is being built.
    pub building: Option<i64>,
    /// The highest number that was used.
    pub last: i64,
}

impl Generations {
    /// Reads the numbers from the document that contains them.
    pub async fn read(database: &Database) -> Result<Self, StoreFailure> {
        let generations = marks::collection::<Self>(database).find_one(doc! { "_id": "view" }).await;
        generations
            .map_err(failure)?
            .ok_or_else(|| StoreFailure::broken("the document with the numbers of the views is missing"))
    }

    /// Creates the first view, if there is none.
    pub async fn create_first(database: &Database) -> Result<(), StoreFailure> {
        let first = doc! { "$setOnInsert": { "live": 1_i64, "last": 1_i64 } };
        marks::upsert(database, "view", first).await?;
        create_view(database, Self::read(database).await?.live).await
    }

    /// Begins a new view beside the live one, and drops all views that no reader can be reading. Returns its
    /// number.
    pub async fn begin(database: &Database) -> Result<i64, StoreFailure> {
        let now = Self::read(database).await?;
        let next = now.last + 1;
        create_view(database, next).await?;
        let begun = doc! { "$set": { "last": next, "building": next } };
        Self::advance(database, doc! { "_id": "view", "last": now.last }, begun).await?;
        let kept = [Some(now.live), now.previous, Some(next)].map(|number| number.map(view_name));
        for other in view_names(database).await? {
            if !kept.iter().flatten().any(|kept| *kept == other) {
                database.collection::<Document>(&other).drop().await.map_err(failure)?;
            }
        }
        Ok(next)
    }

    /// Makes the view with this number the live one, if it is still the one that is being built.
    pub async fn finish(database: &Database, number: i64) -> Result<(), StoreFailure> {
        let now = Self::read(database).await?;
        let finished =
            doc! { "$set": { "live": number, "previous": now.live }, "$unset": { "building": "" } };
        Self::advance(database, doc! { "_id": "view", "live": now.live, "building": number }, finished).await
    }

    async fn advance(database: &Database, from: Document, change: Document) -> Result<(), StoreFailure> {
        let changed =
            marks::collection::<Document>(database).update_one(from, change).await.map_err(failure)?;
        if changed.matched_count == 0 {
            return Err(StoreFailure::broken("another rebuild of this view was begun meanwhile"));
        }
        Ok(())
    }
}

/// Returns the name of the collection of a view.
pub(super) fn view_name(number: i64) -> String {
    format!("{VIEWS}{number}")
}

/// Returns the names of the collections of all views.
pub(super) async fn view_names(database: &Database) -> Result<Vec<String>, StoreFailure> {
    let names = database.list_collection_names().await.map_err(failure)?;
    Ok(names.into_iter().filter(|name| name.starts_with(VIEWS)).collect())
}

async fn create_view(database: &Database, number: i64) -> Result<(), StoreFailure> {
    #[derive(Deserialize)]
    struct Index {
        name: String,
        key: Document,
    }
    let indexes: Vec<Index> = serde_json::from_str(INDEXES)?;
    let models = indexes.into_iter().map(|index| {
        let options = IndexOptions::builder().name(index.name).build();
        IndexModel::builder().keys(index.key).options(options).build()
    });
    let view = database.collection::<Document>(&view_name(number));
    // One by one: FerretDB 1.24 closes the connection if one command names two indexes that exist already.
    for model in models {
        view.create_index(model).await.map_err(failure)?;
    }
    Ok(())
}

/// The numbers that were read last, for as long as they may be used.
#[derive(Debug, Default)]
pub(super) struct RecentGenerations(std::sync::Mutex<Option<(Generations, Instant)>>);

impl RecentGenerations {
    /// Returns the live view, if the numbers were read a moment ago.
    pub fn live(&self) -> Option<i64> {
        let recent = *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        recent.filter(|(_, at)| at.elapsed() < FRESH).map(|(generations, _)| generations.live)
    }

    /// Keeps numbers that were just read.
    pub fn keep(&self, generations: Generations) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Some((generations, Instant::now()));
    }
}
