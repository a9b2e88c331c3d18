//! Public corrections: of one article, and of the whole portal.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chassis::http::{Caller, Links, Path, Problem, Query};
use http::HeaderMap;
use kernel::{ArticleId, FieldFault, Refusal, Section, Timestamp, Version};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::articles::ArticlePath;
use super::caching::{Cache, digest, encode_json, respond_from_cache};
use super::history::respond_with_digest;
use super::list_query::{bad_cursor, invalid, parse_limit, parse_time};
use super::views::{CorrectionView, Status};
use super::{News, refusal_of};
use crate::app::{CorrectionList, Key, RenderedAnswer, ShownArticle};
use crate::domain::{ArticleCorrection, CorrectionCursor, CorrectionFilter, CorrectionSlice, Scope};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CorrectionsQuery {
    /// Only corrections of this section: `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    section: Option<String>,
    /// Only corrections of this kind: `correction`, `clarification`, `update` or `note`.
    kind: Option<String>,
    /// Only corrections that were made at this moment or later, such as `2026-11-21T08:00:00Z`.
    from: Option<String>,
    /// Only corrections that were made at this moment or earlier.
    to: Option<String>,
    /// The number of corrections, 1 to 100. The default is 10.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// The position to continue from: `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A parsed and checked query.
struct ParsedQuery {
    scope: Scope,
    slice: CorrectionSlice,
    excluded: Vec<Section>,
}

impl CorrectionsQuery {
    fn parse(self) -> Result<ParsedQuery, Refusal> {
        let mut faults = Vec::new();
        let limit = parse_limit(self.limit.as_deref(), &mut faults);
        let section = self.section.as_deref().map(str::parse::<Section>).transpose();
        let section = section.unwrap_or_else(|_| {
            let names = Section::ALL.map(Section::as_str).join(", ");
            faults.push(FieldFault::new("/type", "unknown_name", format!("must be one of {names}")));
            None
        });
        let filter = CorrectionFilter {
            kind: self.kind,
            from: parse_time("/from", self.from.as_deref(), &mut faults),
            to: parse_time("/to", self.to.as_deref(), &mut faults),
        };
        if !faults.is_empty() {
            return Err(invalid(faults));
        }
        let scope = section.map_or(Scope::All, Scope::One);
        let cursor = self.cursor.as_deref().map(|text| CorrectionCursor::decode(text, scope, &filter));
        let cursor = cursor.transpose().map_err(|error| bad_cursor(&error.to_string()))?;
        let (after, excluded) =
            cursor.map_or((None, Vec::new()), |cursor| (Some(cursor.position), cursor.excluded));
        Ok(ParsedQuery { scope, slice: CorrectionSlice { filter, after, limit }, excluded })
    }
}

impl ParsedQuery {
    /// Writes the query of the same list at this cursor, in one spelling.
    fn write(&self, cursor: Option<&str>) -> String {
        let CorrectionSlice { filter, limit, .. } = &self.slice;
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let section = match self.scope {
            Scope::All => None,
            Scope::One(section) => Some(section.as_str().to_owned()),
        };
        let pairs = [
            ("type", section),
            ("kind", filter.kind.clone()),
            ("from", time(filter.from)),
            ("to", time(filter.to)),
            ("limit", Some(limit.to_string())),
            ("cursor", cursor.map(str::to_owned)),
        ];
        let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }
}

/// The corrections of an article.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArticleCorrectionsView {
    status: Status,
    /// The oldest first.
    corrections: Vec<CorrectionView>,
}

/// A correction, with the article that was corrected.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedCorrectionView {
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    section: Section,
    /// The article.
    #[schema(value_type = uuid::Uuid)]
    id: ArticleId,
    /// The present title of the article.
    title: String,
    /// The readable name of the article in addresses.
    slug: String,
    /// `correction`, `clarification`, `update` or `note`.
    kind: String,
    /// The text: what was wrong and what is right.
    text: String,
    /// The moment of the correction.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The version that contains it. `…/diff` compares it with the version before.
    #[schema(value_type = u32)]
    version: Version,
}

impl From<ArticleCorrection> for ListedCorrectionView {
    fn from(corrected: ArticleCorrection) -> Self {
        let ArticleCorrection { section, id, title, slug, correction } = corrected;
        let (kind, text, at, version) = (correction.kind, correction.text, correction.at, correction.version);
        Self { section, id, title, slug, kind, text, at, version }
    }
}

