//! The forms in which labels and bylines are compared. They are made in code, because SQLite folds only
//! ASCII.

use chassis::StoreFailure;
use chassis::sqlite::Database;
use kernel::{Label, match_key, nfc};
use sqlx::SqliteConnection;
use uuid::Uuid;

/// The most articles that one transaction changes.
const BATCH: u32 = 200;

/// Returns the column `labels`: a JSON list of the forms in which the labels are compared.
pub(super) fn of_labels(labels: &[Label]) -> Result<String, StoreFailure> {
    Ok(serde_json::to_string(&labels.iter().map(Label::key).collect::<Vec<_>>())?)
}

/// Returns the column `byline_key`: the form in which the byline is compared, if it is another text.
pub(super) fn of_byline(byline: &str) -> Option<String> {
    let key = nfc(byline);
    (key != byline).then(|| key.into_owned())
}

/// Gives the articles of an older program their keys, once for each file. If it is interrupted, the next
/// start does the rest.
pub(super) async fn renew(database: &Database) -> Result<(), StoreFailure> {
    let done: bool = sqlx::query_scalar("select exists (select 1 from done where work = 'keys')")
        .fetch_one(database.reader())
        .await?;
    if done {
        return Ok(());
    }
    let labels: Vec<String> =
        sqlx::query_scalar("select distinct label from article_labels").fetch_all(database.reader()).await?;
    for label in labels.iter().filter(|label| match_key(label) != **label) {
        while renew_labels(database, label).await? {}
    }
    let bylines: Vec<String> =
        sqlx::query_scalar("select distinct coalesce(byline_key, byline) from articles")
            .fetch_all(database.reader())
            .await?;
    for (byline, key) in bylines.iter().filter_map(|byline| Some((byline, of_byline(byline)?))) {
        let mut tx = database.write().await?;
        sqlx::query("update articles set byline_key = ?2 where coalesce(byline_key, byline) = ?1")
            .bind(byline)
            .bind(key)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
    }
    let mut tx = database.write().await?;
    sqlx::query("insert into done (work) values ('keys')").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Renews the labels of some articles that are listed under `label`. Returns whether there may be more.
async fn renew_labels(database: &Database, label: &str) -> Result<bool, StoreFailure> {
    let mut tx = database.write().await?;
    let old: Vec<(Uuid, String)> = sqlx::query_as(
        "select a.id, a.document ->> '$.tags' from article_labels l join articles a on a.id = l.article
         where l.label = ? limit ?",
    )
    .bind(label)
    .bind(BATCH)
    .fetch_all(&mut *tx)
    .await?;
    for (id, tags) in &old {
        let tags: Vec<Label> = serde_json::from_str(tags)?;
        put_labels(&mut tx, *id, &of_labels(&tags)?).await?;
    }
    tx.commit().await?;
    Ok(!old.is_empty())
}

async fn put_labels(tx: &mut SqliteConnection, id: Uuid, labels: &str) -> Result<(), sqlx::Error> {
    sqlx::query("update articles set labels = ? where id = ?").bind(labels).bind(id).execute(tx).await?;
    Ok(())
}
