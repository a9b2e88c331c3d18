use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chassis::http::{Caller, Path, Problem, ProblemBody, Query, etag_matches};
use http::{HeaderMap, Method};
use kernel::{ArticleId, FieldFault, Refusal, Section, Version};
use serde::Deserialize;
use utoipa::IntoParams;

use super::caching::{Cache, answer, encode, served};
use super::list_query::{broken, moment};
use super::views::ArticleAnswer;
use super::{News, refused};
use crate::app::{Key, Rendered, Shown};
use crate::domain::Article;
use crate::ports::Which;

/// A section.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct SectionPath {
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[param(value_type = String)]
    pub(super) section: Section,
}

/// An article.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ArticlePath {
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[param(value_type = String)]
    pub(super) section: Section,
    /// The article.
    #[param(value_type = uuid::Uuid)]
    pub(super) id: ArticleId,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReadQuery {
    /// Waits up to a second until this version can be shown, else 503 `not_yet_projected`.
    min_version: Option<u32>,
    /// This version, as at `…/versions/{version}`.
    version: Option<u32>,
    /// The version that was the newest at this time (RFC 3339). Readers see it if it was public then.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<String>,
}

impl ReadQuery {
    /// The version of the past that is asked for, if one is.
    fn which(&self) -> Result<Option<Which>, Refusal> {
        let mut faults = Vec::new();
        let at = moment("/at", self.at.as_deref(), &mut faults);
        if self.version.is_some() && self.at.is_some() {
            faults.push(FieldFault::new("/at", "excluded", "name a version or a time, not both"));
        }
        if !faults.is_empty() {
            return Err(broken(faults));
        }
        Ok(self.version.map(|version| Which::Version(Version::new(version))).or(at.map(Which::At)))
    }
}

/// One article.
#[utoipa::path(get, path = "/{type}/{id}", tag = "news", params(ArticlePath, ReadQuery), responses(
    (status = 200, description = "The article.", body = ArticleAnswer),
    (status = 304, description = "The client has this version."),
    (status = 404, description = "`unknown_type`, or `not_found`: also for what the caller may not see.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 410, description = "It was retracted.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 503, description = "`not_yet_projected`, or the section is away.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn get_article(
    State(news): State<News>,
    Path(ArticlePath { section, id }): Path<ArticlePath>,
    Query(query): Query<ReadQuery>,
    caller: Caller,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // The past is no reading: nobody learns from it what somebody likes today.
    if let Some(which) = query.which()? {
        return Ok(shown(news.app.get_version(section, id, which, &caller).await?, &caller, &headers)?);
    }
    if query.min_version.is_none() && caller.is_reader() {
        return Ok(get_public(&news, section, id, &caller, method == Method::GET, &headers).await?);
    }
    let article = news.app.get_article(section, id, query.min_version.map(Version::new), &caller).await?;
    // A HEAD runs this handler too, and is no reading.
    let reading = news.app.reading(&article, &caller).filter(|_| method == Method::GET);
    let response = shown(article, &caller, &headers)?;
    news.app.was_read(reading);
    Ok(response)
}

/// An article as everybody gets it, out of the cache where it is there. It is asked for in nobody's name, so nothing but what
/// everybody may see can get in; a reader's copy is private all the same.
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
        let article = Arc::new(found.map_err(|error| refused(&error))?);
        Ok(Rendered {
            body: encode(&ArticleAnswer::from((*article).clone()))?.into(),
            etag: article.version.etag(),
            link: None,
            total: None,
            shown: vec![Shown::from(&*article)],
            lists: Vec::new(),
            keep: article.state.is_public(),
            article: Some(article),
        })
    };
    let answer = news.app.shelf.serve(Key::Article(section, id), make).await?;
    let cache = match answer.answer.keep {
        true => Cache::of_public(caller.identity.is_some()),
        false => Cache::Private,
    };
    let response = served(&answer, cache, headers);
    if let Some(article) = answer.answer.article.as_ref().filter(|_| is_reading) {
        news.app.was_read(news.app.reading(article, caller));
    }
    Ok(response)
}

/// An article at a version, for whoever asked for it; 304 where they have it.
pub(super) fn shown(article: Article, caller: &Caller, headers: &HeaderMap) -> Result<Response, Refusal> {
    let cache = match article.state.is_public() {
        true => Cache::of_public(caller.identity.is_some()),
        false => Cache::Private,
    };
    let etag = article.version.etag();
    // An erasure blanks the byline and makes no new version: whoever kept the article with the name must not be told to keep it.
    let known = !article.author.is_empty() && etag_matches(headers, &etag);
    let body = if known { Vec::new() } else { encode(&ArticleAnswer::from(article))? };
    Ok(cache.on(answer(known, &etag, body)))
}
