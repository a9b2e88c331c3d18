//! Commands on articles. Each route is its document and the action that its body becomes; everything else is
//! the same for all.

use std::collections::BTreeMap;

use axum::body::HttpBody;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::response::Response;
use chassis::http::{
    AccessToken, Api, Caller, IdempotencyKey, Json, Path, Precondition, Problem, Query, mark_replayed,
};
use http::header::LOCATION;
use http::{HeaderValue, Method, StatusCode};
use kernel::{ArticleId, Expected, FieldFault, Kind, Refusal, Section};
use proto::news::v1 as messages;
use serde::Deserialize;
use utoipa::openapi::{RefOr, Response as Documented, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses, ToSchema};
use utoipa_axum::routes;

use super::News;
use super::articles::{ArticlePath, SectionPath};
use super::bodies::{CommandBody, DraftBody, PatchBody, ReviseBody, VersionBody};
use super::caching::{Cache, encode_json, json_response, tag};
use super::views::{ArticleAnswer, DeletedView};
use crate::ports::{Action, Command, Done};

/// Adds the routes of the commands that have a path of their own.
pub(super) fn routes(api: Api<News>) -> Api<News> {
    api.routes(routes!(publish_article))
        .routes(routes!(unpublish_article))
        .routes(routes!(restore_article))
        .routes(routes!(undelete_article))
}

/// A command on an article, as its request states it.
pub(super) struct OnArticle<B> {
    section: Section,
    id: ArticleId,
    expected: Expected,
    token: Option<AccessToken>,
    key: Option<String>,
    pub(super) body: B,
}

impl<B: CommandBody, S: Send + Sync> FromRequest<S> for OnArticle<B> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Path(ArticlePath { section, id }) = Path::from_request_parts(&mut parts, state).await?;
        let Ok(Caller { token, .. }) = Caller::from_request_parts(&mut parts, state).await;
        let IdempotencyKey(key) = match parts.method {
            Method::POST => IdempotencyKey::from_request_parts(&mut parts, state).await?,
            // A second PUT, PATCH or DELETE meets another version than the one that it expects.
            _ => IdempotencyKey::default(),
        };
        let precondition = Precondition::from_request_parts(&mut parts, state).await?;
        let body = match B::absent().filter(|_| body.is_end_stream()) {
            Some(absent) => absent,
            None => Json::from_request(Request::from_parts(parts, body), state).await?.0,
        };
        let expected = precondition.or_version(body.version())?;
        Ok(Self { section, id, expected, token, key, body })
    }
}

impl News {
    /// Carries out a command on an article and answers with the article.
    pub(super) async fn change<B>(
        &self,
        request: OnArticle<B>,
        action: impl FnOnce(B) -> Action,
    ) -> Result<Response, Problem> {
        let OnArticle { section, id, expected, token, key, body } = request;
        let command = Command { id: Some(id), expected: Some(expected), action: action(body), token, key };
        article_response(StatusCode::OK, self.command(section, command).await?)
    }

    async fn command(&self, section: Section, command: Command) -> Result<Done, Problem> {
        self.app.command(section, command).await.map_err(Problem::from)
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CreateQuery {
    /// Publishes immediately. If that is not allowed, nothing is created.
    #[serde(default)]
    publish: bool,
}

/// Creates an article: a draft, unless `publish=true`.
#[utoipa::path(post, path = "/{type}", tag = "news", params(SectionPath, CreateQuery, KeyHeader),
    request_body = DraftBody, security(("bearer" = [])),
    responses((status = 201, description = "The new article, at `Location`.", body = ArticleAnswer), CreationProblems))]
pub(super) async fn create_article(
    State(news): State<News>,
    Path(SectionPath { section }): Path<SectionPath>,
    Query(CreateQuery { publish }): Query<CreateQuery>,
    Caller { token, .. }: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Json(body): Json<DraftBody>,
) -> Result<Response, Problem> {
    let action = Action::Create(messages::CreateArticle { fields: Some(body.into()), publish });
    let created = news.command(section, Command { id: None, expected: None, action, token, key }).await?;
    let location = format!("{}/{}/{}", news.public_base, created.article.section, created.article.id);
    let mut response = article_response(StatusCode::CREATED, created)?;
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Replaces the article that the body names with a whole new version.
#[utoipa::path(put, path = "/{type}", tag = "news", params(SectionPath), request_body = ReviseBody,
    security(("bearer" = [])),
    responses((status = 200, description = "The new version.", body = ArticleAnswer), Problems))]
