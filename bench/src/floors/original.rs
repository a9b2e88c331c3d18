//! The original's orchestrator: each read over a connection and a durable queue of its own, with the same
//! section answering.

use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::broker::{Call, ask_once};

struct Asked {
    broker: String,
    section: String,
}

/// Serves until it is killed.
pub async fn serve(broker: String, section: String) -> Result<()> {
    let asked = Arc::new(Asked { broker, section });
    super::servers::serve(Router::new().route("/{id}", get(read)).with_state(asked)).await
}

async fn read(State(asked): State<Arc<Asked>>, Path(id): Path<String>) -> Response {
    match ask_once(&asked.broker, &asked.section, &Call::get(&id)).await {
        Ok(article) => {
            let body =
                serde_json::json!({"id": article.id, "title": article.title, "content": article.content});
            ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}
