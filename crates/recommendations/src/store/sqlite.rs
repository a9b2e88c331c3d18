use std::collections::BTreeMap;

use async_trait::async_trait;
use chassis::sqlite::Database;
use chassis::{StoreFailure, owe_sqlite};
use kernel::{Label, MatchedLabel, MessageId, Timestamp, UserId};
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::domain::{
    Consent, ConsentRecord, Reading, Recount, Standing, Taste, Visit, WINDOW, minute_of, recount,
};
use crate::ports::{Recorded, TasteGraph, TasteGraphError};

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../db/recommendations/sqlite");

/// The graph as edge tables in one SQLite file: one process, one writer.
#[derive(Clone)]
pub struct SqliteTasteGraph {
    database: Database,
}

impl SqliteTasteGraph {
    /// Opens (and creates) the file that `url` names.
    ///
    /// # Errors
    /// Where it can't be opened, or is open elsewhere.
    pub async fn open(url: &str) -> Result<Self, StoreFailure> {
        let database = Database::open(url, &MIGRATOR).await?;
        while join_spellings(&database).await? {}
        Ok(Self { database })
    }

    /// The file.
    pub fn database(&self) -> &Database {
        &self.database
    }
}

#[async_trait]
impl TasteGraph for SqliteTasteGraph {
    async fn record_read(&self, reading: &Reading) -> Result<Recorded, TasteGraphError> {
        let mut tx = self.database.write().await.map_err(StoreFailure::from)?;
        // Within the transaction: a withdrawal or an erasure can't come between the question and the effect.
        match standing(&mut tx, reading.reader).await? {
            None => return Ok(Recorded::Unheard),
            Some(Standing::Said(consent)) if consent.permits(reading.at) => {}
            Some(Standing::Said(_)) => return Ok(Recorded::Refused),
            Some(Standing::Erased) => {
                // Their token lives on for some minutes. What came over the bus since the erasure is wiped there once more.
                owe_sqlite(&mut tx, reading.reader).await.map_err(StoreFailure::from)?;
                tx.commit().await.map_err(StoreFailure::from)?;
                return Ok(Recorded::Refused);
            }
        }
        take(&mut tx, reading).await?;
        tx.commit().await.map_err(StoreFailure::from)?;
        Ok(Recorded::Taken)
    }

    async fn labels_of(&self, reader: UserId, limit: u32) -> Result<Vec<Taste>, TasteGraphError> {
        let rows: Vec<TasteRow> = sqlx::query_as(
            "select coalesce(shown, label) as shown, weight, reads, last_read_at from tastes
             where reader = ? and reads > 0 order by heft desc, label limit ?",
        )
        .bind(reader.uuid())
        .bind(limit)
        .fetch_all(self.database.reader())
        .await
        .map_err(StoreFailure::from)?;
        Ok(rows.into_iter().map(TasteRow::taste).collect())
    }

    async fn readers_of(&self, label: &Label, limit: u32) -> Result<Vec<UserId>, TasteGraphError> {
        let rows: Vec<(Uuid,)> = sqlx::query_as(
            "select reader from tastes where label = ? and reads > 0 order by heft desc, reader limit ?",
        )
        .bind(label.key())
        .bind(limit)
        .fetch_all(self.database.reader())
        .await
        .map_err(StoreFailure::from)?;
        Ok(rows.into_iter().map(|(reader,)| UserId::new(reader)).collect())
    }

    async fn set_consent(&self, reader: UserId, consent: &ConsentRecord) -> Result<(), TasteGraphError> {
        let mut tx = self.database.write().await.map_err(StoreFailure::from)?;
        match standing(&mut tx, reader).await? {
            Some(Standing::Erased) => return Ok(()),
            Some(Standing::Said(known)) if !consent.replaces(&known) => return Ok(()),
            _ => {}
        }
        put_consent(&mut tx, reader, consent).await?;
        let kept = kept_under(&mut tx, reader, consent).await?;
        delete_tastes_and_visits(&mut tx, reader).await?;
        for reading in &kept {
            take(&mut tx, reading).await?;
        }
        tx.commit().await.map_err(StoreFailure::from)?;
        Ok(())
    }

    async fn consent_of(&self, reader: UserId) -> Result<Option<Standing>, TasteGraphError> {
        let mut connection = self.database.reader().acquire().await.map_err(StoreFailure::from)?;
        Ok(standing(&mut connection, reader).await?)
    }

