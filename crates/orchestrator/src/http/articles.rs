use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chassis::http::{
    Caller, IDEMPOTENCY_REPLAYED, IdempotencyKey, Json, Path, Precondition, Problem, ProblemBody, Query,
    etag_matches, say_replayed,
};
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use kernel::{ArticleId, Fault, FieldFault, Kind, Refusal, Section, Version};
use serde::Deserialize;
use utoipa::IntoParams;

use super::caching::{Cache, answer, encode, json, served, tag};
use super::list_query::{broken, moment};
use super::views::{ArticleAnswer, DeletedView, DraftBody, PatchBody, ReviseBody, VersionBody};
use super::{News, Seen, refused};
use crate::app::{ArticleError, Key, Rendered, Shown, Write};
use crate::domain::{Article, Change};
use crate::ports::{Done, Which};

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

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CreateQuery {
    /// Publishes at once; where that is not allowed, nothing is created.
    #[serde(default)]
    publish: bool,
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

/// A new article: a draft, unless `publish=true`.
#[utoipa::path(post, path = "/{type}", tag = "news", params(SectionPath, CreateQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Under one key the command has one effect within 24 hours, and one answer.")),
    request_body = DraftBody, security(("bearer" = [])), responses(
    (status = 201, description = "The new article, at `Location`.", body = ArticleAnswer),
    (status = 401, description = "`unauthenticated`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 403, description = "`role_required`, or `self_review` for `publish=true`.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "`unknown_type`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "`still_running`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 422, description = "A field breaks a rule; `idempotency_key_reused`", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn create_article(
    State(news): State<News>,
    Path(SectionPath { section }): Path<SectionPath>,
    Query(query): Query<CreateQuery>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Json(body): Json<DraftBody>,
) -> Result<Response, Problem> {
    let created = news.app.create_article(section, body.into(), query.publish, &caller, key.as_deref()).await;
    let created = created.map_err(told)?;
    let location = format!("{}/{}/{}", news.public_base, created.value.section, created.value.id);
    let mut response = answered(StatusCode::CREATED, created)?;
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// A whole new version of the article that the body names.
#[utoipa::path(put, path = "/{type}", tag = "news", params(SectionPath), request_body = ReviseBody,
    security(("bearer" = [])), responses(
    (status = 200, description = "The new version.", body = ArticleAnswer),
    (status = 401, description = "`unauthenticated`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "`unknown_type`, `not_found`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "`illegal_transition`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 412, description = "`stale_version`, with `current_version`.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 422, description = "A field breaks a rule.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 428, description = "Neither `If-Match` nor `version` says what the writer has seen.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn revise_named_article(
    State(news): State<News>,
    Path(SectionPath { section }): Path<SectionPath>,
    caller: Caller,
    precondition: Precondition,
    Json(body): Json<ReviseBody>,
) -> Result<Response, Problem> {
    let id = body.id.ok_or_else(|| body_fault("/id", "missing", "say which article is meant"))?;
    let expected = precondition.or_version(body.version)?;
    let write = Write { section, id, expected, caller: &caller, key: None };
    answered(StatusCode::OK, news.app.revise_article(write, Change::Full(body.into())).await?)
}

/// A whole new version of an article.
#[utoipa::path(put, path = "/{type}/{id}", tag = "news", params(ArticlePath), request_body = ReviseBody,
    security(("bearer" = [])), responses(
    (status = 200, description = "The new version.", body = ArticleAnswer),
    (status = 401, description = "`unauthenticated`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "`unknown_type`, `not_found`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "`illegal_transition`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 412, description = "`stale_version`, with `current_version`.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 422, description = "A field breaks a rule.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 428, description = "Neither `If-Match` nor `version` says what the writer has seen.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn revise_article(
    State(news): State<News>,
    Path(ArticlePath { section, id }): Path<ArticlePath>,
    caller: Caller,
    precondition: Precondition,
    Json(body): Json<ReviseBody>,
) -> Result<Response, Problem> {
    if body.id.is_some_and(|named| named != id) {
        return Err(body_fault("/id", "differs", "the address names another article").into());
    }
    let expected = precondition.or_version(body.version)?;
    let write = Write { section, id, expected, caller: &caller, key: None };
    answered(StatusCode::OK, news.app.revise_article(write, Change::Full(body.into())).await?)
}

/// A new version with some new fields. Without any the article stays as it is, and so does its version.
#[utoipa::path(patch, path = "/{type}/{id}", tag = "news", params(ArticlePath), request_body = PatchBody,
    security(("bearer" = [])), responses(
    (status = 200, description = "The new version, or the current one if no field is given.", body = ArticleAnswer),
    (status = 401, description = "`unauthenticated`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "`unknown_type`, `not_found`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "`illegal_transition`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 412, description = "`stale_version`, with `current_version`.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 422, description = "A field breaks a rule.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 428, description = "Neither `If-Match` nor `version` says what the writer has seen.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn patch_article(
    State(news): State<News>,
    Path(ArticlePath { section, id }): Path<ArticlePath>,
    caller: Caller,
    precondition: Precondition,
    Json(body): Json<PatchBody>,
) -> Result<Response, Problem> {
    let expected = precondition.or_version(body.version)?;
    let write = Write { section, id, expected, caller: &caller, key: None };
    answered(StatusCode::OK, news.app.revise_article(write, Change::Some(body.into())).await?)
}

/// Makes an article public.
#[utoipa::path(post, path = "/{type}/{id}/publish", tag = "news",
    params(ArticlePath, ("Idempotency-Key" = Option<String>, Header, description = "Under one key the command has one effect within 24 hours, and one answer.")),
    request_body = Option<VersionBody>, security(("bearer" = [])), responses(
    (status = 200, description = "The published article.", body = ArticleAnswer),
    (status = 401, description = "`unauthenticated`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 403, description = "`role_required`, `self_review`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "`unknown_type`, `not_found`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "`illegal_transition`, with `state` and `allowed`; `still_running`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 412, description = "`stale_version`, with `current_version`.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 422, description = "`idempotency_key_reused`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 428, description = "Neither `If-Match` nor `version` says what the publisher has seen.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn publish_article(
    State(news): State<News>,
    Path(ArticlePath { section, id }): Path<ArticlePath>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Seen(expected): Seen,
) -> Result<Response, Problem> {
    let write = Write { section, id, expected, caller: &caller, key: key.as_deref() };
    answered(StatusCode::OK, news.app.publish_article(write).await.map_err(told)?)
}

/// Puts away an article that is not public.
#[utoipa::path(delete, path = "/{type}/{id}", tag = "news", params(ArticlePath), request_body = Option<VersionBody>,
    security(("bearer" = [])), responses(
    (status = 200, description = "It was put away.", body = DeletedView),
    (status = 401, description = "`unauthenticated`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 403, description = "`role_required`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "`unknown_type`, `not_found`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "`illegal_transition`: what is published is unpublished first.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 412, description = "`stale_version`, with `current_version`.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 428, description = "Neither `If-Match` nor `version` says what the caller has seen.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn delete_article(
    State(news): State<News>,
    Path(ArticlePath { section, id }): Path<ArticlePath>,
    caller: Caller,
    Seen(expected): Seen,
) -> Result<Response, Problem> {
    let version =
        news.app.delete_article(Write { section, id, expected, caller: &caller, key: None }).await?.value;
    let response = json(StatusCode::OK, encode(&DeletedView::from(id))?);
    Ok(Cache::Never.on(tag(response, &version.etag())))
}

/// The answer to every write of an article: what it is now, and the tag that the next write names. To one that was done before: what
/// it was then.
pub(super) fn answered(status: StatusCode, done: Done<Article>) -> Result<Response, Problem> {
    let etag = done.value.version.etag();
    let mut response = tag(json(status, encode(&ArticleAnswer::from(done.value))?), &etag);
    if done.replayed {
        say_replayed(&mut response);
    }
    Ok(Cache::Never.on(response))
}

/// The refusal of a command; one that was given before, under the same key, says so in a header.
pub(super) fn told(error: ArticleError) -> Problem {
    let mut refusal = error.refusal();
    match refusal.extra.remove("idempotency_replayed") {
        Some(_) => Problem::from(refusal).with_header(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true")),
        None => Problem::from(error),
    }
}

fn body_fault(pointer: &str, code: &'static str, detail: &str) -> Refusal {
    Refusal::new(Kind::Invalid, "invalid", "The body breaks a rule.")
        .with_fields(vec![FieldFault::new(pointer, code, detail)])
}
