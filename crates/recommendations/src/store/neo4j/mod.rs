mod address;
mod pool;
mod rows;
mod spellings;

#[cfg(test)]
pub(super) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use chassis::{Erasable, StoreFailure};
use kernel::{Label, MatchedLabel, Timestamp, UserId};
use neo4rs::{BoltType, Txn};

use self::address::Neo4jAddress;
use self::pool::{AttemptError, Pool};
use crate::domain::{
    COUNT_WINDOW, ConsentRecord, ReaderStatus, Reading, Recount, Taste, Visit, VisitKey, minute_of, recount,
};
use crate::ports::{RecordedReading, TasteGraph};

/// The constraints and indexes, in the order of their files.
const SCHEMA: [&str; 2] = [
    include_str!("../../../../../db/recommendations/neo4j/0001_tastes.cypher"),
    include_str!("../../../../../db/recommendations/neo4j/0003_erasure_duty.cypher"),
];

/// The graph in a Neo4j server, shared by the replicas of this service.
///
/// Every change about a reader first locks the reader's node, so it sees the result of the change before it.
/// Changes about one reader follow each other; changes about two readers meet only at the labels.
#[derive(Clone)]
pub struct Neo4jTasteGraph {
    pool: Pool,
}

/// Checks an address without connecting.
pub fn check_address(url: &str) -> Result<(), StoreFailure> {
    Neo4jAddress::parse(url).map(drop)
}

impl Neo4jTasteGraph {
    /// Connects to the server at `url`, such as `neo4j://user:password@host:7687`, and creates the
    /// constraints that are missing. `budget` is the longest time for a query that a client waits for.
    ///
    /// # Errors
    /// Fails with [`StoreFailure::Unavailable`] if the server does not answer or refuses the login, and with
    /// [`StoreFailure::Broken`] if the URL is not valid. Neither contains the password.
    pub async fn open(url: &str, budget: Duration) -> Result<Self, StoreFailure> {
        let pool = Pool::new(&Neo4jAddress::parse(url)?, budget)?;
        for statement in SCHEMA.iter().flat_map(|file| file.split_terminator(";\n")) {
            pool.write(|| apply_schema(&pool, statement)).await?;
        }
        let graph = Self { pool };
        spellings::join(&graph).await?;
        Ok(graph)
    }

    /// Checks that the server answers.
    pub async fn ping(&self) -> Result<(), StoreFailure> {
        self.pool.read(self.pool.query("RETURN $tenant")).await.map(drop)
    }

    /// Checks that the server accepts writes, by writing a byte.
    pub async fn try_write(&self) -> Result<(), StoreFailure> {
        self.pool.write(|| self.write_health()).await
    }

