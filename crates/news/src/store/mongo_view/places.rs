use std::time::{Duration, Instant};

use chassis::StoreFailure;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};
use serde::Deserialize;

use super::failure::failure;
use super::marks;

/// The indexes of a view, as the database's own folder describes them.
const INDEXES: &str = include_str!("../../../../../db/news/mongo/articles.json");
/// How the collections of views begin.
const VIEWS: &str = "articles_";
/// How long readers may go on with the view that they know. A view that was replaced stays until another is built.
const FRESH: Duration = Duration::from_secs(1);

/// Which view is where. Views are numbered; a number is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Places {
    /// What readers see.
    pub live: i64,
    /// What they saw before: somebody may still be reading it.
    pub previous: Option<i64>,
    /// What is being built.
    pub building: Option<i64>,
    /// The highest number so far.
    pub last: i64,
}

impl Places {
    /// Which view is where at this moment, by the one document that says so.
    pub async fn read(database: &Database) -> Result<Self, StoreFailure> {
        let places = marks::of::<Self>(database).find_one(doc! { "_id": "view" }).await;
        places.map_err(failure)?.ok_or_else(|| StoreFailure::broken("the view's mark is not there"))
    }

    /// Makes the first view, where there is none.
    pub async fn make(database: &Database) -> Result<(), StoreFailure> {
        let first = doc! { "$setOnInsert": { "live": 1_i64, "last": 1_i64 } };
        marks::put(database, "view", first).await?;
        make_view(database, Self::read(database).await?.live).await
    }

    /// Begins another view beside the live one, and forgets all that nobody can be reading. Returns its number.
    pub async fn begin(database: &Database) -> Result<i64, StoreFailure> {
        let now = Self::read(database).await?;
        let next = now.last + 1;
        make_view(database, next).await?;
        let begun = doc! { "$set": { "last": next, "building": next } };
        Self::step(database, doc! { "_id": "view", "last": now.last }, begun).await?;
        let kept = [Some(now.live), now.previous, Some(next)].map(|number| number.map(name));
        for other in views(database).await? {
            if !kept.iter().flatten().any(|kept| *kept == other) {
                database.collection::<Document>(&other).drop().await.map_err(failure)?;
            }
        }
        Ok(next)
    }

    /// Lets readers see the view with this number, if it is still the one that is being built.
    pub async fn finish(database: &Database, number: i64) -> Result<(), StoreFailure> {
        let now = Self::read(database).await?;
        let finished =
            doc! { "$set": { "live": number, "previous": now.live }, "$unset": { "building": "" } };
        Self::step(database, doc! { "_id": "view", "live": now.live, "building": number }, finished).await
    }

    async fn step(database: &Database, from: Document, change: Document) -> Result<(), StoreFailure> {
        let step = marks::of::<Document>(database).update_one(from, change).await.map_err(failure)?;
        if step.matched_count == 0 {
            return Err(StoreFailure::broken("another rebuild of this view was begun meanwhile"));
        }
        Ok(())
    }
}

/// The name of the collection of a view.
pub(super) fn name(number: i64) -> String {
    format!("{VIEWS}{number}")
}

/// The names of the collections of all views that are there.
pub(super) async fn views(database: &Database) -> Result<Vec<String>, StoreFailure> {
    let names = database.list_collection_names().await.map_err(failure)?;
    Ok(names.into_iter().filter(|name| name.starts_with(VIEWS)).collect())
}

async fn make_view(database: &Database, number: i64) -> Result<(), StoreFailure> {
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
    let view = database.collection::<Document>(&name(number));
    // One by one: FerretDB 1.24 breaks the connection off where one command names two that are there already.
    for model in models {
        view.create_index(model).await.map_err(failure)?;
    }
    Ok(())
}

/// What was read last, for as long as it may be used.
#[derive(Debug, Default)]
pub(super) struct Known(std::sync::Mutex<Option<(Places, Instant)>>);

impl Known {
    /// The live view, if that was asked a moment ago.
    pub fn live(&self) -> Option<i64> {
        let known = *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.filter(|(_, at)| at.elapsed() < FRESH).map(|(places, _)| places.live)
    }

    /// Keeps what was just read.
    pub fn keep(&self, places: Places) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((places, Instant::now()));
    }
}
