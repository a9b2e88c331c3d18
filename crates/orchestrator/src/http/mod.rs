//! The public news API: short handlers that decode, ask `app` and encode.

mod articles;
mod bodies;
mod caching;
mod commands;
mod corrections;
mod desk;
mod feeds;
#[cfg(test)]
mod fuzz;
mod history;
mod home;
mod list_query;
mod lists;
mod live;
mod newsroom;
mod proof;
mod views;

use std::sync::Arc;

use axum::Router;
use chassis::Verifier;
use chassis::http::{Api, EventStreams, Matrix, MatrixError};
use kernel::{Fault, Kind, Refusal};
use utoipa::openapi::OpenApi;
use utoipa_axum::routes;

use crate::NAME;
use crate::app::{App, ArticleError};

/// The matrix of roles and routes, which the guard enforces and the tests read.
pub const ACCESS: &str = include_str!("../../access.toml");

/// The state of the handlers.
#[derive(Clone)]
pub struct News {
    /// The use cases.
    pub app: Arc<App>,
    /// The public path of the routes, such as `/news/v1`: the start of every `Location` and `Link`.
    pub public_base: Arc<str>,
    /// The portal, as feeds name it.
    pub site: Arc<Site>,
    /// The open streams of live events.
    pub streams: Arc<EventStreams>,
}

/// The name and the address of the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The title.
    pub title: String,
    /// The public URL, without a path.
    pub origin: String,
}

/// Returns the router and its OpenAPI document.
///
/// # Errors
/// Fails if `access.toml` is not a valid matrix.
pub fn router(news: News, verifier: Arc<Verifier>) -> Result<(Router, OpenApi), MatrixError> {
    let api = Api::new(NAME, &Matrix::parse(ACCESS)?, verifier)
        .routes(routes!(home::home))
        .routes(routes!(desk::get_desk))
        .routes(routes!(lists::list_all))
        .routes(routes!(lists::page_of_all))
        .routes(routes!(lists::page_of_section))
        .routes(routes!(lists::list_section, commands::create_article, commands::revise_named_article))
        .routes(routes!(
            articles::get_article,
            commands::revise_article,
            commands::patch_article,
            commands::delete_article
        ))
        .routes(routes!(history::get_history))
        .routes(routes!(history::get_version))
        .routes(routes!(history::get_diff))
        .routes(routes!(proof::get_proof))
        .routes(routes!(corrections::get_corrections))
        .routes(routes!(corrections::list_corrections))
        .routes(routes!(live::follow_all))
        .routes(routes!(live::follow_section));
    Ok(newsroom::routes(commands::routes(feeds::routes(api))).build(news))
}

/// Converts a failure to a refusal that several requests can share. A defect is logged here, because its
/// cause is lost in the refusal.
fn refusal_of(error: &ArticleError) -> Refusal {
    if error.kind() == Kind::Internal {
        tracing::error!(
            code = error.code().as_str(),
            cause = chassis::causes(error),
            "an answer could not be made"
        );
    }
    error.refusal()
}
