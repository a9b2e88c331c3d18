//! The work that waits for the staff.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use chassis::http::{Caller, Problem};
use http::HeaderMap;
use kernel::{Refusal, Section};
use serde::Serialize;
use utoipa::ToSchema;

use super::News;
use super::caching::{Cache, digest, encode_json, respond};
use super::views::{ArticleView, Status};
use crate::app::{DeskPage, RenderedAnswer};
use crate::domain::{DeskGroup, StateCount};

/// The work that waits for the caller.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeskView {
    status: Status,
    /// The sections in which the caller works, except those that did not answer.
    sections: Vec<SectionCountsView>,
    /// The articles in review that others wrote, the longest in review first. Authors review nothing.
    to_review: DeskGroupView,
    /// The caller's own drafts that an editor has returned, with the editor's note, the longest returned
    /// first.
    returned: DeskGroupView,
    /// The scheduled articles that the caller may see, the next one first.
    scheduled: DeskGroupView,
    /// True if a section did not answer in time. Such an answer is never cached.
    partial: bool,
    /// The sections that did not answer.
    #[schema(value_type = Vec<String>)]
    missing: Vec<Section>,
}

/// The articles of a section that the caller may see: authors their own, editors all.
#[derive(Debug, Serialize, ToSchema)]
pub struct SectionCountsView {
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    section: Section,
    /// The number of articles in each state, such as `{"draft": 3, "in_review": 1}`. States without articles
    /// have 0. Authors get no number for `deleted`.
    states: BTreeMap<String, u64>,
}

/// A group of articles that wait for the caller.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeskGroupView {
    /// The number of articles in the whole group.
    total: u64,
    /// The first articles of the group, at most 20, without their texts.
    news: Vec<ArticleView>,
}

impl From<DeskGroup> for DeskGroupView {
    fn from(group: DeskGroup) -> Self {
        let DeskGroup { articles, total } = group;
        Self { total, news: articles.into_iter().map(ArticleView::from).collect() }
    }
}

impl From<DeskPage> for DeskView {
    fn from(page: DeskPage) -> Self {
        let DeskPage { desk, missing } = page;
        let counts = |(section, counts): (Section, Vec<StateCount>)| SectionCountsView {
            section,
            states: counts.into_iter().map(|each| (each.state.as_str().to_owned(), each.articles)).collect(),
        };
        Self {
            status: Status::Success,
            sections: desk.counts.into_iter().map(counts).collect(),
            to_review: desk.to_review.into(),
            returned: desk.returned.into(),
            scheduled: desk.scheduled.into(),
            partial: !missing.is_empty(),
            missing,
        }
    }
}

/// Returns the work that waits for the caller: what to review, what was returned, and what is scheduled.
#[utoipa::path(get, path = "/desk", tag = "news", security(("bearer" = [])), responses(
    (status = 200, description = "The work in all sections in which the caller works. `partial` is true if one of them is unavailable.", body = DeskView),
    (status = 304, description = "The client already has this answer."),
    (status = 401, description = "`unauthenticated`, `invalid_token`"),
    (status = 403, description = "`role_required`: the desk is for staff."),
    (status = 503, description = "No section answered."),
))]
pub(super) async fn get_desk(
    State(news): State<News>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let page = render(news.app.desk(&caller).await?)?;
    let cache = if page.keep { Cache::Private } else { Cache::Never };
    Ok(respond(&page, cache, &headers))
}

fn render(page: DeskPage) -> Result<RenderedAnswer, Refusal> {
    let keep = page.missing.is_empty();
    let body = encode_json(&DeskView::from(page))?;
    Ok(RenderedAnswer {
        etag: digest(&body),
        body: body.into(),
        link: None,
        total: None,
        article: None,
        feed: None,
        shown: Vec::new(),
        lists: Vec::new(),
        keep,
    })
}