    async fn erase(&self, reader: UserId, at: Timestamp) -> Result<(), TasteGraphError> {
        let mut tx = self.database.write().await.map_err(StoreFailure::from)?;
        sqlx::query(
            "insert into tombstones (reader, erased_at) values (?, ?) on conflict (reader) do nothing",
        )
        .bind(reader.uuid())
        .bind(at.millis())
        .execute(&mut *tx)
        .await
        .map_err(StoreFailure::from)?;
        delete_tastes_and_visits(&mut tx, reader).await?;
        sqlx::query("delete from consents where reader = ?")
            .bind(reader.uuid())
            .execute(&mut *tx)
            .await
            .map_err(StoreFailure::from)?;
        owe_sqlite(&mut tx, reader).await.map_err(StoreFailure::from)?;
        tx.commit().await.map_err(StoreFailure::from)?;
        self.database.forget().await;
        Ok(())
    }

    async fn forget_visits(&self, before: Timestamp, limit: u32) -> Result<u64, TasteGraphError> {
        let mut tx = self.database.write().await.map_err(StoreFailure::from)?;
        let done = sqlx::query(
            "delete from visits where (reader, article, minute) in
             (select reader, article, minute from visits where last_at < ?
              order by last_at, reader, article, minute limit ?)",
        )
        .bind(before.millis())
        .bind(limit)
        .execute(&mut *tx)
        .await
        .map_err(StoreFailure::from)?;
        tx.commit().await.map_err(StoreFailure::from)?;
        Ok(done.rows_affected())
    }
}

/// Counts a reading that consent permits.
async fn take(tx: &mut SqliteConnection, reading: &Reading) -> Result<(), StoreFailure> {
    let visits = visits_around(tx, reading).await?;
    let recount = recount(&visits, reading);
    for visit in &recount.changed {
        put_visit(tx, reading, visit).await?;
    }
    settle_tastes(tx, reading, &recount).await
}

