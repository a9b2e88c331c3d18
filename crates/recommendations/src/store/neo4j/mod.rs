mod address;
mod link;
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

use self::address::Address;
use self::link::{Link, Trouble};
use crate::domain::{ConsentRecord, Reading, Recount, Standing, Taste, Visit, WINDOW, minute_of, recount};
use crate::ports::{Recorded, TasteGraph, TasteGraphError};

/// Constraints and indexes, in the order of their files.
const SCHEMA: [&str; 2] = [
    include_str!("../../../../../db/recommendations/neo4j/0001_tastes.cypher"),
    include_str!("../../../../../db/recommendations/neo4j/0003_erasure_duty.cypher"),
];

/// The graph in a Neo4j server, shared by the replicas of this service.
///
/// Every change about a reader first locks the reader's node, so it sees what the one before it left: readings of one reader
/// follow each other, those of two meet only at the labels.
#[derive(Clone)]
pub struct Neo4jTasteGraph {
    link: Link,
}

/// Reads an address, and connects to nothing.
pub fn read(url: &str) -> Result<(), StoreFailure> {
    Address::parse(url).map(drop)
}

impl Neo4jTasteGraph {
    /// Connects to the server that `url` names, as `neo4j://user:password@host:7687`, and makes sure of its constraints.
    /// `budget` is how long a question that somebody waits for may take.
    ///
    /// # Errors
    /// [`StoreFailure::Unavailable`] where the server does not answer or refuses the login, [`StoreFailure::Broken`] where the
    /// URL is not understood. Neither names the password.
    pub async fn open(url: &str, budget: Duration) -> Result<Self, StoreFailure> {
        let link = Link::new(&Address::parse(url)?, budget)?;
        for statement in SCHEMA.iter().flat_map(|file| file.split_terminator(";\n")) {
            link.write(|| schema(&link, statement)).await?;
        }
        let graph = Self { link };
        spellings::join(&graph).await?;
        Ok(graph)
    }

    /// Asks the server whether it still answers.
    pub async fn ping(&self) -> Result<(), StoreFailure> {
        self.link.read(self.link.query("RETURN $tenant")).await.map(drop)
    }

    /// Asks the server whether it takes writes, by writing a byte.
    pub async fn try_write(&self) -> Result<(), StoreFailure> {
        self.link.write(|| self.beat()).await
    }

