//! Schemas and databases on real servers, a new one for each test.

use sqlx::{Connection, PgConnection};
use testkit::{engine, engine_with};
use uuid::Uuid;

/// Returns a name that is not in use.
fn name() -> String {
    format!("news_{}", Uuid::new_v4().simple())
}

/// Creates a schema and returns its URL.
pub async fn postgres() -> String {
    let schema = name();
    let mut connection = PgConnection::connect(&engine("POSTGRES")).await.expect("the server answers");
    let create = sqlx::AssertSqlSafe(format!("create schema {schema}"));
    sqlx::query(create).execute(&mut connection).await.expect("the schema is created");
    connection.close().await.expect("the connection closes");
    engine_with("POSTGRES", &format!("options[search_path]={schema}"))
}

/// Returns the URL of a new database. MongoDB creates it with the first write.
pub fn mongodb() -> String {
    let url = engine("MONGODB");
    let (server, query) = url.split_once('?').unwrap_or((&url, ""));
    format!("{}/{}?{query}", server.trim_end_matches('/'), name())
}
