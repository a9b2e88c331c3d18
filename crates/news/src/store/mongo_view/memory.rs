use std::hash::Hash;
use std::sync::Arc;

use chassis::StoreFailure;
use moka::sync::Cache;
use mongodb::Database;
use mongodb::bson::{Document, doc};

use super::failure::failure;
use super::marks;
use crate::domain::{Article, Filter, Part, Position};
use crate::ports::{Listing, Positions};

/// How many bytes of lists a replica remembers, and how many of places, about.
const BYTES: u64 = 8 * 1024 * 1024;
/// How many bytes of totals.
const TOTALS: u64 = 1024 * 1024;
/// What an entry takes besides its texts, about.
const ENTRY: usize = 512;
/// What an article of a list takes besides its texts, about.
const ARTICLE: usize = 512;

/// What was last answered, each with the mark that the view had *before* the question: it holds until any replica changes
/// anything, which sets another mark. So a total of a million articles is counted once for each change and not once for each
/// reader, and a list that nobody changed is not read again.
pub(super) struct Memory {
    totals: Cache<(i64, Filter), (Mark, u64)>,
    lists: Cache<(i64, Part), (Mark, Arc<Listing>)>,
    positions: Cache<(i64, Part), (Mark, Arc<Positions>)>,
}

/// A text that no two changes share; empty while nothing has ever changed. Not a counter: two replicas that count at the same moment
/// could both make it the same number.
pub(super) type Mark = String;

impl Memory {
    pub fn new() -> Self {
        // Keys count too: labels and bylines are what clients send.
        let weigh = |(_, filter): &(i64, Filter), _: &(Mark, u64)| {
            (ENTRY + filter.bytes()).try_into().unwrap_or(u32::MAX)
        };
        let totals = Cache::builder().max_capacity(TOTALS).weigher(weigh).build();
        let weigh = |(_, part): &(i64, Part), (_, listing): &(Mark, Arc<Listing>)| {
            let bytes = |article: &Article| {
                ARTICLE
                    + article.story.title.len()
                    + article.story.description.as_ref().map_or(0, String::len)
            };
            let articles: usize = listing.articles.iter().map(bytes).sum();
            (ENTRY + part.filter.bytes() + articles).try_into().unwrap_or(u32::MAX)
        };
        let lists = Cache::builder().max_capacity(BYTES).weigher(weigh).build();
        let weigh = |(_, part): &(i64, Part), (_, found): &(Mark, Arc<Positions>)| {
            let positions = found.positions.len() * size_of::<Position>();
            (ENTRY + part.filter.bytes() + positions).try_into().unwrap_or(u32::MAX)
        };
        let positions = Cache::builder().max_capacity(BYTES).weigher(weigh).build();
        Self { totals, lists, positions }
    }

    pub fn total(&self, view: i64, filter: &Filter, mark: &Mark) -> Option<u64> {
        known(&self.totals, &(view, filter.clone()), mark)
    }

    pub fn keep_total(&self, view: i64, filter: &Filter, mark: &Mark, total: u64) {
        self.totals.insert((view, filter.clone()), (mark.clone(), total));
    }

    pub fn list(&self, view: i64, part: &Part, mark: &Mark) -> Option<Listing> {
        known(&self.lists, &(view, part.clone()), mark).map(|listing| (*listing).clone())
    }

    pub fn positions(&self, view: i64, part: &Part, mark: &Mark) -> Option<Positions> {
        known(&self.positions, &(view, part.clone()), mark).map(|found| (*found).clone())
    }

    pub fn keep_positions(&self, view: i64, part: &Part, mark: &Mark, found: &Positions) {
        self.positions.insert((view, part.clone()), (mark.clone(), Arc::new(found.clone())));
    }

    pub fn keep_list(&self, view: i64, part: &Part, mark: &Mark, listing: &Listing) {
        self.lists.insert((view, part.clone()), (mark.clone(), Arc::new(listing.clone())));
    }
}

fn known<K, V>(cache: &Cache<K, (Mark, V)>, key: &K, mark: &Mark) -> Option<V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    cache.get(key).filter(|(then, _)| then == mark).map(|(_, value)| value)
}

/// The mark of the last change.
pub(super) async fn mark(database: &Database) -> Result<Mark, StoreFailure> {
    let found = marks::of::<Document>(database).find_one(doc! { "_id": "changes" }).await.map_err(failure)?;
    Ok(found.and_then(|mark| mark.get_str("mark").ok().map(str::to_owned)).unwrap_or_default())
}

/// Says that something has changed. Called after the change: who reads the new mark reads the new articles.
pub(super) async fn changed(database: &Database) -> Result<(), StoreFailure> {
    let mark = doc! { "$set": { "mark": uuid::Uuid::new_v4().to_string() } };
    marks::put(database, "changes", mark).await
}
