//! Parts of lists as messages and back.

use bytes::Bytes;
use kernel::{ArticleId, FieldFault, Kind, Refusal, Timestamp};
use prost::Message;
use proto::news::v1 as wire;

use super::unreadable;
use crate::domain::{Article, Filter, Order, Part, Position, Start, State};
use crate::ports::{Listing, Positions};
use crate::wire::encode;

/// The part that is asked for.
pub(super) fn part(request: wire::ListArticlesRequest) -> Result<Part, Refusal> {
    let order = match request.order() {
        wire::ListOrder::Newest => Order::Newest,
        wire::ListOrder::Oldest => Order::Oldest,
        wire::ListOrder::Updated => Order::Updated,
    };
    let start = match (request.after, request.before) {
        (None, None) => Start::Offset(request.offset),
        (Some(after), None) => Start::After(position(&after)?),
        (None, Some(before)) => Start::Before(position(&before)?),
        (Some(_), Some(_)) => return Err(unreadable("it wants what comes after a place and before one")),
    };
    let author = request.author_id.as_deref().map(str::parse).transpose();
    let filter = Filter {
        label: request.label,
        byline: request.author,
        author: author.map_err(|_| unreadable("its author_id is none"))?,
        from: request.from_ms.map(Timestamp::from_millis),
        to: request.to_ms.map(Timestamp::from_millis),
        states: states(&request.states)?,
    };
    Ok(Part { filter, order, start, limit: request.limit })
}

/// The states that are named. One that this section does not have holds nothing; saying so helps more than an empty list.
pub(super) fn states(names: &[String]) -> Result<Vec<State>, Refusal> {
    names.iter().map(|name| name.parse()).collect::<Result<_, _>>().map_err(|_| {
        let known: Vec<&str> = State::ALL.into_iter().map(State::as_str).collect();
        let fault = FieldFault::new("/state", "unknown_name", format!("the states are {}", known.join(", ")));
        Refusal::new(Kind::Invalid, "invalid", "There is no such state.").with_fields(vec![fault])
    })
}

fn position(from: &wire::ListPosition) -> Result<Position, Refusal> {
    let id: ArticleId = from.id.parse().map_err(|_| unreadable("its place has no id"))?;
    Ok(Position { at: Timestamp::from_millis(from.at_ms), id })
}

/// A part of a list.
pub(super) fn listed(listing: &Listing, with_content: bool) -> Bytes {
    reply(&listing.articles, with_content, listing.total)
}

/// Articles that were named.
pub(super) fn picked(articles: &[Article], with_content: bool) -> Bytes {
    reply(articles, with_content, 0)
}

fn reply(articles: &[Article], with_content: bool, total: u64) -> Bytes {
    let articles = articles.iter().map(|article| encode(article, with_content)).collect();
    wire::ListArticlesReply { articles, total, keys: Vec::new() }.encode_to_vec().into()
}

/// A part of a list as places alone.
pub(super) fn positioned(positions: &Positions) -> Bytes {
    let key = |place: &Position| wire::ListPosition { at_ms: place.at.millis(), id: place.id.to_string() };
    let keys = positions.positions.iter().map(key).collect();
    wire::ListArticlesReply { articles: Vec::new(), total: positions.total, keys }.encode_to_vec().into()
}
