use kernel::{ArticleId, Timestamp};
use mongodb::bson::{DateTime, Document, doc};
use serde::Deserialize;

use super::document::key;
use crate::domain::{Filter, Order, Part, Position, Start};

/// The filter as the server knows it. A single state is asked for as such: FerretDB hands only "is equal to" on to its own database.
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
    if let Some(author) = filter.author {
        passing.insert("author", key(author.uuid()));
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

/// The filter, and from where on.
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

pub(super) fn sorted(part: &Part) -> Document {
    let direction = if part.descends() { -1 } else { 1 };
    doc! { column(part.order): direction, "_id": direction }
}

pub(super) fn column(order: Order) -> &'static str {
    match order {
        Order::Newest | Order::Oldest => "placed_at",
        Order::Updated => "updated_at",
    }
}

pub(super) fn moment(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.millis())
}

/// What is read where only the places are wanted.
#[derive(Deserialize)]
pub(super) struct Place {
    #[serde(rename = "_id")]
    id: Id,
    #[serde(alias = "updated_at")]
    placed_at: DateTime,
}

impl Place {
    pub fn position(self) -> Position {
        Position { at: Timestamp::from_millis(self.placed_at.timestamp_millis()), id: self.id.0 }
    }
}

/// An id, which stands in the view as text.
#[derive(Debug)]
pub(super) struct Id(pub ArticleId);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| serde::de::Error::custom("the id is not a UUID"))
    }
}