pub(super) async fn revise_named_article(
    State(news): State<News>,
    Path(SectionPath { section }): Path<SectionPath>,
    Caller { token, .. }: Caller,
    precondition: Precondition,
    Json(body): Json<ReviseBody>,
) -> Result<Response, Problem> {
    let id =
        body.id.ok_or_else(|| id_fault("missing", "must name the article, because the address does not"))?;
    let expected = precondition.or_version(body.version())?;
    let request = OnArticle { section, id, expected, token, key: None, body };
    news.change(request, |body| Action::Revise(body.into())).await
}

/// Replaces an article with a whole new version.
#[utoipa::path(put, path = "/{type}/{id}", tag = "news", params(ArticlePath), request_body = ReviseBody,
    security(("bearer" = [])),
    responses((status = 200, description = "The new version.", body = ArticleAnswer), Problems))]
pub(super) async fn revise_article(
    State(news): State<News>,
    request: OnArticle<ReviseBody>,
) -> Result<Response, Problem> {
    if request.body.id.is_some_and(|id| id != request.id) {
        return Err(id_fault("differs", "must be the article that the address names").into());
    }
    news.change(request, |body| Action::Revise(body.into())).await
}

/// Replaces some fields. Without any field the article and its version stay as they are.
#[utoipa::path(patch, path = "/{type}/{id}", tag = "news", params(ArticlePath), request_body = PatchBody,
    security(("bearer" = [])),
    responses((status = 200, description = "The new version, or the current one if the body names no field.",
        body = ArticleAnswer), Problems))]
pub(super) async fn patch_article(
    State(news): State<News>,
    request: OnArticle<PatchBody>,
) -> Result<Response, Problem> {
    news.change(request, |body| Action::Patch(body.into())).await
}

/// Makes an article public.
#[utoipa::path(post, path = "/{type}/{id}/publish", tag = "news", params(ArticlePath, KeyHeader),
    request_body = Option<VersionBody>, security(("bearer" = [])),
    responses((status = 200, description = "The published article.", body = ArticleAnswer), Problems))]
pub(super) async fn publish_article(
    State(news): State<News>,
    request: OnArticle<VersionBody>,
) -> Result<Response, Problem> {
    news.change(request, |_| Action::Publish(messages::PublishArticle {})).await
}

/// Withdraws a published article without a notice. It can be published again.
#[utoipa::path(post, path = "/{type}/{id}/unpublish", tag = "news", params(ArticlePath, KeyHeader),
    request_body = Option<VersionBody>, security(("bearer" = [])),
    responses((status = 200, description = "The article, which readers no longer see.", body = ArticleAnswer), Problems))]
pub(super) async fn unpublish_article(
    State(news): State<News>,
    request: OnArticle<VersionBody>,
) -> Result<Response, Problem> {
    news.change(request, |_| Action::Unpublish(messages::UnpublishArticle {})).await
}

/// The version to go back to.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RestoreBody {
    /// The version whose text comes back. Only `If-Match` can name the version that the caller has seen.
    version: u32,
}

impl CommandBody for RestoreBody {}

/// Adds a version with the text of an older one. The state and the public corrections stay. Authors can go
/// back in their own drafts.
#[utoipa::path(post, path = "/{type}/{id}/restore", tag = "news", params(ArticlePath, KeyHeader),
    request_body = RestoreBody, security(("bearer" = [])),
    responses((status = 200, description = "The new version.", body = ArticleAnswer), Problems))]
pub(super) async fn restore_article(
    State(news): State<News>,
    request: OnArticle<RestoreBody>,
) -> Result<Response, Problem> {
    news.change(request, |RestoreBody { version }| Action::Restore(messages::RestoreArticle { version }))
        .await
}