    async fn write_health(&self) -> Result<(), AttemptError> {
        let mut tx = self.pool.begin().await?;
        tx.run(self.pool.query("MERGE (health:Health {tenant: $tenant}) SET health.at = timestamp()"))
            .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn try_record_read(&self, reading: &Reading) -> Result<RecordedReading, AttemptError> {
        let mut tx = self.pool.begin().await?;
        self.lock(&mut tx, reading.reader).await?;
        let recorded = match self.status(&mut tx, reading.reader).await? {
            None => RecordedReading::ConsentUnknown,
            Some(ReaderStatus::Known(consent)) if consent.permits(reading.at) => {
                self.count_reading(&mut tx, reading).await?;
                RecordedReading::Accepted
            }
            Some(ReaderStatus::Known(_)) => RecordedReading::NotPermitted,
            Some(ReaderStatus::Erased) => {
                // The reader's token stays valid for some minutes, so a later message may have become a dead
                // letter too.
                self.put_duty(&mut tx, reading.reader).await?;
                RecordedReading::NotPermitted
            }
        };
        tx.commit().await?;
        Ok(recorded)
    }

    /// Writes the duty of an erasure, in its transaction: the erasure is not complete everywhere yet.
    async fn put_duty(&self, tx: &mut Txn, reader: UserId) -> Result<(), AttemptError> {
        let duty = self.pool.query("MERGE (:ErasureDuty {tenant: $tenant, reader: $reader})");
        Ok(tx.run(duty.param("reader", reader.to_string())).await?)
    }

    async fn try_delete_duties(&self, readers: &[UserId]) -> Result<(), AttemptError> {
        let mut tx = self.pool.begin().await?;
        let readers: Vec<String> = readers.iter().map(UserId::to_string).collect();
        let done = self
            .pool
            .query("MATCH (duty:ErasureDuty {tenant: $tenant}) WHERE duty.reader IN $readers DELETE duty");
        tx.run(done.param("readers", readers)).await?;
        Ok(tx.commit().await?)
    }

    async fn try_set_consent(&self, reader: UserId, consent: &ConsentRecord) -> Result<(), AttemptError> {
        let mut tx = self.pool.begin().await?;
        self.lock_or_create(&mut tx, reader).await?;
        let is_settled = match self.status(&mut tx, reader).await? {
            Some(ReaderStatus::Erased) => true,
            Some(ReaderStatus::Known(known)) => !consent.replaces(&known),
            None => false,
        };
        if !is_settled {
            self.put_consent(&mut tx, reader, consent).await?;
            let readings = self.readings_under(&mut tx, reader, consent).await?;
            self.delete_tastes_and_visits(&mut tx, reader).await?;
            for reading in &readings {
                self.count_reading(&mut tx, reading).await?;
            }
        }
        Ok(tx.commit().await?)
    }

    async fn try_erase(&self, reader: UserId, at: Timestamp) -> Result<(), AttemptError> {
        let mut tx = self.pool.begin().await?;
        self.lock_or_create(&mut tx, reader).await?;
        self.delete_tastes_and_visits(&mut tx, reader).await?;
        let bare_id = self
            .pool
            .query(
                "MATCH (reader:Reader {tenant: $tenant, id: $reader})
                 SET reader = {tenant: $tenant, id: $reader, erased_at: coalesce(reader.erased_at, $at)}",
            )
            .param("reader", reader.to_string())
            .param("at", at.millis());
        tx.run(bare_id).await?;
        self.put_duty(&mut tx, reader).await?;
        Ok(tx.commit().await?)
    }

    async fn try_forget_visits(&self, before: Timestamp, limit: u32) -> Result<u64, AttemptError> {
        let mut tx = self.pool.begin().await?;
        let lock = self
            .pool
            .query(
                "MATCH (visit:Visit) WHERE visit.tenant = $tenant AND visit.last_at < $before
                 WITH visit ORDER BY visit.last_at, visit.reader, visit.article, visit.minute LIMIT $limit
                 SET visit.locked = true REMOVE visit.locked
                 RETURN elementId(visit) AS id",
            )
            .param("before", before.millis())
            .param("limit", limit);
        let ids: Vec<String> =
            pool::rows(&mut tx, lock).await?.iter().map(|row| row.get("id")).collect::<Result<_, _>>()?;
        // A visit that got a newer reading while this waited for its lock stays.
        let delete = self
            .pool
            .query(
                "MATCH (visit:Visit) WHERE elementId(visit) IN $ids AND visit.last_at < $before
                 DELETE visit RETURN count(*) AS done",
            )
            .param("ids", ids)
            .param("before", before.millis());
        let done: Vec<u64> =
            pool::rows(&mut tx, delete).await?.iter().map(|row| row.get("done")).collect::<Result<_, _>>()?;
        tx.commit().await?;
        Ok(done.iter().sum())
    }

    /// Locks the reader's node if it exists. This is a separate statement, so that the next statement reads
    /// under the lock.
    async fn lock(&self, tx: &mut Txn, reader: UserId) -> Result<(), AttemptError> {
        let lock = self.pool.query(
            "MATCH (reader:Reader {tenant: $tenant, id: $reader}) SET reader.locked = true REMOVE reader.locked",
        );
        Ok(tx.run(lock.param("reader", reader.to_string())).await?)
    }

    /// Locks the reader's node, and creates it if it does not exist.
    async fn lock_or_create(&self, tx: &mut Txn, reader: UserId) -> Result<(), AttemptError> {
        let lock = self.pool.query(
            "MERGE (reader:Reader {tenant: $tenant, id: $reader}) SET reader.locked = true REMOVE reader.locked",
        );
        Ok(tx.run(lock.param("reader", reader.to_string())).await?)
    }

    async fn status(&self, tx: &mut Txn, reader: UserId) -> Result<Option<ReaderStatus>, AttemptError> {
        let query = self.pool.query(rows::STATUS).param("reader", reader.to_string());
        rows::status(&pool::rows(tx, query).await?)
    }

    /// Counts a reading that is permitted by consent.
    async fn count_reading(&self, tx: &mut Txn, reading: &Reading) -> Result<(), AttemptError> {
        let visits = self.visits_around(tx, reading).await?;
        let recount = recount(&visits, reading);
        self.put_visits(tx, reading, &recount.changed).await?;
        self.update_tastes(tx, reading, &recount).await
    }

    /// Returns the reader's visits to the article, as far back as the rule looks.
    async fn visits_around(&self, tx: &mut Txn, reading: &Reading) -> Result<Vec<Visit>, AttemptError> {
        let query = self
            .pool
            .query(
                "MATCH (visit:Visit {tenant: $tenant, reader: $reader, article: $article})
                 WHERE visit.minute >= $from
                 RETURN visit.article AS article, visit.first_at AS first_at, visit.last_at AS last_at,
                        visit.message AS message, visit.labels AS labels, visit.counted AS counted",
            )
            .param("reader", reading.reader.to_string())
            .param("article", reading.article.to_string())
            .param("from", minute_of(reading.at.minus(COUNT_WINDOW)) - 1);
        pool::rows(tx, query).await?.iter().map(rows::visit).collect()
    }

    async fn put_visits(
        &self,
        tx: &mut Txn,
        reading: &Reading,
        visits: &[Visit],
    ) -> Result<(), AttemptError> {
        if visits.is_empty() {
            return Ok(());
        }
        let put = self
            .pool
            .query(
                "UNWIND $visits AS row
                 MERGE (visit:Visit {tenant: $tenant, reader: $reader, article: $article, minute: row.minute})
                 SET visit.first_at = row.first_at, visit.last_at = row.last_at, visit.message = row.message,
                     visit.labels = row.labels, visit.counted = row.counted",
            )
            .param("reader", reading.reader.to_string())
            .param("article", reading.article.to_string())
            .param("visits", visits.iter().map(rows::visit_map).collect::<BoltType>());
        Ok(tx.run(put).await?)
    }

    /// Applies a recount to the edges.
    async fn update_tastes(
        &self,
        tx: &mut Txn,
        reading: &Reading,
        recount: &Recount,
    ) -> Result<(), AttemptError> {
        let known = self.tastes(tx, reading.reader, &recount.labels(reading)).await?;
        self.put_tastes(tx, reading.reader, &recount.changed_tastes(reading, &known)).await
    }

    async fn tastes(
        &self,
        tx: &mut Txn,
        reader: UserId,
        labels: &BTreeSet<&MatchedLabel>,
    ) -> Result<BTreeMap<MatchedLabel, Taste>, AttemptError> {
        let query = self
            .pool
            .query(
                "MATCH (:Reader {tenant: $tenant, id: $reader})-[likes:LIKES]->(label:Label)
                 WHERE label.name IN $labels
                 RETURN coalesce(likes.shown, label.name) AS shown, likes.weight AS weight, likes.reads AS reads,
                        likes.last_read_at AS last_read_at",
            )
            .param("reader", reader.to_string())
            .param("labels", labels.iter().map(|label| label.key()).collect::<BoltType>());
        let rows = pool::rows(tx, query).await?;
        rows.iter().map(|row| rows::taste(row).map(|taste| (taste.label().clone(), taste))).collect()
    }

    /// Writes edges in the order of their labels, so that two readers with the same labels wait for each
    /// other instead of causing a deadlock.
    async fn put_tastes(&self, tx: &mut Txn, reader: UserId, tastes: &[Taste]) -> Result<(), AttemptError> {
        if tastes.is_empty() {
            return Ok(());
        }
        let put = self
            .pool
            .query(
                "MATCH (reader:Reader {tenant: $tenant, id: $reader})
                 UNWIND $tastes AS row
                 MERGE (label:Label {tenant: $tenant, name: row.name})
                 ON CREATE SET label.is_key = true
                 MERGE (reader)-[likes:LIKES]->(label)
                 SET likes.shown = row.shown, likes.weight = row.weight, likes.reads = row.reads,
                     likes.last_read_at = row.last_read_at, likes.heft = row.heft",
            )
            .param("reader", reader.to_string())
            .param("tastes", tastes.iter().map(rows::taste_map).collect::<BoltType>());
        Ok(tx.run(put).await?)
    }

    async fn put_consent(
        &self,
        tx: &mut Txn,
        reader: UserId,
        record: &ConsentRecord,
    ) -> Result<(), AttemptError> {
        let put = self
            .pool
            .query(
                "MATCH (reader:Reader {tenant: $tenant, id: $reader})
                 SET reader.personalisation = $personalisation, reader.history = $history,
                     reader.version = $version, reader.since = $since",
            )
            .param("reader", reader.to_string())
            .param("personalisation", record.consent.personalisation)
            .param("history", record.consent.history)
            .param("version", record.version)
            .param("since", record.since.millis());
        Ok(tx.run(put).await?)
    }

    /// Returns the stored readings that the new consent permits. They arrived before the event about the
    /// consent did.
    async fn readings_under(
        &self,
        tx: &mut Txn,
        reader: UserId,
        consent: &ConsentRecord,
    ) -> Result<Vec<Reading>, AttemptError> {
        if !consent.consent.permits_counting() {
            return Ok(Vec::new());
        }
        // The server uses an index over several properties only if the statement names each of them. Readings
        // that the consent does not permit are left out below: `visit.last_at >= $since` here would make the
        // server scan the visits of all readers.
        let query = self
            .pool
            .query(
                "MATCH (visit:Visit {tenant: $tenant, reader: $reader})
                 WHERE visit.article IS NOT NULL AND visit.minute IS NOT NULL
                 RETURN visit.article AS article, visit.first_at AS first_at, visit.last_at AS last_at,
                        visit.message AS message, visit.labels AS labels, visit.counted AS counted
                 ORDER BY first_at, message",
            )
            .param("reader", reader.to_string());
        let mut readings = Vec::new();
        for row in pool::rows(tx, query).await? {
            readings.extend(
                rows::readings(&row, reader)?.into_iter().filter(|reading| consent.permits(reading.at)),
            );
        }
        Ok(readings)
    }

    async fn delete_tastes_and_visits(&self, tx: &mut Txn, reader: UserId) -> Result<(), AttemptError> {
        let statements = [
            "MATCH (:Reader {tenant: $tenant, id: $reader})-[likes:LIKES]->(label:Label)
             WITH likes ORDER BY label.name DELETE likes",
            "MATCH (visit:Visit {tenant: $tenant, reader: $reader})
             WHERE visit.article IS NOT NULL AND visit.minute IS NOT NULL DELETE visit",
        ];
        for statement in statements {
            tx.run(self.pool.query(statement).param("reader", reader.to_string())).await?;
        }
        Ok(())
    }
}

/// Runs one change of the schema in its own transaction, because the server does not mix it with other
/// statements.
async fn apply_schema(pool: &Pool, statement: &str) -> Result<(), AttemptError> {
    let mut tx = pool.begin().await?;
    tx.run(neo4rs::query(statement)).await?;
    Ok(tx.commit().await?)
}

#[async_trait]
impl TasteGraph for Neo4jTasteGraph {
    async fn record_read(&self, reading: &Reading) -> Result<RecordedReading, StoreFailure> {
        self.pool.write(|| self.try_record_read(reading)).await
    }