/// The position of a page in the list of corrections.
#[derive(Debug, Serialize, ToSchema)]
pub struct CorrectionsPageView {
    /// The largest number of corrections on a page.
    limit: u32,
    /// The `cursor` of the next page; null at the end of the list.
    next_cursor: Option<String>,
}

/// A page of the corrections of the portal.
#[derive(Debug, Serialize, ToSchema)]
pub struct CorrectionsView {
    status: Status,
    /// The newest first.
    corrections: Vec<ListedCorrectionView>,
    page: CorrectionsPageView,
    /// True if a section did not answer in time. Such an answer is never cached.
    partial: bool,
    /// The sections that did not answer, or that did not answer for an earlier page of this list.
    #[schema(value_type = Vec<String>)]
    missing: Vec<Section>,
}

/// Lists the corrections of an article, oldest first.
#[utoipa::path(get, path = "/{type}/{id}/corrections", tag = "news", params(ArticlePath), responses(
    (status = 200, description = "The corrections.", body = ArticleCorrectionsView),
    (status = 304, description = "The client already has these corrections."),
    (status = 404, description = "`unknown_type`, or `not_found`: also for an article that the caller may not see."),
    (status = 410, description = "`retracted`, with `reason` and `retracted_at`."),
    (status = 503, description = "The section is unavailable."),
))]
pub(super) async fn get_corrections(
    State(news): State<News>,
    Path(ArticlePath { section, id }): Path<ArticlePath>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let article = news.app.get_article(section, id, None, &caller).await?;
    let corrections = article.corrections.into_iter().map(CorrectionView::from).collect();
    let body = encode_json(&ArticleCorrectionsView { status: Status::Success, corrections })?;
    Ok(respond_with_digest(&headers, caller.identity.is_some(), body))
}

/// Lists the public corrections of the whole portal, newest first.
#[utoipa::path(get, path = "/corrections", tag = "news", params(CorrectionsQuery), responses(
    (status = 200, description = "A page of the corrections of published articles. `partial` is true if a section is unavailable.", body = CorrectionsView),
    (status = 304, description = "The client already has this page."),
    (status = 422, description = "`bad_cursor`: the cursor is not valid, or belongs to another list. `invalid`: a value breaks a rule or a name is unknown."),
    (status = 503, description = "No section answered."),
))]
pub(super) async fn list_corrections(
    State(news): State<News>,
    Query(query): Query<CorrectionsQuery>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cursor = query.cursor.clone();
    let parsed = query.parse()?;
    let base = format!("{}/corrections", news.public_base);
    let address = format!("{base}?{}", parsed.write(cursor.as_deref()));
    let app = news.app.clone();
    let make = async move {
        let found = app.list_corrections(parsed.scope, &parsed.excluded, &parsed.slice).await;
        render(found.map_err(|error| refusal_of(&error))?, &parsed, &base)
    };
    let cached = news.app.shelf().serve(Key::List(Arc::from(address)), make).await?;
    let cache = match cached.answer.keep {
        true => Cache::of_public(caller.identity.is_some()),
        false => Cache::Never,
    };
    Ok(respond_from_cache(&cached, cache, &headers))
}

fn render(found: CorrectionList, parsed: &ParsedQuery, base: &str) -> Result<RenderedAnswer, Refusal> {
    let CorrectionList { corrections, next, missing } = found;
    let next_cursor = next.map(|position| {
        let cursor = CorrectionCursor { position, excluded: missing.clone() };
        cursor.encode(parsed.scope, &parsed.slice.filter)
    });
    let target = |cursor: Option<&str>| format!("{base}?{}", parsed.write(cursor));
    let links = Links::default()
        .with("first", target(None))
        .with_some("next", next_cursor.as_deref().map(|cursor| target(Some(cursor))));
    let (shown, keep) = (corrections.iter().map(ShownArticle::of_correction).collect(), missing.is_empty());
    let body = encode_json(&CorrectionsView {
        status: Status::Success,
        corrections: corrections.into_iter().map(ListedCorrectionView::from).collect(),
        page: CorrectionsPageView { limit: parsed.slice.limit, next_cursor },
        partial: !keep,
        missing,
    })?;
    Ok(RenderedAnswer {
        etag: digest(&body),
        body: body.into(),
        link: Some(links.to_string()),
        total: None,
        article: None,
        feed: None,
        shown,
        lists: parsed.scope.sections(),
        keep,
    })
}
