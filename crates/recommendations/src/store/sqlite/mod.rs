mod rows;
mod spellings;

use std::collections::BTreeMap;

use async_trait::async_trait;
use chassis::sqlite::Database;
use chassis::{StoreFailure, enqueue_erasure};
use kernel::{Label, MatchedLabel, Timestamp, UserId};
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use self::rows::{ConsentRow, TasteRow, VisitRow};
use crate::domain::{
    COUNT_WINDOW, ConsentRecord, ReaderStatus, Reading, Recount, Taste, Visit, VisitKey, minute_of, recount,
};
use crate::ports::{RecordedReading, TasteGraph};

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../db/recommendations/sqlite");

/// The graph as tables of edges in one SQLite file, for one process with one writer.
#[derive(Clone)]
pub struct SqliteTasteGraph {
    database: Database,
}

impl SqliteTasteGraph {
    /// Opens the file at `url`, and creates it if it does not exist.
    ///
    /// # Errors
    /// Fails if the file can't be opened, or if another process has it open.
    pub async fn open(url: &str) -> Result<Self, StoreFailure> {
        let database = Database::open(url, &MIGRATOR).await?;
        spellings::join(&database).await?;
        Ok(Self { database })
    }

    /// Returns the file.
    pub fn database(&self) -> &Database {
        &self.database
    }
}

#[async_trait]
impl TasteGraph for SqliteTasteGraph {
    async fn record_read(&self, reading: &Reading) -> Result<RecordedReading, StoreFailure> {
        let mut tx = self.database.write().await?;
        // In the same transaction, so that no withdrawal or erasure can come between this check and its
        // effect.
        match status_of(&mut tx, reading.reader).await? {
            None => return Ok(RecordedReading::ConsentUnknown),
            Some(ReaderStatus::Known(consent)) if consent.permits(reading.at) => {}
            Some(ReaderStatus::Known(_)) => return Ok(RecordedReading::NotPermitted),
            Some(ReaderStatus::Erased) => {
                // The reader's token stays valid for some minutes, so messages may have arrived after the
                // erasure. The duty wipes them from the bus once more.
                enqueue_erasure(&mut tx, reading.reader).await?;
                tx.commit().await?;
                return Ok(RecordedReading::NotPermitted);
            }
        }
        count_reading(&mut tx, reading).await?;
        tx.commit().await?;
        Ok(RecordedReading::Accepted)
    }

    async fn labels_of(&self, reader: UserId, limit: u32) -> Result<Vec<Taste>, StoreFailure> {
        let rows: Vec<TasteRow> = sqlx::query_as(
            "select coalesce(shown, label) as shown, weight, reads, last_read_at from tastes
             where reader = ? and reads > 0 order by heft desc, label limit ?",
        )
        .bind(reader.uuid())
        .bind(limit)
        .fetch_all(self.database.reader())
        .await?;
        Ok(rows.into_iter().map(TasteRow::into_taste).collect())
    }

    async fn visits_of(
        &self,
        reader: UserId,
        after: Option<VisitKey>,
        limit: u32,
    ) -> Result<Vec<(VisitKey, Visit)>, StoreFailure> {
        let rows: Vec<VisitRow> = sqlx::query_as(
            "select article, first_at, last_at, message, labels, counted from visits
             where reader = ? and (article, minute) > (?, ?) order by article, minute limit ?",
        )
        .bind(reader.uuid())
        // No article has the nil id. It sorts before all ids.
        .bind(after.map_or(Uuid::nil(), |key| key.article.uuid()))
        .bind(after.map_or(i64::MIN, |key| key.minute))
        .bind(limit)
        .fetch_all(self.database.reader())
        .await?;
        rows.into_iter().map(VisitRow::into_keyed_visit).collect()
    }

    async fn readers_of(&self, label: &Label, limit: u32) -> Result<Vec<UserId>, StoreFailure> {
        let rows: Vec<(Uuid,)> = sqlx::query_as(
            "select reader from tastes where label = ? and reads > 0 order by heft desc, reader limit ?",
        )
        .bind(label.key())
        .bind(limit)
        .fetch_all(self.database.reader())
        .await?;
        Ok(rows.into_iter().map(|(reader,)| UserId::new(reader)).collect())
    }