    async fn labels_of(&self, reader: UserId, limit: u32) -> Result<Vec<Taste>, StoreFailure> {
        let query = self.pool.query(rows::LABELS).param("reader", reader.to_string()).param("limit", limit);
        let rows = self.pool.read(query).await?;
        Ok(rows.iter().map(rows::taste).collect::<Result<_, AttemptError>>()?)
    }

    async fn visits_of(
        &self,
        reader: UserId,
        after: Option<VisitKey>,
        limit: u32,
    ) -> Result<Vec<(VisitKey, Visit)>, StoreFailure> {
        let query = self
            .pool
            .query(rows::VISITS)
            .param("reader", reader.to_string())
            .param("article", after.map(|key| key.article.to_string()).unwrap_or_default())
            .param("minute", after.map_or(i64::MIN, |key| key.minute))
            .param("limit", limit);
        let rows = self.pool.read(query).await?;
        Ok(rows.iter().map(rows::keyed_visit).collect::<Result<_, AttemptError>>()?)
    }

    async fn readers_of(&self, label: &Label, limit: u32) -> Result<Vec<UserId>, StoreFailure> {
        let query = self.pool.query(rows::READERS).param("label", label.key()).param("limit", limit);
        let rows = self.pool.read(query).await?;
        Ok(rows.iter().map(rows::reader).collect::<Result<_, AttemptError>>()?)
    }

