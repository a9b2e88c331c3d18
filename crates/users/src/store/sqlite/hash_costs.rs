//! The costs of hashing in the SQLite store.

use chassis::sqlite::Database;

use crate::ports::{HashCost, UserStoreError};
use crate::store::hash_costs::{SAMPLE, count_costs};

/// See [`crate::ports::UserStore::hash_costs`].
pub async fn hash_costs(database: &Database) -> Result<Vec<HashCost>, UserStoreError> {
    let last: Option<i64> =
        sqlx::query_scalar("select max(rowid) from users").fetch_one(database.reader()).await?;
    let last = last.unwrap_or_default();
    let hashes: Vec<String> = if last <= SAMPLE {
        sqlx::query_scalar("select password from users").fetch_all(database.reader()).await?
    } else {
        // Rows are numbered by registration, with few gaps: numbers at even distances are accounts of all
        // ages.
        let numbers: Vec<i64> = (0..SAMPLE).map(|number| 1 + number * (last / SAMPLE)).collect();
        sqlx::query_scalar("select password from users where rowid in (select value from json_each($1))")
            .bind(serde_json::Value::from(numbers).to_string())
            .fetch_all(database.reader())
            .await?
    };
    Ok(count_costs(&hashes))
}
