//! The past of an article.

use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chassis::http::{Caller, Path, Problem, ProblemBody, Query, etag_matches};
use http::header::LINK;
use http::{HeaderMap, HeaderValue};
use kernel::{ArticleId, Refusal, Section, Timestamp, UserId, Version};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::News;
use super::articles::{ArticlePath, shown};
use super::caching::{Cache, answer, digest, encode};
use super::list_query::bad_cursor;
use super::views::{ArticleAnswer, Status};
use crate::domain::{DiffOp, DiffPart, Step};
use crate::ports::Which;

/// How many versions are looked at where nobody says how many.
const LIMIT: u32 = 20;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct VersionPath {
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[param(value_type = String)]
    section: Section,
    /// The article.
    #[param(value_type = uuid::Uuid)]
    id: ArticleId,
    /// The version.
    version: u32,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// How many versions to look at, 1 to 100; 20 by default.
    limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DiffQuery {
    /// The old version.
    from: u32,
    /// The new version.
    to: u32,
}

/// What happened to an article, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryView {
    status: Status,
    history: Vec<StepView>,
    page: HistoryPageView,
}

/// Where a page of a history stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryPageView {
    /// How many versions were looked at, at the most. Readers are told of those that were public, so a page may hold fewer.
    limit: u32,
    /// Where older versions are; null where there are none.
    next_cursor: Option<String>,
}

/// One step in the life of an article.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepView {
    /// The version that it led to.
    #[schema(value_type = u32)]
    version: Version,
    /// `drafted`, `edited`, `published`, `updated`, `unpublished`, `deleted`, `undeleted` or `restored`. More may come.
    event: String,
    /// The account that did it. An id and never a name: it stays when the person goes.
    #[schema(value_type = uuid::Uuid)]
    by: UserId,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The names of the fields that differ from the version before; of the first version those that it has.
    changed: Vec<String>,
    /// The version whose text came back; only of `restored`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    from: Option<Version>,
}

impl From<Step> for StepView {
    fn from(step: Step) -> Self {
        let Step { version, event, by, at, changed, from } = step;
        Self { version, event, by, at, changed, from }
    }
}

/// Where words stand.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpView {
    /// In both versions.
    Equal,
    /// In the new one only.
    Insert,
    /// In the old one only.
    Delete,
}

/// A run of words, with the space around them. Of one field, the runs that are no inserts are the old text, those that are no
/// deletes the new one.
#[derive(Debug, Serialize, ToSchema)]
pub struct WordsView {
    op: OpView,
    text: String,
    /// `title`, `description` or `content`, in this order.
    field: String,
}

impl From<DiffPart> for WordsView {
    fn from(part: DiffPart) -> Self {
        let op = match part.op {
            DiffOp::Equal => OpView::Equal,
            DiffOp::Insert => OpView::Insert,
            DiffOp::Delete => OpView::Delete,
        };
        Self { op, text: part.text, field: part.field }
    }
}

/// What happened to an article.
#[utoipa::path(get, path = "/{type}/{id}/history", tag = "news", params(ArticlePath, HistoryQuery), responses(
    (status = 200, description = "The newest first. Readers are told of versions that were public, as long as the article is; its author and editors of all.", body = HistoryView),
    (status = 304, description = "The client has this page."),
    (status = 404, description = "`unknown_type`, or `not_found`: also for what the caller may not see.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 422, description = "`bad_cursor`: it is none. `invalid`: `limit` is outside its range.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 503, description = "The section's command side is away.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn get_history(
    State(news): State<News>,
    Path(ArticlePath { section, id }): Path<ArticlePath>,
    Query(query): Query<HistoryQuery>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(LIMIT);
    let before = query.cursor.as_deref().map(before).transpose()?;
    let history = news.app.get_history(section, id, before, limit, &caller).await?;
    let next_cursor = history.next.map(cursor);
    let link = next_cursor.as_ref().map(|cursor| {
        let base = &news.public_base;
        format!("<{base}/{section}/{id}/history?limit={limit}&cursor={cursor}>; rel=\"next\"")
    });
    let body = encode(&HistoryView {
        status: Status::Success,
        history: history.steps.into_iter().map(StepView::from).collect(),
        page: HistoryPageView { limit, next_cursor },
    })?;
    let mut response = digested(&headers, caller.identity.is_some(), body);
    if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

/// An article as it was.
#[utoipa::path(get, path = "/{type}/{id}/versions/{version}", tag = "news", params(VersionPath), responses(
    (status = 200, description = "The article at this version.", body = ArticleAnswer),
    (status = 304, description = "The client has this version."),
    (status = 404, description = "`unknown_type`, or `not_found`: for readers also a version that was never public, and all of an article that is not.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 503, description = "The section's command side is away.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn get_version(
    State(news): State<News>,
    Path(VersionPath { section, id, version }): Path<VersionPath>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let which = Which::Version(Version::new(version));
    let article = news.app.get_version(section, id, which, &caller).await?;
    Ok(shown(article, &caller, &headers)?)
}

/// The words in which two versions differ.
#[utoipa::path(get, path = "/{type}/{id}/diff", tag = "news", params(ArticlePath, DiffQuery), responses(
    (status = 200, description = "Title, description and content one after the other. Texts that have little in common are compared less finely, so that the work is bounded.", body = Vec<WordsView>),
    (status = 304, description = "The client has this comparison."),
    (status = 404, description = "`unknown_type`, or `not_found`: for readers also a version that was never public, and all of an article that is not.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 503, description = "The section's command side is away.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn get_diff(
    State(news): State<News>,
    Path(ArticlePath { section, id }): Path<ArticlePath>,
    Query(DiffQuery { from, to }): Query<DiffQuery>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (from, to) = (Version::new(from), Version::new(to));
    let words = news.app.get_diff(section, id, from, to, &caller).await?;
    let words: Vec<WordsView> = words.into_iter().map(WordsView::from).collect();
    Ok(digested(&headers, caller.identity.is_some(), encode(&words)?))
}

/// An answer without a version of its own, under the digest of its bytes.
fn digested(headers: &HeaderMap, signed_in: bool, body: Vec<u8>) -> Response {
    let etag = digest(&body);
    let known = etag_matches(headers, &etag);
    Cache::of_public(signed_in).on(answer(known, &etag, if known { Vec::new() } else { body }))
}

/// Opaque to clients, so that it may become something else.
fn cursor(before: Version) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("before {before}"))
}

fn before(cursor: &str) -> Result<Version, Refusal> {
    let text = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let number = text.and_then(|text| text.strip_prefix("before ").and_then(|number| number.parse().ok()));
    number.map(Version::new).ok_or_else(|| bad_cursor("is no cursor of this list"))
}
