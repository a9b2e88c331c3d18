//! The answers of a view that replicas keep until the next change.

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

/// The approximate bytes of lists that a replica keeps, and as many of positions.
const BYTES: u64 = 8 * 1024 * 1024;
/// The approximate bytes of totals that a replica keeps.
const TOTALS: u64 = 1024 * 1024;
/// The approximate bytes of an entry besides its texts.
const ENTRY: usize = 512;
/// The approximate bytes of an article in a list besides its texts.
const ARTICLE: usize = 512;

/// The last answers, each with the change mark that the view had *before* the query. An answer is valid until
/// any replica changes anything, which sets another mark. So a total of a million articles is counted once
/// for each change and not once for each reader, and a list that has not changed is not read again.
pub(super) struct ReadCache {
    totals: Cache<(i64, Filter), (ChangeMark, u64)>,
    lists: Cache<(i64, Part), (ChangeMark, Arc<Listing>)>,
    positions: Cache<(i64, Part), (ChangeMark, Arc<Positions>)>,
}

/// A text that is unique to a change; empty if nothing has ever changed. It is not a counter, because two
/// replicas that count at the same moment could both set the same number.
pub(super) type ChangeMark = String;

impl ReadCache {
    /// Creates an empty cache.
    pub fn new() -> Self {
        // Keys count too: labels and bylines are what clients send.
        let weigh = |(_, filter): &(i64, Filter), _: &(ChangeMark, u64)| {
            (ENTRY + filter.bytes()).try_into().unwrap_or(u32::MAX)
        };
        let totals = Cache::builder().max_capacity(TOTALS).weigher(weigh).build();
        let weigh = |(_, part): &(i64, Part), (_, listing): &(ChangeMark, Arc<Listing>)| {
            let bytes = |article: &Article| {
                ARTICLE
                    + article.story.title.len()
                    + article.story.description.as_ref().map_or(0, String::len)
            };
            let articles: usize = listing.articles.iter().map(bytes).sum();
            (ENTRY + part.filter.bytes() + articles).try_into().unwrap_or(u32::MAX)
        };
        let lists = Cache::builder().max_capacity(BYTES).weigher(weigh).build();
        let weigh = |(_, part): &(i64, Part), (_, found): &(ChangeMark, Arc<Positions>)| {
            let positions = found.positions.len() * size_of::<Position>();
            (ENTRY + part.filter.bytes() + positions).try_into().unwrap_or(u32::MAX)
        };
        let positions = Cache::builder().max_capacity(BYTES).weigher(weigh).build();
        Self { totals, lists, positions }
    }

    pub fn total(&self, view: i64, filter: &Filter, mark: &ChangeMark) -> Option<u64> {
        valid(&self.totals, &(view, filter.clone()), mark)
    }

    pub fn keep_total(&self, view: i64, filter: &Filter, mark: &ChangeMark, total: u64) {
        self.totals.insert((view, filter.clone()), (mark.clone(), total));
    }

    pub fn list(&self, view: i64, part: &Part, mark: &ChangeMark) -> Option<Listing> {
        valid(&self.lists, &(view, part.clone()), mark).map(|listing| (*listing).clone())
    }

    pub fn positions(&self, view: i64, part: &Part, mark: &ChangeMark) -> Option<Positions> {
        valid(&self.positions, &(view, part.clone()), mark).map(|found| (*found).clone())
    }

    pub fn keep_positions(&self, view: i64, part: &Part, mark: &ChangeMark, found: &Positions) {
        self.positions.insert((view, part.clone()), (mark.clone(), Arc::new(found.clone())));
    }

    pub fn keep_list(&self, view: i64, part: &Part, mark: &ChangeMark, listing: &Listing) {
        self.lists.insert((view, part.clone()), (mark.clone(), Arc::new(listing.clone())));
    }
}

fn valid<K, V>(cache: &Cache<K, (ChangeMark, V)>, key: &K, mark: &ChangeMark) -> Option<V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    cache.get(key).filter(|(of, _)| of == mark).map(|(_, value)| value)
}

/// Reads the mark of the last change.
pub(super) async fn change_mark(database: &Database) -> Result<ChangeMark, StoreFailure> {
    let found =
        marks::collection::<Document>(database).find_one(doc! { "_id": "changes" }).await.map_err(failure)?;
    Ok(found.and_then(|mark| mark.get_str("mark").ok().map(str::to_owned)).unwrap_or_default())
}

/// Sets a new mark after a change. So a reader of the new mark reads the new articles.
pub(super) async fn set_change_mark(database: &Database) -> Result<(), StoreFailure> {
    let mark = doc! { "$set": { "mark": uuid::Uuid::new_v4().to_string() } };
    marks::upsert(database, "changes", mark).await
}
