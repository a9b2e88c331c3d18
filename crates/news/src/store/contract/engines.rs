//! Real servers for tests, each test in a place of its own. A variable that is not set is a failure: whoever asks for the
//! ignored tests wants to see them run.

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

#[allow(clippy::disallowed_methods, reason = "a message from the test command, not a setting")]
fn given(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} says where the server for tests is; `cargo xtask test` sets it")
    })
}

/// A name that nobody else has.
fn name() -> String {
    format!("news_{}", Uuid::new_v4().simple())
}

/// The URL of a new schema.
pub async fn postgres() -> String {
    let (url, schema) = (given("PORTAL_TEST_POSTGRES_URL"), name());
    let mut connection = PgConnection::connect(&url).await.expect("the server for tests answers");
    let create = sqlx::AssertSqlSafe(format!("create schema {schema}"));
    sqlx::query(create).execute(&mut connection).await.expect("a schema is made");
    connection.close().await.expect("the connection closes");
    format!("{url}{}options[search_path]={schema}", if url.contains('?') { '&' } else { '?' })
}

/// The URL of a new database.
pub fn mongodb() -> String {
    let url = given("PORTAL_TEST_MONGODB_URL");
    let (server, query) = url.split_once('?').unwrap_or((&url, ""));
    format!("{}/{}?{query}", server.trim_end_matches('/'), name())
}
