//! The routes of this service, without prefix; the gateway adds `/recommendation/v1`.

mod labels;
mod readers;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use chassis::Verifier;
use chassis::http::{Api, Matrix, MatrixError, private};
use http::StatusCode;
use serde::Serialize;
use utoipa::openapi::OpenApi;
use utoipa_axum::routes;

use crate::NAME;
use crate::app::App;

/// The matrix of roles and routes, which the guard enforces and the tests read.
pub const ACCESS: &str = include_str!("../../access.toml");

/// Returns the router and its OpenAPI document.
///
/// # Errors
/// Fails if `access.toml` is not a valid matrix.
pub fn router(app: App, verifier: Arc<Verifier>) -> Result<(Router, OpenApi), MatrixError> {
    let matrix = Matrix::parse(ACCESS)?;
    Ok(Api::new(NAME, &matrix, verifier)
        .routes(routes!(labels::labels_of_reader))
        .routes(routes!(readers::readers_of_label))
        .build(app))
}

/// An answer about a person, which only the client that asked may cache.
struct Personal<T>(T);

impl<T: Serialize> IntoResponse for Personal<T> {
    fn into_response(self) -> Response {
        private(StatusCode::OK, self.0)
    }
}
