//! The public news API: short handlers that decode, ask `app` and encode.

mod articles;
mod caching;
#[cfg(test)]
mod fuzz;
mod history;
mod home;
mod list_query;
mod lists;
mod views;

use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{FromRequest, FromRequestParts, Request};
use chassis::Verifier;
use chassis::http::{Api, Json, Matrix, MatrixError, Precondition, Problem};
use kernel::{Expected, Fault, Kind, Refusal};
use utoipa::openapi::OpenApi;
use utoipa_axum::routes;

use crate::app::{App, ArticleError};

/// Who may use which route.
pub const ACCESS: &str = include_str!("../../access.toml");

/// What every handler has at hand.
#[derive(Clone)]
pub struct News {
    /// The use cases.
    pub app: Arc<App>,
    /// Where the routes are seen from outside, such as `/news/v1`: the start of every `Location` and `Link`.
    pub public_base: Arc<str>,
}

/// The routes and their document.
///
/// # Errors
/// Where `access.toml` can't be read.
pub fn router(news: News, verifier: Arc<Verifier>) -> Result<(Router, OpenApi), MatrixError> {
    Ok(Api::new("orchestrator", &Matrix::parse(ACCESS)?, verifier)
        .routes(routes!(home::home))
        .routes(routes!(lists::list_all))
        .routes(routes!(lists::page_of_all))
        .routes(routes!(lists::page_of_section))
        .routes(routes!(lists::list_section, articles::create_article, articles::revise_named_article))
        .routes(routes!(
            articles::get_article,
            articles::revise_article,
            articles::patch_article,
            articles::delete_article
        ))
        .routes(routes!(articles::publish_article))
        .routes(routes!(history::unpublish_article))
        .routes(routes!(history::restore_article))
        .routes(routes!(history::undelete_article))
        .routes(routes!(history::get_history))
        .routes(routes!(history::get_version))
        .routes(routes!(history::get_diff))
        .build(news))
}

/// What the caller is told of a failure that others may wait for too. A defect is logged here, where its cause is still known.
fn refused(error: &ArticleError) -> Refusal {
    if error.kind() == Kind::Internal {
        tracing::error!(
            code = error.code().as_str(),
            cause = chassis::causes(error),
            "an answer could not be made"
        );
    }
    error.refusal()
}

/// What a writer without anything else to say has seen: `If-Match`, or else `version` in a body, which may be left out.
struct Seen(Expected);

impl<S: Send + Sync> FromRequest<S> for Seen {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let precondition = Precondition::from_request_parts(&mut parts, state).await?;
        let version = if body.is_end_stream() {
            None
        } else {
            let request = Request::from_parts(parts, body);
            Json::<views::VersionBody>::from_request(request, state).await?.0.version
        };
        precondition.or_version(version).map(Self)
    }
}
