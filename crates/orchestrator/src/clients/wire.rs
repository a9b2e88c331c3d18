//! Messages of `portal/news/v1` to values and back.

use std::str::FromStr;

use kernel::{ArticleId, Expected, Timestamp, Version};
use proto::news::v1 as wire;

use crate::domain::{
    Article, Change, Correction, Fields, Filter, Order, Part, Patch, Picked, Position, SectionList,
    SectionPositions, Start, State,
};
use crate::ports::Done;

/// What is wrong with an answer. It names the field, never what stands in it.
pub(super) type Wrong = String;

/// The article of an answer that must hold one.
pub(super) fn article_of(reply: wire::ArticleReply) -> Result<Article, Wrong> {
    article(reply.article.ok_or("there is no article")?)
}

/// What came of a command on an article.
pub(super) fn done(reply: wire::ArticleReply) -> Result<Done<Article>, Wrong> {
    let replayed = reply.replayed;
    Ok(Done { value: article_of(reply)?, replayed })
}

pub(super) fn articles_of(reply: wire::ListArticlesReply) -> Result<SectionList, Wrong> {
    let articles = reply.articles.into_iter().map(article).collect::<Result<_, _>>()?;
    Ok(SectionList { articles, total: reply.total })
}

pub(super) fn picked_of(reply: wire::ListArticlesReply) -> Result<Picked, Wrong> {
    let articles = reply.articles.into_iter().map(article).collect::<Result<_, _>>()?;
    Ok(Picked { articles, cut: reply.cut })
}

pub(super) fn sizes_of(reply: wire::ListArticlesReply) -> Result<Vec<(ArticleId, u64)>, Wrong> {
    reply.sizes.into_iter().map(|size| Ok((parse("id", &size.id)?, size.bytes))).collect()
}

pub(super) fn positions_of(reply: wire::ListArticlesReply) -> Result<SectionPositions, Wrong> {
    let position = |key: wire::ListPosition| -> Result<Position, Wrong> {
        Ok(Position { at: Timestamp::from_millis(key.at_ms), id: parse("id", &key.id)? })
    };
    let positions = reply.keys.into_iter().map(position).collect::<Result<_, _>>()?;
    Ok(SectionPositions { positions, total: reply.total })
}

/// The part as a request for articles without their texts.
pub(super) fn part(part: &Part) -> wire::ListArticlesRequest {
    let Filter { label, author, author_id, from, to, states: wanted } = part.filter.clone();
    let order = match part.order {
        Order::Newest => wire::ListOrder::Newest,
        Order::Oldest => wire::ListOrder::Oldest,
        Order::Updated => wire::ListOrder::Updated,
    };
    let mut request = wire::ListArticlesRequest {
        limit: part.limit,
        label,
        author,
        author_id: author_id.map(|id| id.to_string()),
        from_ms: from.map(Timestamp::millis),
        to_ms: to.map(Timestamp::millis),
        order: order.into(),
        states: states(&wanted),
        ..wire::ListArticlesRequest::default()
    };
    let position =
        |place: Position| wire::ListPosition { at_ms: place.at.millis(), id: place.id.to_string() };
    match part.start {
        Start::Offset(offset) => request.offset = offset,
        Start::After(place) => request.after = Some(position(place)),
        Start::Before(place) => request.before = Some(position(place)),
    }
    request
}

pub(super) fn states(states: &[State]) -> Vec<String> {
    states.iter().map(|state| state.as_str().to_owned()).collect()
}

fn article(from: wire::Article) -> Result<Article, Wrong> {
    let author_id = parse("author_id", &from.author_id)?;
    // A section of an older program does not say whose name it is: then it goes with the author.
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
        published_at: from.published_at_ms.map(Timestamp::from_millis),
        corrections: from.corrections.into_iter().map(correction).collect(),
    })
}

fn correction(from: wire::Correction) -> Correction {
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

pub(super) fn expected(expected: &Expected) -> wire::Expected {
    match expected {
        Expected::Any => wire::Expected { any: true, versions: Vec::new() },
        Expected::OneOf(versions) => {
            wire::Expected { any: false, versions: versions.iter().map(|version| version.number()).collect() }
        }
    }
}

pub(super) fn fields(fields: Fields) -> wire::ArticleFields {
    wire::ArticleFields {
        title: fields.title,
        content: fields.content,
        tags: fields.tags,
        author: fields.author,
        description: fields.description,
        lang: fields.lang,
        image: fields.image,
        region: fields.region,
    }
}

pub(super) fn change(change: Change) -> wire::revise_article_request::Change {
    use wire::revise_article_request::Change as To;
    match change {
        Change::Full(all) => To::Full(fields(all)),
        Change::Some(patch) => To::Patch(some(patch)),
    }
}

fn some(patch: Patch) -> wire::ArticlePatch {
    wire::ArticlePatch {
        title: patch.title,
        content: patch.content,
        tags: patch.tags.map(|tags| wire::Tags { tags }),
        author: patch.author,
        description: patch.description,
        lang: patch.lang,
        image: patch.image,
        region: patch.region,
    }
}
