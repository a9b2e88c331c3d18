//! Floors that are bare axum servers.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Path as Part, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

#[derive(Serialize)]
struct Body {
    id: &'static str,
    text: Arc<str>,
}

/// Returns a handler that responds to each request with a new JSON object of about this many bytes.
pub async fn json(bytes: usize) -> Result<()> {
    let id = "0192d6b0-5f62-7c7e-8a53-0123456789ab";
    let text: Arc<str> = "x".repeat(bytes.saturating_sub(id.len() + 18)).into();
    let handler = move || {
        let body = Body { id, text: text.clone() };
        async move { axum::Json(body) }
    };
    serve(Router::new().route("/{id}", get(handler))).await
}

/// A handler that reads one row by its key.
pub async fn sqlite(file: &Path) -> Result<()> {
    let options = SqliteConnectOptions::new().filename(file).journal_mode(SqliteJournalMode::Wal);
    #[expect(clippy::disallowed_methods, reason = "a floor does without chassis")]
    let pool = SqlitePoolOptions::new().max_connections(4).idle_timeout(None).max_lifetime(None);
    let pool = pool.connect_with(options).await.context("the file")?;
    serve(Router::new().route("/{id}", get(row)).with_state(pool)).await
}

async fn row(State(pool): State<SqlitePool>, Part(id): Part<String>) -> Response {
    let read = sqlx::query_scalar::<_, String>("select body from articles where id = $1").bind(id);
    match read.fetch_optional(&pool).await {
        Ok(Some(body)) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Serves on a free port until it is killed.
pub async fn serve(router: Router) -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("a port")?;
    crate::say(&format!("ready at {}", listener.local_addr().context("the address")?));
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router).await.context("serving")
}
