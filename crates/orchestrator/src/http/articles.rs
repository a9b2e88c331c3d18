use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chassis::http::{Caller, Path, Problem, Query, etag_matches};
use http::{HeaderMap, Method};
use kernel::{ArticleId, FieldFault, Refusal, Section, Version};
use serde::Deserialize;
use utoipa::IntoParams;

use super::caching::{Cache, encode_json, respond_from_cache, tagged_response};
use super::list_query::{invalid, parse_time};
use super::views::ArticleAnswer;
use super::{News, refusal_of};
use crate::app::{Key, RenderedAnswer, ShownArticle};
use crate::domain::Article;
use crate::ports::Which;

/// The path parameters of a section.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct SectionPath {
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[param(value_type = String)]
    pub(super) section: Section,
}

/// The path parameters of an article.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ArticlePath {
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[param(value_type = String)]
    pub(super) section: Section,
    /// The id of the article.
    #[param(value_type = uuid::Uuid)]
    pub(super) id: ArticleId,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReadQuery {
    /// Waits up to a second until this version can be shown. After that the answer is 503
    /// `not_yet_projected`.
    min_version: Option<u32>,
    /// The version to show, as at `…/versions/{version}`.
    version: Option<u32>,
    /// The version that was the newest at this time (RFC 3339). Readers see it if it was public then.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<String>,
}

impl ReadQuery {
    /// Returns the requested old version, if there is one.
    fn which(&self) -> Result<Option<Which>, Refusal> {
        let mut faults = Vec::new();
        let at = parse_time("/at", self.at.as_deref(), &mut faults);
        if self.version.is_some() && self.at.is_some() {
            faults.push(FieldFault::new("/at", "excluded", "must not be combined with `version`"));
        }
        if !faults.is_empty() {
            return Err(invalid(faults));
        }
        Ok(self.version.map(|version| Which::Version(Version::new(version))).or(at.map(Which::At)))
    }
}

/// Returns one article.
#[utoipa::path(get, path = "/{type}/{id}", tag = "news", params(ArticlePath, ReadQuery), responses(
    (status = 200, description = "The article.", body = ArticleAnswer),
    (status = 304, description = "The client already has this version."),
    (status = 404, description = "`unknown_type`, or `not_found`: also for an article that the caller may not see."),
    (status = 410, description = "`retracted`, with `reason` and `retracted_at`."),
    (status = 503, description = "`not_yet_projected`, or the section is unavailable."),
))]
pub(super) async fn get_article(
    State(news): State<News>,
    Path(ArticlePath { section, id }): Path<ArticlePath>,
    Query(query): Query<ReadQuery>,
    caller: Caller,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // A request for an old version is not a reading, because it says nothing about what the reader likes
    // today.
    if let Some(which) = query.which()? {
        return Ok(respond_with_article(
            news.app.get_version(section, id, which, &caller).await?,
            &caller,
            &headers,
        )?);
    }
    if query.min_version.is_none() && caller.is_reader() {
        return Ok(get_public(&news, section, id, &caller, method == Method::GET, &headers).await?);
    }
    let article = news.app.get_article(section, id, query.min_version.map(Version::new), &caller).await?;
    // A HEAD request also runs this handler, and is not a reading.
    let reading = news.app.reading_of(&article, &caller).filter(|_| method == Method::GET);
    let response = respond_with_article(article, &caller, &headers)?;
    news.app.note_reading(reading);
    Ok(response)
}

/// Answers with a public article from the cache. It is requested from the section without a token, so only a
/// public article can be stored. The answer to a signed-in reader is private nevertheless.
async fn get_public(
    news: &News,
    section: Section,
    id: ArticleId,
    caller: &Caller,
    is_reading: bool,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let app = news.app.clone();
    let make = async move {
        let found = app.get_article(section, id, None, &Caller::anonymous()).await;
        let article = Arc::new(found.map_err(|error| refusal_of(&error))?);
        Ok(RenderedAnswer {
            body: encode_json(&ArticleAnswer::from((*article).clone()))?.into(),
            etag: article.version.etag(),
            link: None,
            total: None,
            shown: vec![ShownArticle::from(&*article)],
            lists: Vec::new(),
            keep: article.state.is_public(),
            article: Some(article),
            feed: None,
        })
    };
    let cached = news.app.shelf().serve(Key::Article(section, id), make).await?;
    let cache = match cached.answer.keep {
        true => Cache::of_public(caller.identity.is_some()),
        false => Cache::Private,
    };
    let response = respond_from_cache(&cached, cache, headers);
    if let Some(article) = cached.answer.article.as_ref().filter(|_| is_reading) {
        news.app.note_reading(news.app.reading_of(article, caller));
    }
    Ok(response)
}

/// Builds the response of an article at a version, or 304 if the client already has it.
pub(super) fn respond_with_article(
    article: Article,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let cache = match article.state.is_public() {
        true => Cache::of_public(caller.identity.is_some()),
        false => Cache::Private,
    };
    let etag = article.version.etag();
    // An erasure blanks the byline without a new version. A client that kept the article with the name must
    // not keep it any longer.
    let known = !article.author.is_empty() && etag_matches(headers, &etag);
    let body = if known { Vec::new() } else { encode_json(&ArticleAnswer::from(article))? };
    Ok(cache.on(tagged_response(known, &etag, body)))
}
