//! The commands of the newsroom: review, schedule, correct and retract.

use axum::extract::State;
use axum::response::Response;
use chassis::http::{Api, Problem};
use proto::news::v1 as messages;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::News;
use super::articles::ArticlePath;
use super::bodies::{CommandBody, CorrectionPatch, VersionBody};
use super::commands::{KeyHeader, OnArticle, Problems};
use super::list_query::{invalid, parse_time};
use super::views::ArticleAnswer;
use crate::ports::Action;

/// Adds the routes of these commands.
pub(super) fn routes(api: Api<News>) -> Api<News> {
    api.routes(routes!(submit_article))
        .routes(routes!(return_article))
        .routes(routes!(approve_article))
        .routes(routes!(schedule_article))
        .routes(routes!(unschedule_article))
        .routes(routes!(correct_article))
        .routes(routes!(retract_article))
        .routes(routes!(reinstate_article))
}

/// Declares a body of a command, with the version that the caller has seen.
macro_rules! command_body {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize, ToSchema)]
        pub struct $name {
            $($(#[$of])* $field: $type,)*
            /// The version that the caller has seen. Required if there is no `If-Match`.
            #[serde(default)]
            version: Option<u32>,
        }

        impl CommandBody for $name {
            fn version(&self) -> Option<u32> {
                self.version
            }
        }
    };
}

command_body! {
    /// The reason why an article goes back to its author.
    ReturnBody {
        /// 1 to 2,000 characters. Only the author and editors see it.
        note: String,
    }
}

command_body! {
    /// The time of a publication.
    ScheduleBody {
        /// RFC 3339 with an offset, such as `2026-12-01T07:00:00+01:00`: in the future (otherwise
        /// `in_the_past`), and within a year (otherwise `too_far`).
        #[schema(format = DateTime)]
        at: String,
    }
}

command_body! {
    /// A public correction.
    CorrectBody {
        /// `correction`, `clarification`, `update` or `note`.
        kind: String,
        /// The error and the truth, in 1 to 2,000 characters.
        text: String,
        /// The changes of the article, as in PATCH. Without them the article stays as it is.
        #[serde(default)]
        patch: Option<CorrectionPatch>,
    }
}

command_body! {
    /// The reason of a retraction.
    RetractBody {
        /// 1 to 2,000 characters. Every reader sees it.
        reason: String,
    }
}

/// Submits a draft for review.
#[utoipa::path(post, path = "/{type}/{id}/submit", tag = "news", params(ArticlePath, KeyHeader),
    request_body = Option<VersionBody>, security(("bearer" = [])),
    responses((status = 200, description = "The article in review.", body = ArticleAnswer), Problems))]
pub(super) async fn submit_article(
    State(news): State<News>,
    request: OnArticle<VersionBody>,
) -> Result<Response, Problem> {
    news.change(request, |_| Action::Submit(messages::SubmitArticle {})).await
}

/// Returns an article in review, or an approved one, to its author. It is a draft again.
#[utoipa::path(post, path = "/{type}/{id}/return", tag = "news", params(ArticlePath, KeyHeader),
    request_body = ReturnBody, security(("bearer" = [])),
    responses((status = 200, description = "The draft, with the note.", body = ArticleAnswer), Problems))]
pub(super) async fn return_article(
    State(news): State<News>,
    request: OnArticle<ReturnBody>,
) -> Result<Response, Problem> {
    news.change(request, |body| Action::Return(messages::ReturnArticle { note: body.note })).await
}

/// Approves an article in review. Editors do not approve their own articles.
#[utoipa::path(post, path = "/{type}/{id}/approve", tag = "news", params(ArticlePath, KeyHeader),
    request_body = Option<VersionBody>, security(("bearer" = [])),
    responses((status = 200, description = "The approved article.", body = ArticleAnswer), Problems))]
pub(super) async fn approve_article(
    State(news): State<News>,
    request: OnArticle<VersionBody>,
) -> Result<Response, Problem> {
    news.change(request, |_| Action::Approve(messages::ApproveArticle {})).await
}

/// Publishes an article at a time in the future.
#[utoipa::path(post, path = "/{type}/{id}/schedule", tag = "news", params(ArticlePath, KeyHeader),
    request_body = ScheduleBody, security(("bearer" = [])),
    responses((status = 200, description = "The scheduled article.", body = ArticleAnswer), Problems))]
pub(super) async fn schedule_article(
    State(news): State<News>,
    request: OnArticle<ScheduleBody>,
) -> Result<Response, Problem> {
    let mut faults = Vec::new();
    let Some(at) = parse_time("/at", Some(&request.body.at), &mut faults) else {
        return Err(invalid(faults).into());
    };
    let schedule = messages::ScheduleArticle { at_ms: at.millis() };
    news.change(request, |_| Action::Schedule(schedule)).await
}

/// Cancels a scheduled publication. The article is approved again.
#[utoipa::path(post, path = "/{type}/{id}/unschedule", tag = "news", params(ArticlePath, KeyHeader),
    request_body = Option<VersionBody>, security(("bearer" = [])),
    responses((status = 200, description = "The approved article.", body = ArticleAnswer), Problems))]
pub(super) async fn unschedule_article(
    State(news): State<News>,
    request: OnArticle<VersionBody>,
) -> Result<Response, Problem> {
    news.change(request, |_| Action::Unschedule(messages::UnscheduleArticle {})).await
}

/// Corrects a published article in public. Editors do not correct their own articles.
#[utoipa::path(post, path = "/{type}/{id}/correct", tag = "news", params(ArticlePath, KeyHeader),
    request_body = CorrectBody, security(("bearer" = [])),
    responses((status = 200, description = "The article, with the correction.", body = ArticleAnswer), Problems))]
pub(super) async fn correct_article(
    State(news): State<News>,
    request: OnArticle<CorrectBody>,
) -> Result<Response, Problem> {
    news.change(request, |body| {
        let CorrectBody { kind, text, patch, .. } = body;
        Action::Correct(messages::CorrectArticle { kind, text, patch: patch.map(CorrectionPatch::into) })
    })
    .await
}

/// Withdraws a published article with a notice, which readers get in its place.
#[utoipa::path(post, path = "/{type}/{id}/retract", tag = "news", params(ArticlePath, KeyHeader),
    request_body = RetractBody, security(("bearer" = [])),
    responses((status = 200, description = "The retracted article, which only staff can read.", body = ArticleAnswer), Problems))]
pub(super) async fn retract_article(
    State(news): State<News>,
    request: OnArticle<RetractBody>,
) -> Result<Response, Problem> {
    news.change(request, |body| Action::Retract(messages::RetractArticle { reason: body.reason })).await
}

/// Makes a retracted article public again.
#[utoipa::path(post, path = "/{type}/{id}/reinstate", tag = "news", params(ArticlePath, KeyHeader),
    request_body = Option<VersionBody>, security(("bearer" = [])),
    responses((status = 200, description = "The article as readers see it again.", body = ArticleAnswer), Problems))]
pub(super) async fn reinstate_article(
    State(news): State<News>,
    request: OnArticle<VersionBody>,
) -> Result<Response, Problem> {
    news.change(request, |_| Action::Reinstate(messages::ReinstateArticle {})).await
}
