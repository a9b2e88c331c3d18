//! Queries of a view.

use kernel::{ArticleId, Timestamp, UserId};
use mongodb::bson::{DateTime, Document, doc};
use serde::Deserialize;

use super::values::{StoredId, key, moment};
use crate::domain::{Filter, Order, Part, Position, Start};

/// Returns a filter as the server understands it. A single state becomes an equality, because FerretDB passes
/// only equalities on to its own database.
pub(super) fn passing(filter: &Filter) -> Document {
    let mut passing = match filter.states().as_slice() {
        [one] => doc! { "state": one.as_str() },
        many => {
            doc! { "state": { "$in": many.iter().map(|state| state.as_str()).collect::<Vec<_>>() } }
        }
    };
    if let Some(label) = filter.label_key() {
        passing.insert("labels", label);
    }
    if let Some(byline) = filter.byline_key() {
        passing.insert("byline_key", byline.as_ref());
    }
    let is_not = |author: UserId| doc! { "$ne": key(author.uuid()) };
    match (filter.author, filter.except_author) {
        (Some(author), None) => drop(passing.insert("author", key(author.uuid()))),
        (None, Some(other)) => drop(passing.insert("author", is_not(other))),
        (Some(author), Some(other)) => {
            let mut both = is_not(other);
            both.insert("$eq", key(author.uuid()));
            passing.insert("author", both);
        }
        (None, None) => {}
    }
    if filter.returned {
        passing.insert("returned", true);
    }
    let mut published = Document::new();
    if let Some(from) = filter.from {
        published.insert("$gte", moment(from));
    }
    if let Some(to) = filter.to {
        published.insert("$lte", moment(to));
    }
    if !published.is_empty() {
        passing.insert("published_at", published);
    }
    passing
}

/// Returns the filter of a part, with its start.
pub(super) fn wanted(part: &Part) -> Document {
    let mut wanted = passing(&part.filter);
    if let Start::After(place) | Start::Before(place) = part.start {
        let (at, id) = (moment(place.at), key(place.id.uuid()));
        let beyond = if part.descends() { "$lt" } else { "$gt" };
        let column = column(part.order);
        let farther = [doc! { column: { beyond: at } }, doc! { column: at, "_id": { beyond: id } }];
        wanted.insert("$or", farther.to_vec());
    }
    wanted
}

/// Returns the order in which a part is read.
pub(super) fn sorted(part: &Part) -> Document {
    let direction = if part.descends() { -1 } else { 1 };
    doc! { column(part.order): direction, "_id": direction }
}

/// Returns the member by which an order sorts.
pub(super) fn column(order: Order) -> &'static str {
    match order {
        Order::Newest | Order::Oldest => "placed_at",
        Order::Updated => "updated_at",
        Order::Waiting => "state_since",
        Order::Due => "scheduled_at",
    }
}

/// The position of an article.
#[derive(Deserialize)]
pub(super) struct PositionRow {
    #[serde(rename = "_id")]
    id: StoredId,
    #[serde(alias = "updated_at", alias = "state_since", alias = "scheduled_at")]
    placed_at: DateTime,
}

impl PositionRow {
    /// Reads the position.
    pub fn position(self) -> Position {
        Position { at: Timestamp::from_millis(self.placed_at.timestamp_millis()), id: self.id.0 }
    }
}

/// Returns the filter of a request for some articles by their ids.
pub(super) fn by_ids(ids: &[ArticleId], filter: &Filter) -> Document {
    let mut wanted = passing(filter);
    wanted.insert("_id", doc! { "$in": ids.iter().map(|id| key(id.uuid())).collect::<Vec<_>>() });
    wanted
}
