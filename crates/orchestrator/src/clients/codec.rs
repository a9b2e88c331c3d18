//! Values of this service as messages of `portal/news/v1`, and back.

use std::str::FromStr;

use kernel::{ArticleId, Expected, Timestamp, Version};
use proto::news::v1 as messages;

use crate::domain::{
    Article, ArticleBatch, Correction, DeskGroup, Filter, ListSlice, Order, Position, Retraction,
    SectionDesk, SectionList, SectionPositions, Start, State, StateCount,
};
use crate::ports::Done;

/// The fault of an answer. It names the field, never its value.
pub(super) type Wrong = String;

/// Returns the article of a reply, which must contain one.
pub(super) fn article_of(reply: messages::ArticleReply) -> Result<Article, Wrong> {
    article(reply.article.ok_or("there is no article")?)
}

pub(super) fn done(reply: messages::CommandReply) -> Result<Done, Wrong> {
    let article = article(reply.article.ok_or("there is no article")?)?;
    Ok(Done { article, replayed: reply.replayed })
}

pub(super) fn articles_of(reply: messages::ListArticlesReply) -> Result<SectionList, Wrong> {
    let articles = reply.articles.into_iter().map(article).collect::<Result<_, _>>()?;
    Ok(SectionList { articles, total: reply.total })
}

pub(super) fn picked_of(reply: messages::ListArticlesReply) -> Result<ArticleBatch, Wrong> {
    let articles = reply.articles.into_iter().map(article).collect::<Result<_, _>>()?;
    Ok(ArticleBatch { articles, truncated: reply.cut })
}

pub(super) fn sizes_of(reply: messages::ListArticlesReply) -> Result<Vec<(ArticleId, u64)>, Wrong> {
    reply.sizes.into_iter().map(|size| Ok((parse("id", &size.id)?, size.bytes))).collect()
}

pub(super) fn positions_of(reply: messages::ListArticlesReply) -> Result<SectionPositions, Wrong> {
    let position = |key: messages::ListPosition| -> Result<Position, Wrong> {
        Ok(Position { at: Timestamp::from_millis(key.at_ms), id: parse("id", &key.id)? })
    };
    let positions = reply.keys.into_iter().map(position).collect::<Result<_, _>>()?;
    Ok(SectionPositions { positions, total: reply.total })
}

pub(super) fn desk_of(reply: messages::GetDeskReply) -> Result<SectionDesk, Wrong> {
    let count =
        |count: messages::StateCount| StateCount { state: State::new(count.state), articles: count.articles };
    Ok(SectionDesk {
        counts: reply.counts.into_iter().map(count).collect(),
        to_review: group(reply.to_review)?,
        returned: group(reply.returned)?,
        scheduled: group(reply.scheduled)?,
    })
}

fn group(group: Option<messages::DeskGroup>) -> Result<DeskGroup, Wrong> {
    let messages::DeskGroup { articles, total } = group.ok_or("a group is missing")?;
    Ok(DeskGroup { articles: articles.into_iter().map(article).collect::<Result<_, _>>()?, total })
}

/// Returns the slice as a request for articles without their texts.
pub(super) fn slice(slice: &ListSlice) -> messages::ListArticlesRequest {
    let Filter { label, author, author_id, from, to, states: wanted } = slice.filter.clone();
    let order = match slice.order {
        Order::Newest => messages::ListOrder::Newest,
        Order::Oldest => messages::ListOrder::Oldest,
        Order::Updated => messages::ListOrder::Updated,
        Order::Waiting => messages::ListOrder::Waiting,
    };
    let mut request = messages::ListArticlesRequest {
        limit: slice.limit,
        label,
        author,
        author_id: author_id.map(|id| id.to_string()),
        from_ms: from.map(Timestamp::millis),
        to_ms: to.map(Timestamp::millis),
        order: order.into(),
        states: states(&wanted),
        ..messages::ListArticlesRequest::default()
    };
    let position =
        |place: Position| messages::ListPosition { at_ms: place.at.millis(), id: place.id.to_string() };
    match slice.start {
        Start::Offset(offset) => request.offset = offset,
        Start::After(place) => request.after = Some(position(place)),
        Start::Before(place) => request.before = Some(position(place)),
    }
    request
}

pub(super) fn states(states: &[State]) -> Vec<String> {
    states.iter().map(|state| state.as_str().to_owned()).collect()
}

fn article(from: messages::Article) -> Result<Article, Wrong> {
    let author_id = parse("author_id", &from.author_id)?;
    // A section of an older program does not say whose name the byline is: then it is the author's.
    let byline_of = match from.byline_of.as_deref() {
        None => Some(author_id),
        Some("") => None,
        Some(owner) => Some(parse("byline_of", owner)?),
    };
    Ok(Article {
        id: parse("id", &from.id)?,
        section: parse("section", &from.section)?,
        version: Version::new(from.version),
        state: State::new(from.state),
        slug: from.slug,
        title: from.title,
        description: from.description,
        content: from.content,
        author: from.author,
        author_id,
        byline_of,
        tags: from.tags,
        lang: from.lang,
        image: from.image,
        region: from.region,
        created_at: Timestamp::from_millis(from.created_at_ms),
        updated_at: Timestamp::from_millis(from.updated_at_ms),
        revised_at: Timestamp::from_millis(from.revised_at_ms.unwrap_or(from.updated_at_ms)),
        published_at: from.published_at_ms.map(Timestamp::from_millis),
        corrections: from.corrections.into_iter().map(correction).collect(),
        state_since: Timestamp::from_millis(from.state_since_ms.unwrap_or(from.updated_at_ms)),
        scheduled_at: from.scheduled_at_ms.map(Timestamp::from_millis),
        retraction: from.retraction.map(retraction),
        review_note: from.review_note,
    })
}

pub(super) fn retraction(from: messages::Retraction) -> Retraction {
    Retraction { reason: from.reason, at: Timestamp::from_millis(from.at_ms) }
}

pub(super) fn correction(from: messages::Correction) -> Correction {
    Correction {
        kind: from.kind,
        text: from.text,
        at: Timestamp::from_millis(from.at_ms),
        version: Version::new(from.version),
    }
}

pub(super) fn parse<T: FromStr>(field: &str, text: &str) -> Result<T, Wrong> {
    text.parse().map_err(|_| format!("its article's {field} cannot be read"))
}

pub(super) fn expected(expected: &Expected) -> messages::Expected {
    match expected {
        Expected::Any => messages::Expected { any: true, versions: Vec::new() },
        Expected::OneOf(versions) => messages::Expected {
            any: false,
            versions: versions.iter().map(|version| version.number()).collect(),
        },
    }
}