    async fn set_consent(&self, reader: UserId, consent: &ConsentRecord) -> Result<(), StoreFailure> {
        let mut tx = self.database.write().await?;
        match status_of(&mut tx, reader).await? {
            Some(ReaderStatus::Erased) => return Ok(()),
            Some(ReaderStatus::Known(known)) if !consent.replaces(&known) => return Ok(()),
            _ => {}
        }
        put_consent(&mut tx, reader, consent).await?;
        let readings = readings_under(&mut tx, reader, consent).await?;
        delete_tastes_and_visits(&mut tx, reader).await?;
        for reading in &readings {
            count_reading(&mut tx, reading).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn reader_status(&self, reader: UserId) -> Result<Option<ReaderStatus>, StoreFailure> {
        let mut connection = self.database.reader().acquire().await?;
        status_of(&mut connection, reader).await
    }

    async fn erase(&self, reader: UserId, at: Timestamp) -> Result<(), StoreFailure> {
        let mut tx = self.database.write().await?;
        sqlx::query(
            "insert into tombstones (reader, erased_at) values (?, ?) on conflict (reader) do nothing",
        )
        .bind(reader.uuid())
        .bind(at.millis())
        .execute(&mut *tx)
        .await?;
        delete_tastes_and_visits(&mut tx, reader).await?;
        sqlx::query("delete from consents where reader = ?").bind(reader.uuid()).execute(&mut *tx).await?;
        enqueue_erasure(&mut tx, reader).await?;
        tx.commit().await?;
        self.database.forget().await;
        Ok(())
    }

    async fn forget_visits(&self, before: Timestamp, limit: u32) -> Result<u64, StoreFailure> {
        let mut tx = self.database.write().await?;
        let done = sqlx::query(
            "delete from visits where (reader, article, minute) in
             (select reader, article, minute from visits where last_at < ?
              order by last_at, reader, article, minute limit ?)",
        )
        .bind(before.millis())
        .bind(limit)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }
}

/// Counts a reading that is permitted by consent.
async fn count_reading(tx: &mut SqliteConnection, reading: &Reading) -> Result<(), StoreFailure> {
    let visits = visits_around(tx, reading).await?;
    let recount = recount(&visits, reading);
    for visit in &recount.changed {
        put_visit(tx, reading, visit).await?;
    }
    update_tastes(tx, reading, &recount).await
}

/// Returns the reader's visits to the article, as far back as the rule looks.
async fn visits_around(tx: &mut SqliteConnection, reading: &Reading) -> Result<Vec<Visit>, StoreFailure> {
    let rows: Vec<VisitRow> = sqlx::query_as(
        "select article, first_at, last_at, message, labels, counted from visits
         where reader = ? and article = ? and minute >= ?",
    )
    .bind(reading.reader.uuid())
    .bind(reading.article.uuid())
    .bind(minute_of(reading.at.minus(COUNT_WINDOW)) - 1)
    .fetch_all(tx)
    .await?;
    rows.into_iter().map(VisitRow::into_visit).collect()
}

async fn put_visit(tx: &mut SqliteConnection, reading: &Reading, visit: &Visit) -> Result<(), StoreFailure> {
    sqlx::query(
        "insert into visits (reader, article, minute, first_at, last_at, message, labels, counted)
         values (?, ?, ?, ?, ?, ?, ?, ?)
         on conflict (reader, article, minute) do update set first_at = excluded.first_at, last_at = excluded.last_at,
             message = excluded.message, labels = excluded.labels, counted = excluded.counted",
    )
    .bind(reading.reader.uuid())
    .bind(reading.article.uuid())
    .bind(minute_of(visit.first_at))
    .bind(visit.first_at.millis())
    .bind(visit.last_at.millis())
    .bind(visit.message.uuid())
    .bind(serde_json::to_string(&visit.labels)?)
    .bind(visit.counted)
    .execute(tx)
    .await?;
    Ok(())
}

/// Applies a recount to the edges.
async fn update_tastes(
    tx: &mut SqliteConnection,
    reading: &Reading,
    recount: &Recount,
) -> Result<(), StoreFailure> {
    let mut known = BTreeMap::new();
    for label in recount.labels(reading) {
        known.extend(taste_of(tx, reading.reader, label).await?.map(|taste| (label.clone(), taste)));
    }
    for taste in recount.changed_tastes(reading, &known) {
        put_taste(tx, reading.reader, &taste).await?;
    }
    Ok(())
}

/// Returns the reader's edge to a label, if there is one.
async fn taste_of(
    tx: &mut SqliteConnection,
    reader: UserId,
    label: &MatchedLabel,
) -> Result<Option<Taste>, StoreFailure> {
    let row: Option<TasteRow> = sqlx::query_as(
        "select coalesce(shown, label) as shown, weight, reads, last_read_at from tastes
         where reader = ? and label = ?",
    )
    .bind(reader.uuid())
    .bind(label.key())
    .fetch_optional(tx)
    .await?;
    Ok(row.map(TasteRow::into_taste))
}

async fn put_taste(tx: &mut SqliteConnection, reader: UserId, taste: &Taste) -> Result<(), StoreFailure> {
    sqlx::query(
        "insert into tastes (reader, label, shown, weight, reads, last_read_at, heft) values (?, ?, ?, ?, ?, ?, ?)
         on conflict (reader, label) do update set shown = excluded.shown, weight = excluded.weight,
             reads = excluded.reads, last_read_at = excluded.last_read_at, heft = excluded.heft",
    )
    .bind(reader.uuid())
    .bind(taste.label().key())
    .bind(taste.label().typed().as_str())
    .bind(taste.stored_weight())
    .bind(taste.reads())
    .bind(taste.last_read_at().millis())
    .bind(taste.weight_rank())
    .execute(tx)
    .await?;
    Ok(())
}

async fn status_of(
    connection: &mut SqliteConnection,
    reader: UserId,
) -> Result<Option<ReaderStatus>, StoreFailure> {
    let erased: Option<(i64,)> = sqlx::query_as("select erased_at from tombstones where reader = ?")
        .bind(reader.uuid())
        .fetch_optional(&mut *connection)
        .await?;
    if erased.is_some() {
        return Ok(Some(ReaderStatus::Erased));
    }
    let consent: Option<ConsentRow> =
        sqlx::query_as("select personalisation, history, version, since from consents where reader = ?")
            .bind(reader.uuid())
            .fetch_optional(connection)
            .await?;
    Ok(consent.map(|row| ReaderStatus::Known(row.into_record())))
}

async fn put_consent(
    tx: &mut SqliteConnection,
    reader: UserId,
    record: &ConsentRecord,
) -> Result<(), StoreFailure> {
    sqlx::query(
        "insert into consents (reader, personalisation, history, version, since) values (?, ?, ?, ?, ?)
         on conflict (reader) do update set personalisation = excluded.personalisation,
             history = excluded.history, version = excluded.version, since = excluded.since",
    )
    .bind(reader.uuid())
    .bind(record.consent.personalisation)
    .bind(record.consent.history)
    .bind(record.version)
    .bind(record.since.millis())
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the stored readings that the new consent permits. They arrived before the event about the consent
/// did.
async fn readings_under(
    tx: &mut SqliteConnection,
    reader: UserId,
    consent: &ConsentRecord,
) -> Result<Vec<Reading>, StoreFailure> {
    if !consent.consent.permits_counting() {
        return Ok(Vec::new());
    }
    let rows: Vec<VisitRow> = sqlx::query_as(
        "select article, first_at, last_at, message, labels, counted from visits
         where reader = ? and last_at >= ? order by first_at, message",
    )
    .bind(reader.uuid())
    .bind(consent.since.millis())
    .fetch_all(tx)
    .await?;
    let mut readings = Vec::new();
    for row in rows {
        readings.extend(row.into_readings(reader)?.into_iter().filter(|reading| consent.permits(reading.at)));
    }
    Ok(readings)
}

async fn delete_tastes_and_visits(tx: &mut SqliteConnection, reader: UserId) -> Result<(), StoreFailure> {
    sqlx::query("delete from tastes where reader = ?").bind(reader.uuid()).execute(&mut *tx).await?;
    sqlx::query("delete from visits where reader = ?").bind(reader.uuid()).execute(tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::contract::TestGraph;

    async fn open() -> TestGraph {
        let folder = testkit::Folder::new();
        let url = folder.sqlite("recommendations.db");
        let graph = SqliteTasteGraph::open(&url).await.expect("opens");
        TestGraph::new(Arc::new(graph), Some(folder))
    }

    crate::store::contract::every_case!(open);
}
