//! Extractors for bodies, paths and queries. Those of axum refuse in plain text; these refuse with a problem.

mod body;
mod complete;
mod json;
mod node;
mod query;
mod value;

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use kernel::{Kind, Refusal};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::body::decompress;
pub(super) use self::body::{BodyLimit, MAX_DISCARDED, receive_body};
pub use self::body::{MAX_BODY, MAX_TEXT_BODY};
pub use self::query::{Query, query_time};
pub(super) use self::query::{invalid as invalid_query, pairs};
use super::problem::{Problem, of_status};

/// A JSON body. As an extractor it reads a struct with named fields and reports every fault with a JSON
/// pointer. As a response it is `application/json`.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes)
                .into_response(),
            Err(error) => Problem::from(crate::StoreFailure::from(error)).into_response(),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            return Err(of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let limit = parts.extensions.get::<BodyLimit>().copied().unwrap_or_default();
        // Behind the edge the body has already arrived; this is for a router without an edge.
        let bytes = receive_body(body).await?;
        json::parse(&decompress(&parts.headers, bytes, limit)?).map(Json)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn malformed(code: &'static str, detail: impl Into<String>) -> Problem {
    Refusal::new(Kind::Malformed, code, detail).into()
}

/// The parameters of a path, as a struct with their names. The name decides how an invalid value is refused:
/// 404 `unknown_type` for `type`, 404 `not_found` for an id, 400 for all others.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    #[expect(clippy::disallowed_types, reason = "this is the wrapper")]
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Path(value)).map_err(|rejection| path_problem(&rejection))
    }
}

fn path_problem(rejection: &PathRejection) -> Problem {
    let key = match rejection {
        PathRejection::FailedToDeserializePathParams(error) => match error.kind() {
            ErrorKind::ParseErrorAtKey { key, .. }
            | ErrorKind::DeserializeError { key, .. }
            | ErrorKind::InvalidUtf8InPathParam { key } => key.as_str(),
            _ => "",
        },
        _ => "",
    };
    match key {
        "type" => {
            let names: Vec<&str> = kernel::Section::ALL.iter().map(|section| section.as_str()).collect();
            Refusal::new(Kind::NotFound, "unknown_type", format!("The sections are {}.", names.join(", ")))
                .into()
        }
        id if id == "id" || id.ends_with("_id") => of_status(StatusCode::NOT_FOUND),
        "" => malformed("malformed_path", "The path is not valid."),
        name => malformed("malformed_path", format!("`{name}` in the path is not valid.")),
    }
}