/// The reader's visits to the article, as far back as the rule looks.
async fn visits_around(tx: &mut SqliteConnection, reading: &Reading) -> Result<Vec<Visit>, StoreFailure> {
    let rows: Vec<VisitRow> = sqlx::query_as(
        "select article, first_at, last_at, message, labels, counted from visits
         where reader = ? and article = ? and minute >= ?",
    )
    .bind(reading.reader.uuid())
    .bind(reading.article.uuid())
    .bind(minute_of(reading.at.minus(WINDOW)) - 1)
    .fetch_all(tx)
    .await?;
    rows.into_iter().map(VisitRow::visit).collect()
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

/// Brings the edges up to what the recount says.
async fn settle_tastes(
    tx: &mut SqliteConnection,
    reading: &Reading,
    recount: &Recount,
) -> Result<(), StoreFailure> {
    let mut known = BTreeMap::new();
    for label in recount.labels(reading) {
        known.extend(taste(tx, reading.reader, label).await?.map(|taste| (label.clone(), taste)));
    }
    for taste in recount.settle(reading, &known) {
        put_taste(tx, reading.reader, &taste).await?;
    }
    Ok(())
}

async fn taste(
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
    Ok(row.map(TasteRow::taste))
}

/// Joins some edges of an older program, which kept each spelling of a label apart; whether there may be more. If it is interrupted, the
/// next start does the rest.
async fn join_spellings(database: &Database) -> Result<bool, StoreFailure> {
    let mut tx = database.write().await?;
    let old: Vec<(Uuid, String)> =
        sqlx::query_as("select reader, label from tastes where shown is null limit 500")
            .fetch_all(&mut *tx)
            .await?;
    for (reader, name) in &old {
        let reader = UserId::new(*reader);
        let row: Option<TasteRow> = sqlx::query_as(
            "delete from tastes where reader = ? and label = ? and shown is null
             returning label as shown, weight, reads, last_read_at",
        )
        .bind(reader.uuid())
        .bind(name)
        .fetch_optional(&mut *tx)
        .await?;
        // Nothing, if it was joined with another spelling a moment ago.
        let Some(taste) = row.map(TasteRow::taste) else { continue };
        let joined = match self::taste(&mut tx, reader, taste.label()).await? {
            Some(other) => other.joined(&taste),
            None => taste,
        };
        put_taste(&mut tx, reader, &joined).await?;
    }
    tx.commit().await?;
    Ok(!old.is_empty())
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
    .bind(taste.kept_weight())
    .bind(taste.reads())
    .bind(taste.last_read_at().millis())
    .bind(taste.heft())
    .execute(tx)
    .await?;
    Ok(())
}

async fn standing(
    connection: &mut SqliteConnection,
    reader: UserId,
) -> Result<Option<Standing>, StoreFailure> {
    let erased: Option<(i64,)> = sqlx::query_as("select erased_at from tombstones where reader = ?")
        .bind(reader.uuid())
        .fetch_optional(&mut *connection)
        .await?;
    if erased.is_some() {
        return Ok(Some(Standing::Erased));
    }
    let said: Option<(bool, bool, u32, i64)> =
        sqlx::query_as("select personalisation, history, version, since from consents where reader = ?")
            .bind(reader.uuid())
            .fetch_optional(connection)
            .await?;
    Ok(said.map(|(personalisation, history, version, since)| {
        let consent = Consent { personalisation, history };
        Standing::Said(ConsentRecord { consent, version, since: Timestamp::from_millis(since) })
    }))
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

/// What the new consent lets stay, as the readings that told of it: those that came before word of the consent did.
async fn kept_under(
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
    let mut kept = Vec::new();
    for row in rows {
        kept.extend(row.readings(reader)?.into_iter().filter(|reading| consent.permits(reading.at)));
    }
    Ok(kept)
}

async fn delete_tastes_and_visits(tx: &mut SqliteConnection, reader: UserId) -> Result<(), StoreFailure> {
    sqlx::query("delete from tastes where reader = ?").bind(reader.uuid()).execute(&mut *tx).await?;
    sqlx::query("delete from visits where reader = ?").bind(reader.uuid()).execute(tx).await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct TasteRow {
    shown: String,
    weight: f64,
    reads: u32,
    last_read_at: i64,
}

impl TasteRow {
    fn taste(self) -> Taste {
        let label = Label::stored(self.shown).into();
        Taste::kept(label, self.weight, self.reads, Timestamp::from_millis(self.last_read_at))
    }
}

#[derive(sqlx::FromRow)]
struct VisitRow {
    article: Uuid,
    first_at: i64,
    last_at: i64,
    message: Uuid,
    labels: String,
    counted: bool,
}

impl VisitRow {
    fn visit(self) -> Result<Visit, StoreFailure> {
        Ok(Visit {
            first_at: Timestamp::from_millis(self.first_at),
            last_at: Timestamp::from_millis(self.last_at),
            message: MessageId::new(self.message),
            labels: serde_json::from_str(&self.labels)?,
            counted: self.counted,
        })
    }

    /// The first reading of the minute, and the last where it was another.
    fn readings(self, reader: UserId) -> Result<Vec<Reading>, StoreFailure> {
        let article = kernel::ArticleId::new(self.article);
        Ok(self.visit()?.readings(reader, article))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    async fn in_a_file_of_its_own() -> (Arc<dyn TasteGraph>, testkit::Folder) {
        let folder = testkit::Folder::new();
        let url = folder.sqlite("recommendations.db");
        (Arc::new(SqliteTasteGraph::open(&url).await.expect("opens")), folder)
    }

    crate::store::contract::every_case!(in_a_file_of_its_own);

    #[tokio::test]
    async fn edges_of_an_older_program_to_spellings_of_one_label_become_one() {
        let folder = testkit::Folder::new();
        let url = folder.sqlite("recommendations.db");
        let first = sqlx::migrate::Migrator::with_migrations(MIGRATOR.iter().take(1).cloned().collect());
        let old = Database::open(&url, &first).await.expect("opens");
        let reader = UserId::new(Uuid::from_u128(1));
        let half_life = i64::try_from(crate::domain::HALF_LIFE.as_millis()).expect("small");
        let mut tx = old.write().await.expect("a transaction");
        for (label, weight, reads, at) in [
            ("Zürich", 2.0, 2, 0),
            ("zürich", 1.0, 1, half_life),
            ("ZU\u{308}RICH", 1.0, 3, half_life / 2),
            ("budget", 4.0, 4, half_life),
            (" Tax", 0.5, 1, half_life),
        ] {
            let kept = Label::parse(label).expect("a label").into();
            let taste = Taste::kept(kept, weight, reads, Timestamp::from_millis(at));
            sqlx::query(
                "insert into tastes (reader, label, weight, reads, last_read_at, heft) values (?, ?, ?, ?, ?, ?)",
            )
            .bind(reader.uuid())
            .bind(label)
            .bind(weight)
            .bind(reads)
            .bind(at)
            .bind(taste.heft())
            .execute(&mut *tx)
            .await
            .expect("it is written");
        }
        tx.commit().await.expect("it is written");
        old.close().await;
        for _ in 0..2 {
            let graph = SqliteTasteGraph::open(&url).await.expect("opens");
            let tastes = graph.labels_of(reader, 10).await.expect("labels");
            let told: Vec<_> =
                tastes.iter().map(|taste| (taste.label().to_string(), taste.reads())).collect();
            let expected = [("budget", 4), ("zürich", 6), (" Tax", 1)];
            assert_eq!(told, expected.map(|(label, reads)| (label.to_owned(), reads)));
            let weight = 1.0 + 1.0 + std::f64::consts::FRAC_1_SQRT_2;
            assert!((tastes[1].kept_weight() - weight).abs() < 1e-9, "{}", tastes[1].kept_weight());
            let zurich = Label::parse("ZÜRICH").expect("a label");
            assert_eq!(graph.readers_of(&zurich, 10).await.expect("readers"), [reader]);
            graph.database().close().await;
        }
    }
}
