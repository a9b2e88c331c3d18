//! The history of an article and its old versions.

use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chassis::http::{Caller, Links, Path, Problem, Query, etag_matches};
use http::HeaderMap;
use kernel::{ArticleId, Refusal, Section, Timestamp, UserId, Version};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::News;
use super::articles::{ArticlePath, respond_with_article};
use super::caching::{Cache, digest, encode_json, tagged_response};
use super::list_query::bad_cursor;
use super::views::{ArticleAnswer, CorrectionView, RetractionView, Status};
use crate::domain::{DiffOp, DiffPart, HistoryEntry};
use crate::ports::Which;

/// The default number of versions that are examined.
const DEFAULT_LIMIT: u32 = 20;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct VersionPath {
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[param(value_type = String)]
    section: Section,
    /// The id of the article.
    #[param(value_type = uuid::Uuid)]
    id: ArticleId,
    /// The version.
    version: u32,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// The number of versions to examine, 1 to 100. The default is 20.
    limit: Option<u32>,
    /// The position to continue from: `next_cursor` of the page before.
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

/// The history of an article, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryView {
    status: Status,
    history: Vec<StepView>,
    page: HistoryPageView,
}

/// The position of a page in the history.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryPageView {
    /// The largest number of versions that were examined. Readers see only versions that were public, so a
    /// page may have fewer entries.
    limit: u32,
    /// The cursor of older versions; null if there are none.
    next_cursor: Option<String>,
}

/// One event in the history of an article.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepView {
    /// The version that it created.
    #[schema(value_type = u32)]
    version: Version,
    /// `drafted`, `edited`, `submitted`, `returned`, `approved`, `scheduled`, `unscheduled`, `published`,
    /// `updated`, `corrected`, `unpublished`, `retracted`, `reinstated`, `deleted`, `undeleted` or
    /// `restored`. More may be added.
    event: String,
    /// The account that caused it. It is an id and never a name, so it can stay after the person was erased.
    /// The nil UUID stands for the portal itself, which publishes an article at its scheduled time.
    #[schema(value_type = uuid::Uuid)]
    by: UserId,
    /// The moment of the event.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The names of the fields that differ from the version before; for readers, from the version before that
    /// they could see. For the first of these versions, the names of its fields.
    changed: Vec<String>,
    /// The version whose text was restored; only in `restored`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    from: Option<Version>,
    /// The note of the editor; only in `returned`.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// The moment of the publication; only in `scheduled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    scheduled_at: Option<Timestamp>,
    /// The notice; only in `retracted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    retraction: Option<RetractionView>,
    /// The correction; only in `corrected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    correction: Option<CorrectionView>,
}

impl From<HistoryEntry> for StepView {
    fn from(step: HistoryEntry) -> Self {
        Self {
            version: step.version,
            event: step.event,
            by: step.by,
            at: step.at,
            changed: step.changed,
            from: step.from,
            note: step.note,
            scheduled_at: step.scheduled_at,
            retraction: step.retraction.map(RetractionView::from),
            correction: step.correction.map(CorrectionView::from),
        }
    }
}

/// The side of a comparison on which words occur.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpView {
    /// The words are in both versions.
    Equal,
    /// The words are in the new version only.
    Insert,
    /// The words are in the old version only.
    Delete,
}

/// A run of words, with the space around them. For one field, all runs except inserts are the old text, and
/// all runs except deletes are the new text.
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

/// Lists the history of an article, newest first.
#[utoipa::path(get, path = "/{type}/{id}/history", tag = "news", params(ArticlePath, HistoryQuery), responses(
    (status = 200, description = "The history, newest first. Readers see the versions that were public, as long as the article is public. Its author and editors see all versions.", body = HistoryView),
    (status = 304, description = "The client already has this page."),
    (status = 404, description = "`unknown_type`, or `not_found`: also for an article that the caller may not see."),
    (status = 422, description = "`bad_cursor`: the cursor is not valid. `invalid`: `limit` is outside its range."),
    (status = 410, description = "`retracted`, with `reason` and `retracted_at`."),
    (status = 503, description = "The section's command side is unavailable."),
))]
pub(super) async fn get_history(
    State(news): State<News>,
    Path(ArticlePath { section, id }): Path<ArticlePath>,
    Query(query): Query<HistoryQuery>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    let before = query.cursor.as_deref().map(|cursor| parse_cursor("before", cursor)).transpose()?;
    let history = news.app.get_history(section, id, before, limit, &caller).await?;
    let next_cursor = history.next.map(|version| encode_cursor("before", version));
    let next = next_cursor
        .as_ref()
        .map(|cursor| format!("{}/{section}/{id}/history?limit={limit}&cursor={cursor}", news.public_base));
    let body = encode_json(&HistoryView {
        status: Status::Success,
        history: history.entries.into_iter().map(StepView::from).collect(),
        page: HistoryPageView { limit, next_cursor },
    })?;
    let mut response = respond_with_digest(&headers, caller.identity.is_some(), body);
    Links::default().with_some("next", next).set(&mut response);
    Ok(response)
}

/// Returns an article as it was at a version.
#[utoipa::path(get, path = "/{type}/{id}/versions/{version}", tag = "news", params(VersionPath), responses(
    (status = 200, description = "The article at this version.", body = ArticleAnswer),
    (status = 304, description = "The client already has this version."),
    (status = 404, description = "`unknown_type`, or `not_found`: for readers also a version that was never public, and every version of an article that is not public."),
    (status = 410, description = "`retracted`, with `reason` and `retracted_at`."),
    (status = 503, description = "The section's command side is unavailable."),
))]
pub(super) async fn get_version(
    State(news): State<News>,
    Path(VersionPath { section, id, version }): Path<VersionPath>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let which = Which::Version(Version::new(version));
    let article = news.app.get_version(section, id, which, &caller).await?;
    Ok(respond_with_article(article, &caller, &headers)?)
}

/// Compares two versions of an article word by word.
#[utoipa::path(get, path = "/{type}/{id}/diff", tag = "news", params(ArticlePath, DiffQuery), responses(
    (status = 200, description = "The differences of title, description and content, in this order. Texts that have little in common are compared less finely, so that the work is bounded.", body = Vec<WordsView>),
    (status = 304, description = "The client already has this comparison."),
    (status = 404, description = "`unknown_type`, or `not_found`: for readers also a version that was never public, and every version of an article that is not public."),
    (status = 410, description = "`retracted`, with `reason` and `retracted_at`."),
    (status = 503, description = "The section's command side is unavailable."),
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
    Ok(respond_with_digest(&headers, caller.identity.is_some(), encode_json(&words)?))
}

/// Builds the response of an answer without a version. Its entity tag is the digest of its bytes.
pub(super) fn respond_with_digest(headers: &HeaderMap, signed_in: bool, body: Vec<u8>) -> Response {
    let etag = digest(&body);
    let known = etag_matches(headers, &etag);
    Cache::of_public(signed_in).on(tagged_response(known, &etag, if known { Vec::new() } else { body }))
}

/// Encodes the cursor of the versions `before` or `after` one. It is opaque to clients, so that its form may
/// change.
pub(super) fn encode_cursor(direction: &str, version: Version) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{direction} {version}"))
}

/// Decodes a cursor of this direction.
pub(super) fn parse_cursor(direction: &str, cursor: &str) -> Result<Version, Refusal> {
    let text = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let number =
        text.as_deref().and_then(|text| text.strip_prefix(direction)?.strip_prefix(' ')?.parse().ok());
    number.map(Version::new).ok_or_else(|| bad_cursor("the cursor is not valid for this list"))
}
