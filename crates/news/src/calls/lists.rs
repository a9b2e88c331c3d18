//! Parts of lists as messages, and back.

use bytes::Bytes;
use kernel::{ArticleId, FieldFault, Kind, Refusal, Timestamp};
use prost::Message;
use proto::news::v1 as messages;

use super::unreadable;
use crate::app::Texts;
use crate::codec::encode;
use crate::domain::{Article, Filter, Order, Part, Position, Start, State};
use crate::ports::{Listing, Positions, Sizes};

/// Reads the part that a request asks for.
pub(super) fn part(request: messages::ListArticlesRequest) -> Result<Part, Refusal> {
    let order = match request.order() {
        messages::ListOrder::Newest => Order::Newest,
        messages::ListOrder::Oldest => Order::Oldest,
        messages::ListOrder::Updated => Order::Updated,
        messages::ListOrder::Waiting => Order::Waiting,
    };
    let start = match (request.after, request.before) {
        (None, None) => Start::Offset(request.offset),
        (Some(after), None) => Start::After(position(&after)?),
        (None, Some(before)) => Start::Before(position(&before)?),
        (Some(_), Some(_)) => return Err(unreadable("it has both `after` and `before`")),
    };
    let author = request.author_id.as_deref().map(str::parse).transpose();
    let filter = Filter {
        label: request.label,
        byline: request.author,
        author: author.map_err(|_| unreadable("its `author_id` is not an id"))?,
        from: request.from_ms.map(Timestamp::from_millis),
        to: request.to_ms.map(Timestamp::from_millis),
        states: states(&request.states)?,
        ..Filter::default()
    };
    Ok(Part { filter, order, start, limit: request.limit })
}

/// Reads the names of states. An unknown name is refused: that helps more than an empty list.
pub(super) fn states(names: &[String]) -> Result<Vec<State>, Refusal> {
    names.iter().map(|name| name.parse()).collect::<Result<_, _>>().map_err(|_| {
        let known: Vec<&str> = State::ALL.into_iter().map(State::as_str).collect();
        let fault = FieldFault::new("/state", "unknown_name", format!("must be one of {}", known.join(", ")));
        Refusal::new(Kind::Invalid, "invalid", "A state is unknown; see errors.").with_fields(vec![fault])
    })
}

fn position(from: &messages::ListPosition) -> Result<Position, Refusal> {
    let id: ArticleId = from.id.parse().map_err(|_| unreadable("its position has no id"))?;
    Ok(Position { at: Timestamp::from_millis(from.at_ms), id })
}

/// Encodes a part of a list, without texts.
pub(super) fn encode_list(listing: &Listing) -> Bytes {
    let articles = listing.articles.iter().map(|article| encode(article, false)).collect();
    reply(messages::ListArticlesReply { articles, total: listing.total, ..Default::default() })
}

/// Encodes articles that the request names, without texts.
pub(super) fn encode_picked(articles: &[Article]) -> Bytes {
    let articles = articles.iter().map(|article| encode(article, false)).collect();
    reply(messages::ListArticlesReply { articles, ..Default::default() })
}

/// Encodes articles with their texts.
pub(super) fn encode_texts(texts: &Texts, total: u64) -> Bytes {
    let articles = texts.articles.iter().map(|article| encode(article, true)).collect();
    reply(messages::ListArticlesReply { articles, total, cut: texts.cut, ..Default::default() })
}

/// Encodes the sizes of texts.
pub(super) fn encode_sizes(sizes: &Sizes) -> Bytes {
    let size = |(id, bytes): (&ArticleId, &u64)| messages::TextSize { id: id.to_string(), bytes: *bytes };
    reply(messages::ListArticlesReply { sizes: sizes.iter().map(size).collect(), ..Default::default() })
}

fn reply(reply: messages::ListArticlesReply) -> Bytes {
    reply.encode_to_vec().into()
}

/// Encodes the positions of a part of a list.
pub(super) fn encode_positions(positions: &Positions) -> Bytes {
    let key =
        |place: &Position| messages::ListPosition { at_ms: place.at.millis(), id: place.id.to_string() };
    let keys = positions.positions.iter().map(key).collect();
    reply(messages::ListArticlesReply { total: positions.total, keys, ..Default::default() })
}