/// Brings a deleted article back, in the state that it had before.
#[utoipa::path(post, path = "/{type}/{id}/undelete", tag = "news", params(ArticlePath, KeyHeader),
    request_body = Option<VersionBody>, security(("bearer" = [])),
    responses((status = 200, description = "The article as it was before its deletion.", body = ArticleAnswer), Problems))]
pub(super) async fn undelete_article(
    State(news): State<News>,
    request: OnArticle<VersionBody>,
) -> Result<Response, Problem> {
    news.change(request, |_| Action::Undelete(messages::UndeleteArticle {})).await
}

/// Deletes an article that is not public. A published article must be unpublished first.
#[utoipa::path(delete, path = "/{type}/{id}", tag = "news", params(ArticlePath),
    request_body = Option<VersionBody>, security(("bearer" = [])),
    responses((status = 200, description = "The article is deleted.", body = DeletedView), Problems))]
pub(super) async fn delete_article(
    State(news): State<News>,
    request: OnArticle<VersionBody>,
) -> Result<Response, Problem> {
    let OnArticle { section, id, expected, token, key, .. } = request;
    let action = Action::Delete(messages::DeleteArticle {});
    let command = Command { id: Some(id), expected: Some(expected), action, token, key };
    let done = news.command(section, command).await?;
    let response = json_response(StatusCode::OK, encode_json(&DeletedView::from(id))?);
    Ok(Cache::Never.on(tag(response, &done.article.version.etag())))
}

/// Renders the answer to a command: the article with the tag that the next command names.
fn article_response(status: StatusCode, done: Done) -> Result<Response, Problem> {
    let etag = done.article.version.etag();
    let mut response = tag(json_response(status, encode_json(&ArticleAnswer::from(done.article))?), &etag);
    if done.replayed {
        mark_replayed(&mut response);
    }
    Ok(Cache::Never.on(response))
}

fn id_fault(code: &'static str, detail: &str) -> Refusal {
    Refusal::new(Kind::Invalid, "invalid", "The request is not valid; `errors` names each fault.")
        .with_fields(vec![FieldFault::new("/id", code, detail)])
}

/// The key of a request that must have one effect.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its document is used; `IdempotencyKey` reads the header")]
pub(super) struct KeyHeader {
    /// Under one key the command has one effect within 24 hours, and one answer.
    #[param(rename = "Idempotency-Key")]
    key: Option<String>,
}

/// The problems of a command on an article, for the document of its route.
pub(super) struct Problems;

/// The problems of the creation of an article, for the document of its route.
pub(super) struct CreationProblems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        documented([
            ("401", "`unauthenticated`, `invalid_token`"),
            (
                "403",
                "`role_required`; `self_review` if another editor must do this, because the caller wrote the article.",
            ),
            ("404", "`unknown_type`, `not_found`"),
            ("409", "`illegal_transition`, with `state` and `allowed`; `still_running`"),
            ("410", "`retracted`, for callers who may not see the article."),
            ("412", "`stale_version`, with `current_version`."),
            ("422", "`invalid`, with a pointer to each field that breaks a rule; `idempotency_key_reused`"),
            (
                "428",
                "Neither `If-Match` nor `version` in the body names the version that the caller has seen.",
            ),
        ])
    }
}

impl IntoResponses for CreationProblems {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        documented([
            ("401", "`unauthenticated`, `invalid_token`"),
            ("403", "`role_required`; `self_review` for `publish=true`."),
            ("404", "`unknown_type`"),
            ("409", "`still_running`"),
            ("422", "`invalid`, with a pointer to each field that breaks a rule; `idempotency_key_reused`"),
        ])
    }
}

fn documented<const N: usize>(problems: [(&str, &str); N]) -> BTreeMap<String, RefOr<Documented>> {
    let document = |(status, description): (&str, &str)| {
        let response = ResponseBuilder::new().description(description).build();
        (status.to_owned(), RefOr::T(response))
    };
    problems.into_iter().map(document).collect()
}