    async fn set_consent(&self, reader: UserId, consent: &ConsentRecord) -> Result<(), StoreFailure> {
        self.pool.write(|| self.try_set_consent(reader, consent)).await
    }

    async fn reader_status(&self, reader: UserId) -> Result<Option<ReaderStatus>, StoreFailure> {
        let query = self.pool.query(rows::STATUS).param("reader", reader.to_string());
        Ok(rows::status(&self.pool.read(query).await?)?)
    }

    async fn erase(&self, reader: UserId, at: Timestamp) -> Result<(), StoreFailure> {
        self.pool.write(|| self.try_erase(reader, at)).await
    }

    async fn forget_visits(&self, before: Timestamp, limit: u32) -> Result<u64, StoreFailure> {
        self.pool.write(|| self.try_forget_visits(before, limit)).await
    }
}

/// Neo4j can't overwrite data on request: the rest in its transaction logs and free records is left to the
/// operator of the server. The duty serves to remove the dead letters.
#[async_trait]
impl Erasable for Neo4jTasteGraph {
    async fn owed(&self) -> Result<Vec<UserId>, StoreFailure> {
        let owed = self.pool.query("MATCH (duty:ErasureDuty {tenant: $tenant}) RETURN duty.reader AS reader");
        let ids = self.pool.read(owed).await?;
        let id = |row: &neo4rs::Row| -> Result<UserId, StoreFailure> {
            let id: String = row.get("reader").map_err(StoreFailure::broken)?;
            id.parse().map_err(|_| StoreFailure::broken("the id of an erased reader is not a UUID"))
        };
        ids.iter().map(id).collect()
    }

    async fn wipe(&self, _: &[UserId]) -> Result<bool, StoreFailure> {
        Ok(true)
    }

    async fn done(&self, readers: &[UserId]) -> Result<(), StoreFailure> {
        self.pool.write(|| self.try_delete_duties(readers)).await
    }
}