    async fn beat(&self) -> Result<(), Trouble> {
        let mut tx = self.link.begin().await?;
        tx.run(self.link.query("MERGE (health:Health {tenant: $tenant}) SET health.at = timestamp()"))
            .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn record_once(&self, reading: &Reading) -> Result<Recorded, Trouble> {
        let mut tx = self.link.begin().await?;
        self.lock(&mut tx, reading.reader).await?;
        let recorded = match self.standing(&mut tx, reading.reader).await? {
            None => Recorded::Unheard,
            Some(Standing::Said(consent)) if consent.permits(reading.at) => {
                self.take(&mut tx, reading).await?;
                Recorded::Taken
            }
            Some(Standing::Said(_)) => Recorded::Refused,
            Some(Standing::Erased) => {
                // Their token lives on for some minutes: what it brings may have become a dead letter too.
                self.owe(&mut tx, reading.reader).await?;
                Recorded::Refused
            }
        };
        tx.commit().await?;
        Ok(recorded)
    }

    /// Notes, in the transaction of an erasure, that it is not true everywhere yet.
    async fn owe(&self, tx: &mut Txn, reader: UserId) -> Result<(), Trouble> {
        let owe = self.link.query("MERGE (:ErasureDuty {tenant: $tenant, reader: $reader})");
        Ok(tx.run(owe.param("reader", reader.to_string())).await?)
    }

    async fn done_once(&self, readers: &[UserId]) -> Result<(), Trouble> {
        let mut tx = self.link.begin().await?;
        let readers: Vec<String> = readers.iter().map(UserId::to_string).collect();
        let done = self
            .link
            .query("MATCH (duty:ErasureDuty {tenant: $tenant}) WHERE duty.reader IN $readers DELETE duty");
        tx.run(done.param("readers", readers)).await?;
        Ok(tx.commit().await?)
    }

    async fn consent_once(&self, reader: UserId, consent: &ConsentRecord) -> Result<(), Trouble> {
        let mut tx = self.link.begin().await?;
        self.meet(&mut tx, reader).await?;
        let stands = match self.standing(&mut tx, reader).await? {
            Some(Standing::Erased) => true,
            Some(Standing::Said(known)) => !consent.replaces(&known),
            None => false,
        };
        if !stands {
            self.put_consent(&mut tx, reader, consent).await?;
            let kept = self.kept_under(&mut tx, reader, consent).await?;
            self.delete_tastes_and_visits(&mut tx, reader).await?;
            for reading in &kept {
                self.take(&mut tx, reading).await?;
            }
        }
        Ok(tx.commit().await?)
    }

    async fn erase_once(&self, reader: UserId, at: Timestamp) -> Result<(), Trouble> {
        let mut tx = self.link.begin().await?;
        self.meet(&mut tx, reader).await?;
        self.delete_tastes_and_visits(&mut tx, reader).await?;
        let bare_id = self
            .link
            .query(
                "MATCH (reader:Reader {tenant: $tenant, id: $reader})
                 SET reader = {tenant: $tenant, id: $reader, erased_at: coalesce(reader.erased_at, $at)}",
            )
            .param("reader", reader.to_string())
            .param("at", at.millis());
        tx.run(bare_id).await?;
        self.owe(&mut tx, reader).await?;
        Ok(tx.commit().await?)
    }

    async fn forget_once(&self, before: Timestamp, limit: u32) -> Result<u64, Trouble> {
        let mut tx = self.link.begin().await?;
        let lock = self
            .link
            .query(
                "MATCH (visit:Visit) WHERE visit.tenant = $tenant AND visit.last_at < $before
                 WITH visit ORDER BY visit.last_at, visit.reader, visit.article, visit.minute LIMIT $limit
                 SET visit.locked = true REMOVE visit.locked
                 RETURN elementId(visit) AS id",
            )
            .param("before", before.millis())
            .param("limit", limit);
        let ids: Vec<String> =
            link::rows(&mut tx, lock).await?.iter().map(|row| row.get("id")).collect::<Result<_, _>>()?;
        // A visit that has become younger while its lock was waited for stays.
        let delete = self
            .link
            .query(
                "MATCH (visit:Visit) WHERE elementId(visit) IN $ids AND visit.last_at < $before
                 DELETE visit RETURN count(*) AS done",
            )
            .param("ids", ids)
            .param("before", before.millis());
        let done: Vec<u64> =
            link::rows(&mut tx, delete).await?.iter().map(|row| row.get("done")).collect::<Result<_, _>>()?;
        tx.commit().await?;
        Ok(done.iter().sum())
    }

    /// Locks the reader's node where there is one. A statement of its own: what the next one reads is read under the lock.
    async fn lock(&self, tx: &mut Txn, reader: UserId) -> Result<(), Trouble> {
        let lock = self.link.query(
            "MATCH (reader:Reader {tenant: $tenant, id: $reader}) SET reader.locked = true REMOVE reader.locked",
        );
        Ok(tx.run(lock.param("reader", reader.to_string())).await?)
    }

    /// Locks the reader's node, and makes it where there was none.
    async fn meet(&self, tx: &mut Txn, reader: UserId) -> Result<(), Trouble> {
        let lock = self.link.query(
            "MERGE (reader:Reader {tenant: $tenant, id: $reader}) SET reader.locked = true REMOVE reader.locked",
        );
        Ok(tx.run(lock.param("reader", reader.to_string())).await?)
    }

    async fn standing(&self, tx: &mut Txn, reader: UserId) -> Result<Option<Standing>, Trouble> {
        let query = self.link.query(rows::STANDING).param("reader", reader.to_string());
        rows::standing(&link::rows(tx, query).await?)
    }

    /// Counts a reading that consent permits.
    async fn take(&self, tx: &mut Txn, reading: &Reading) -> Result<(), Trouble> {
        let visits = self.visits_around(tx, reading).await?;
        let recount = recount(&visits, reading);
        self.put_visits(tx, reading, &recount.changed).await?;
        self.settle_tastes(tx, reading, &recount).await
    }

    /// The reader's visits to the article, as far back as the rule looks.
    async fn visits_around(&self, tx: &mut Txn, reading: &Reading) -> Result<Vec<Visit>, Trouble> {
        let query = self
            .link
            .query(
                "MATCH (visit:Visit {tenant: $tenant, reader: $reader, article: $article})
                 WHERE visit.minute >= $from
                 RETURN visit.article AS article, visit.first_at AS first_at, visit.last_at AS last_at,
                        visit.message AS message, visit.labels AS labels, visit.counted AS counted",
            )
            .param("reader", reading.reader.to_string())
            .param("article", reading.article.to_string())
            .param("from", minute_of(reading.at.minus(WINDOW)) - 1);
        link::rows(tx, query).await?.iter().map(rows::visit).collect()
    }

    async fn put_visits(&self, tx: &mut Txn, reading: &Reading, visits: &[Visit]) -> Result<(), Trouble> {
        if visits.is_empty() {
            return Ok(());
        }
        let put = self
            .link
            .query(
                "UNWIND $visits AS told
                 MERGE (visit:Visit {tenant: $tenant, reader: $reader, article: $article, minute: told.minute})
                 SET visit.first_at = told.first_at, visit.last_at = told.last_at, visit.message = told.message,
                     visit.labels = told.labels, visit.counted = told.counted",
            )
            .param("reader", reading.reader.to_string())
            .param("article", reading.article.to_string())
            .param("visits", visits.iter().map(rows::of_visit).collect::<BoltType>());
        Ok(tx.run(put).await?)
    }

    /// Brings the edges up to what the recount says.
    async fn settle_tastes(&self, tx: &mut Txn, reading: &Reading, recount: &Recount) -> Result<(), Trouble> {
        let known = self.tastes(tx, reading.reader, &recount.labels(reading)).await?;
        self.put_tastes(tx, reading.reader, &recount.settle(reading, &known)).await
    }

    async fn tastes(
        &self,
        tx: &mut Txn,
        reader: UserId,
        labels: &BTreeSet<&MatchedLabel>,
    ) -> Result<BTreeMap<MatchedLabel, Taste>, Trouble> {
        let query = self
            .link
            .query(
                "MATCH (:Reader {tenant: $tenant, id: $reader})-[likes:LIKES]->(label:Label)
                 WHERE label.name IN $labels
                 RETURN coalesce(likes.shown, label.name) AS shown, likes.weight AS weight, likes.reads AS reads,
                        likes.last_read_at AS last_read_at",
            )
            .param("reader", reader.to_string())
            .param("labels", labels.iter().map(|label| label.key()).collect::<BoltType>());
        let rows = link::rows(tx, query).await?;
        rows.iter().map(|row| rows::taste(row).map(|taste| (taste.label().clone(), taste))).collect()
    }

    /// In the order of the labels: two readers who like the same ones wait for each other rather than break each other off.
    async fn put_tastes(&self, tx: &mut Txn, reader: UserId, tastes: &[Taste]) -> Result<(), Trouble> {
        if tastes.is_empty() {
            return Ok(());
        }
        let put = self
            .link
            .query(
                "MATCH (reader:Reader {tenant: $tenant, id: $reader})
                 UNWIND $tastes AS told
                 MERGE (label:Label {tenant: $tenant, name: told.name})
                 ON CREATE SET label.is_key = true
                 MERGE (reader)-[likes:LIKES]->(label)
                 SET likes.shown = told.shown, likes.weight = told.weight, likes.reads = told.reads,
                     likes.last_read_at = told.last_read_at, likes.heft = told.heft",
            )
            .param("reader", reader.to_string())
            .param("tastes", tastes.iter().map(rows::of_taste).collect::<BoltType>());
        Ok(tx.run(put).await?)
    }

    async fn put_consent(&self, tx: &mut Txn, reader: UserId, record: &ConsentRecord) -> Result<(), Trouble> {
        let put = self
            .link
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

    /// What the new consent lets stay, as the readings that told of it: those that came before word of the consent did.
    async fn kept_under(
        &self,
        tx: &mut Txn,
        reader: UserId,
        consent: &ConsentRecord,
    ) -> Result<Vec<Reading>, Trouble> {
        if !consent.consent.permits_counting() {
            return Ok(Vec::new());
        }
        // An index over several properties is used where the statement says something about each of them. What the consent
        // does not permit is left out below: `visit.last_at >= $since` here would make the server look at everybody's.
        let query = self
            .link
            .query(
                "MATCH (visit:Visit {tenant: $tenant, reader: $reader})
                 WHERE visit.article IS NOT NULL AND visit.minute IS NOT NULL
                 RETURN visit.article AS article, visit.first_at AS first_at, visit.last_at AS last_at,
                        visit.message AS message, visit.labels AS labels, visit.counted AS counted
                 ORDER BY first_at, message",
            )
            .param("reader", reader.to_string());
        let mut kept = Vec::new();
        for row in link::rows(tx, query).await? {
            kept.extend(
                rows::readings(&row, reader)?.into_iter().filter(|reading| consent.permits(reading.at)),
            );
        }
        Ok(kept)
    }

    async fn delete_tastes_and_visits(&self, tx: &mut Txn, reader: UserId) -> Result<(), Trouble> {
        let statements = [
            "MATCH (:Reader {tenant: $tenant, id: $reader})-[likes:LIKES]->(label:Label)
             WITH likes ORDER BY label.name DELETE likes",
            "MATCH (visit:Visit {tenant: $tenant, reader: $reader})
             WHERE visit.article IS NOT NULL AND visit.minute IS NOT NULL DELETE visit",
        ];
        for statement in statements {
            tx.run(self.link.query(statement).param("reader", reader.to_string())).await?;
        }
        Ok(())
    }
}

/// A transaction of its own for each: the server does not mix changes of the schema with each other's readers.
async fn schema(link: &Link, statement: &str) -> Result<(), Trouble> {
    let mut tx = link.begin().await?;
    tx.run(neo4rs::query(statement)).await?;
    Ok(tx.commit().await?)
}

#[async_trait]
impl TasteGraph for Neo4jTasteGraph {
    async fn record_read(&self, reading: &Reading) -> Result<Recorded, TasteGraphError> {
        Ok(self.link.write(|| self.record_once(reading)).await?)
    }

    async fn labels_of(&self, reader: UserId, limit: u32) -> Result<Vec<Taste>, TasteGraphError> {
        let query = self.link.query(rows::LABELS).param("reader", reader.to_string()).param("limit", limit);
        let tastes = self.link.read(query).await?.iter().map(rows::taste).collect::<Result<_, Trouble>>();
        Ok(tastes.map_err(StoreFailure::from)?)
    }

    async fn readers_of(&self, label: &Label, limit: u32) -> Result<Vec<UserId>, TasteGraphError> {
        let query = self.link.query(rows::READERS).param("label", label.key()).param("limit", limit);
        let readers = self.link.read(query).await?.iter().map(rows::reader).collect::<Result<_, Trouble>>();
        Ok(readers.map_err(StoreFailure::from)?)
    }

    async fn set_consent(&self, reader: UserId, consent: &ConsentRecord) -> Result<(), TasteGraphError> {
        Ok(self.link.write(|| self.consent_once(reader, consent)).await?)
    }

    async fn consent_of(&self, reader: UserId) -> Result<Option<Standing>, TasteGraphError> {
        let query = self.link.query(rows::STANDING).param("reader", reader.to_string());
        Ok(rows::standing(&self.link.read(query).await?).map_err(StoreFailure::from)?)
    }

    async fn erase(&self, reader: UserId, at: Timestamp) -> Result<(), TasteGraphError> {
        Ok(self.link.write(|| self.erase_once(reader, at)).await?)
    }

    async fn forget_visits(&self, before: Timestamp, limit: u32) -> Result<u64, TasteGraphError> {
        Ok(self.link.write(|| self.forget_once(before, limit)).await?)
    }
}

/// Neo4j overwrites nothing on request: what its transaction logs and its free records still hold is for whoever runs the server. The
/// duty is for the dead letters.
#[async_trait]
impl Erasable for Neo4jTasteGraph {
    async fn owed(&self) -> Result<Vec<UserId>, StoreFailure> {
        let owed = self.link.query("MATCH (duty:ErasureDuty {tenant: $tenant}) RETURN duty.reader AS reader");
        let ids = self.link.read(owed).await?;
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
        self.link.write(|| self.done_once(readers)).await
    }
}
