use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::http::{Json, Path, Precondition, Problem, ProblemBody, Query, etag_matches};
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use kernel::{ArticleId, FieldFault, Kind, Refusal, Section, Version};
use serde::Deserialize;
use utoipa::IntoParams;

use super::caching::{Cache, answer, encode, json, tag};
use super::views::{ArticleAnswer, DeletedView, DraftBody, PatchBody, ReviseBody, VersionBody};
use super::{Asking, News, Seen};
use crate::app::Write;
use crate::domain::{Article, Change};

/// A section.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct SectionPath {
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[param(value_type = String)]
    section: Section,
}

/// An article.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ArticlePath {
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[param(value_type = String)]
    section: Section,
    /// The article.
    #[param(value_type = uuid::Uuid)]
    id: ArticleId,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReadQuery {
    /// Waits up to a second until this version can be shown, else 503 `not_yet_projected`.
    min_version: Option<u32>,
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
    Asking(asker): Asking,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let article = news.app.get_article(section, id, query.min_version.map(Version::new), &asker).await?;
    let cache = match article.state.is_public() {
        true => Cache::of_public(asker.identity.is_some()),
        false => Cache::Private,
    };
    let etag = article.version.etag();
    // An erasure blanks the byline and makes no new version: whoever kept the article with the name must not be told to keep it.
    let known = !article.author.is_empty() && etag_matches(&headers, &etag);
    // A HEAD runs this handler too, and is no reading.
    let reading = news.app.reading(&article, &asker).filter(|_| method == Method::GET);
    let body = if known { Vec::new() } else { encode(&ArticleAnswer::from(article))? };
    let response = cache.on(answer(known, &etag, body));
    news.app.was_read(reading);
    Ok(response)
}

/// A new article: a draft, unless `publish=true`.
#[utoipa::path(post, path = "/{type}", tag = "news", params(SectionPath, CreateQuery), request_body = DraftBody,
    security(("bearer" = [])), responses(
    (status = 201, description = "The new article, at `Location`.", body = ArticleAnswer),
    (status = 401, description = "`unauthenticated`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 403, description = "`role_required`, or `self_review` for `publish=true`.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "`unknown_type`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 422, description = "A field breaks a rule.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn create_article(
    State(news): State<News>,
    Path(SectionPath { section }): Path<SectionPath>,
    Query(query): Query<CreateQuery>,
    Asking(asker): Asking,
    Json(body): Json<DraftBody>,
) -> Result<Response, Problem> {
    let article = news.app.create_article(section, body.into(), query.publish, &asker).await?;
    let location = format!("{}/{}/{}", news.public_base, article.section, article.id);
    let mut response = written(StatusCode::CREATED, article)?;
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
    Asking(asker): Asking,
    precondition: Precondition,
    Json(body): Json<ReviseBody>,
) -> Result<Response, Problem> {
    let id = body.id.ok_or_else(|| body_fault("/id", "missing", "say which article is meant"))?;
    let expected = precondition.or_version(body.version)?;
    let write = Write { section, id, expected, asker: &asker };
    written(StatusCode::OK, news.app.revise_article(write, Change::Full(body.into())).await?)
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
    Asking(asker): Asking,
    precondition: Precondition,
    Json(body): Json<ReviseBody>,
) -> Result<Response, Problem> {
    if body.id.is_some_and(|named| named != id) {
        return Err(body_fault("/id", "differs", "the address names another article").into());
    }
    let expected = precondition.or_version(body.version)?;
    let write = Write { section, id, expected, asker: &asker };
    written(StatusCode::OK, news.app.revise_article(write, Change::Full(body.into())).await?)
}

/// A new version with some new fields.
#[utoipa::path(patch, path = "/{type}/{id}", tag = "news", params(ArticlePath), request_body = PatchBody,
    security(("bearer" = [])), responses(
    (status = 200, description = "The new version.", body = ArticleAnswer),
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
    Asking(asker): Asking,
    precondition: Precondition,
    Json(body): Json<PatchBody>,
) -> Result<Response, Problem> {
    let expected = precondition.or_version(body.version)?;
    let write = Write { section, id, expected, asker: &asker };
    written(StatusCode::OK, news.app.revise_article(write, Change::Some(body.into())).await?)
}

/// Makes an article public.
#[utoipa::path(post, path = "/{type}/{id}/publish", tag = "news", params(ArticlePath), request_body = Option<VersionBody>,
    security(("bearer" = [])), responses(
    (status = 200, description = "The published article.", body = ArticleAnswer),
    (status = 401, description = "`unauthenticated`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 403, description = "`role_required`, `self_review`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "`unknown_type`, `not_found`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "`illegal_transition`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 412, description = "`stale_version`, with `current_version`.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 428, description = "Neither `If-Match` nor `version` says what the publisher has seen.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn publish_article(
    State(news): State<News>,
    Path(ArticlePath { section, id }): Path<ArticlePath>,
    Asking(asker): Asking,
    Seen(expected): Seen,
) -> Result<Response, Problem> {
    let write = Write { section, id, expected, asker: &asker };
    written(StatusCode::OK, news.app.publish_article(write).await?)
}

/// Puts away an article that is not public.
#[utoipa::path(delete, path = "/{type}/{id}", tag = "news", params(ArticlePath), request_body = Option<VersionBody>,
    security(("bearer" = [])), responses(
    (status = 200, description = "It was put away.", body = DeletedView),
    (status = 401, description = "`unauthenticated`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 403, description = "`role_required`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "`unknown_type`, `not_found`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "`illegal_transition`: what was published is retracted, not deleted.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 412, description = "`stale_version`, with `current_version`.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 428, description = "Neither `If-Match` nor `version` says what the caller has seen.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn delete_article(
    State(news): State<News>,
    Path(ArticlePath { section, id }): Path<ArticlePath>,
    Asking(asker): Asking,
    Seen(expected): Seen,
) -> Result<Response, Problem> {
    let version = news.app.delete_article(Write { section, id, expected, asker: &asker }).await?;
    let mut response = json(StatusCode::OK, encode(&DeletedView::from(id))?);
    tag(&mut response, &version.etag());
    Ok(Cache::Never.on(response))
}

/// The answer to every write of an article: what it is now, and the tag that the next write names.
fn written(status: StatusCode, article: Article) -> Result<Response, Problem> {
    let etag = article.version.etag();
    let mut response = json(status, encode(&ArticleAnswer::from(article))?).into_response();
    tag(&mut response, &etag);
    Ok(Cache::Never.on(response))
}

fn body_fault(pointer: &str, code: &'static str, detail: &str) -> Refusal {
    Refusal::new(Kind::Invalid, "invalid", "The body breaks a rule.")
        .with_fields(vec![FieldFault::new(pointer, code, detail)])
}
