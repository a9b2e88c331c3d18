//! The event store in PostgreSQL.

mod answers;
mod newsroom;

use std::sync::Arc;

use async_trait::async_trait;
use bus::Outbox;
use bus::postgres_outbox::{OutboxWake, PostgresOutbox, enqueue};
use chassis::postgres::{Database, timestamptz};
use chassis::{Closer, OpenedStore, PostgresErasure, StoreFailure, in_time, owe_postgres};
use futures::{TryFutureExt, TryStreamExt};
use kernel::{ArticleId, Timestamp, UserId, Version};
use sqlx::PgConnection;
use sqlx::migrate::Migrator;
use uuid::Uuid;

use super::record::{BylineColumns, write_event};
use super::rows::{LinkRow, VersionRow};
use crate::domain::{
    Article, ArticleCorrection, ChainLink, Change, CorrectionPart, GENESIS, HistoryBuilder, HistoryPage,
    VisibleVersions, chain_hash,
};
use crate::ports::{AppendError, ChangeWithMessage, CommandKey, EventStore, KeptAnswer};

static MIGRATOR: Migrator = sqlx::migrate!("../../db/news/postgres-events");

/// The event store in a PostgreSQL database, shared by the section's replicas.
pub struct PostgresEventStore {
    database: Database,
    outbox_wake: OutboxWake,
}

impl PostgresEventStore {
    /// Connects, and updates the tables. `service` is the name that the server shows for the connections.
    pub async fn open(url: &str, service: &str) -> Result<Self, StoreFailure> {
        let database = Database::open(url, service, &MIGRATOR).await?;
        Ok(Self { outbox_wake: OutboxWake::new(&database), database })
    }

    /// Returns the outbox in the same database.
    pub fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(PostgresOutbox::new(self.database.clone()))
    }

    /// Returns what closes the connections.
    pub fn closer(&self) -> Closer {
        let database = self.database.clone();
        Box::pin(async move { database.close().await })
    }

    /// Returns the store with everything that belongs to its database.
    pub fn into_opened(self) -> OpenedStore<dyn EventStore, Arc<dyn Outbox>> {
        let (outbox, closer) = (self.outbox(), self.closer());
        let erasure = PostgresErasure::new(self.database.clone(), "vacuum bylines, answers, outbox");
        OpenedStore::<dyn EventStore>::new(Arc::new(self))
            .with_outbox(outbox)
            .with_erasure(Arc::new(erasure))
            .with_closer(closer)
    }
}

#[async_trait]
impl EventStore for PostgresEventStore {
    async fn append(
        &self,
        changes: &[ChangeWithMessage],
        key: Option<&CommandKey>,
    ) -> Result<(), AppendError> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            let mut before = Vec::with_capacity(changes.len());
            for each in changes {
                before.push(hash_before(&mut tx, &each.change).await?);
            }
            if let (Some(key), Some(last)) = (key, changes.last()) {
                // Waits for another transaction under this key, and then finds its answer.
                answers::keep(&mut tx, key, &last.change.article).await?;
            }
            let mut last: Option<(&Article, String)> = None;
            for (each, before) in changes.iter().zip(before) {
                let article = &each.change.article;
                // Of several new versions of an article, each links to the one before it.
                let own =
                    last.filter(|(last, _)| last.id == article.id && last.version.next() == article.version);
                let before = own.map(|(_, hash)| hash).or(before);
                last = Some((article, append_one(&mut tx, each, before).await?));
            }
            tx.commit().await?;
            self.outbox_wake.notify();
            Ok(())
        })
        .await
    }

    async fn answer(&self, key: &CommandKey) -> Result<Option<KeptAnswer>, StoreFailure> {
        in_time(answers::find(self.database.pool(), key)).await
    }

    async fn forget_answers(&self, now: Timestamp, limit: u32) -> Result<u64, StoreFailure> {
        in_time(answers::forget(self.database.pool(), now, limit)).await
    }

    async fn latest(&self, id: ArticleId) -> Result<Option<Article>, StoreFailure> {
        let row = sqlx::query_as::<_, VersionRow>(
            "select e.record, b.byline, b.person as byline_of
             from events e join bylines b on b.article = e.article and b.version = e.version
             where e.article = $1 order by e.version desc limit 1",
        )
        .bind(id.uuid())
        .fetch_optional(self.database.pool());
        let row = in_time(row.map_err(StoreFailure::from)).await?;
        row.map(VersionRow::article).transpose()
    }

    async fn version(&self, id: ArticleId, version: Version) -> Result<Option<Article>, StoreFailure> {
        let row = sqlx::query_as::<_, VersionRow>(
            "select e.record, b.byline, b.person as byline_of
             from events e join bylines b on b.article = e.article and b.version = e.version
             where e.article = $1 and e.version = $2",
        )
        .bind(id.uuid())
        .bind(integer(version))
        .fetch_optional(self.database.pool());
        let row = in_time(row.map_err(StoreFailure::from)).await?;
        row.map(VersionRow::article).transpose()
    }

    async fn history(
        &self,
        id: ArticleId,
        visible: VisibleVersions,
        before: Option<Version>,
        limit: u32,
    ) -> Result<HistoryPage, StoreFailure> {
        in_time(async {
            let mut history = HistoryBuilder::new(visible, limit);
            let (mut before, mut is_last) = (before, false);
            while !is_last && !history.is_complete() {
                let mut rows = sqlx::query_as::<_, VersionRow>(
                    "select e.record, b.byline, b.person as byline_of
                     from events e join bylines b on b.article = e.article and b.version = e.version
                     where e.article = $1 and e.version < $2 order by e.version desc limit $3",
                )
                .bind(id.uuid())
                .bind(before.map_or(i32::MAX, integer))
                .bind(i64::from(limit) + 1)
                .fetch(self.database.pool());
                is_last = true;
                while let Some(row) = rows.try_next().await? {
                    let change = row.change()?;
                    (before, is_last) = (Some(change.article.version), false);
                    history.add(change);
                }
            }
            Ok(history.build())
        })
        .await
    }

    async fn scheduled(&self, limit: u32) -> Result<Vec<(ArticleId, Timestamp)>, StoreFailure> {
        in_time(newsroom::scheduled(self.database.pool(), limit)).await
    }

    async fn corrections(&self, part: &CorrectionPart) -> Result<Vec<ArticleCorrection>, StoreFailure> {
        in_time(newsroom::corrections(self.database.pool(), part)).await
    }

    async fn links(
        &self,
        id: ArticleId,
        after: Option<Version>,
        limit: u32,
    ) -> Result<Vec<ChainLink>, StoreFailure> {
        let rows = sqlx::query_as::<_, LinkRow<i32>>(
            "select version, record, prev_hash, hash from events
             where article = $1 and version > $2 order by version limit $3",
        )
        .bind(id.uuid())
        .bind(after.map_or(0, integer))
        .bind(i64::from(limit))
        .fetch_all(self.database.pool());
        let rows = in_time(rows.map_err(StoreFailure::from)).await?;
        Ok(rows.into_iter().map(|row| row.link(version)).collect())
    }

    async fn ids(&self, after: Option<ArticleId>, limit: u32) -> Result<Vec<ArticleId>, StoreFailure> {
        let ids = sqlx::query_scalar::<_, Uuid>(
            "select distinct article from events where article > $1 order by article limit $2",
        )
        .bind(after.map_or(Uuid::nil(), ArticleId::uuid))
        .bind(i64::from(limit))
        .fetch_all(self.database.pool());
        let ids = in_time(ids.map_err(StoreFailure::from)).await?;
        Ok(ids.into_iter().map(ArticleId::new).collect())
    }

    async fn walk(&self, after: Option<ArticleId>, limit: u32) -> Result<Vec<Article>, StoreFailure> {
        let rows = sqlx::query_as::<_, VersionRow>(
            "select e.record, b.byline, b.person as byline_of
             from events e join bylines b on b.article = e.article and b.version = e.version
             where e.article > $1
               and not exists (select 1 from events n where n.article = e.article and n.version = e.version + 1)
             order by e.article limit $2",
        )
        // No article has the nil id. It sorts before all ids.
        .bind(after.map_or(Uuid::nil(), ArticleId::uuid))
        .bind(i64::from(limit))
        .fetch_all(self.database.pool());
        let rows = in_time(rows.map_err(StoreFailure::from)).await?;
        rows.into_iter().map(VersionRow::article).collect()
    }

    async fn erase(&self, person: UserId) -> Result<(), StoreFailure> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            // Appends in this person's name wait for this transaction, and it waits for them. So each sees
            // the effect of the other.
            sqlx::query("select pg_advisory_xact_lock(hashtextextended('byline.' || $1::text, 0))")
                .bind(person.uuid())
                .execute(&mut *tx)
                .await?;
            sqlx::query("insert into erased (person) values ($1) on conflict (person) do nothing")
                .bind(person.uuid())
                .execute(&mut *tx)
                .await?;
            sqlx::query("update bylines set byline = '' where person = $1 and byline <> ''")
                .bind(person.uuid())
                .execute(&mut *tx)
                .await?;
            sqlx::query("delete from answers where owner = $1").bind(person.uuid()).execute(&mut *tx).await?;
            let named: bool = sqlx::query_scalar("select exists (select 1 from bylines where person = $1)")
                .bind(person.uuid())
                .fetch_one(&mut *tx)
                .await?;
            if named {
                owe_postgres(&mut tx, person).await?;
            }
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    async fn ping(&self) -> Result<(), StoreFailure> {
        in_time(self.database.ping()).await
    }

    async fn try_write(&self) -> Result<(), StoreFailure> {
        in_time(self.database.try_write()).await
    }
}

/// Returns the hash that this version links to; `None` if the version before it does not exist. A change of
/// an erased account, whose token is valid for some more minutes, is refused. From here to the end of the
/// transaction the owner of the byline can't be erased: an erasure would miss a byline that is not committed
/// yet.
async fn hash_before(tx: &mut PgConnection, change: &Change) -> Result<Option<String>, AppendError> {
    let article = &change.article;
    let (hash, erased): (Option<String>, bool) = sqlx::query_as(
        "select (select hash from events where article = $1 and version = $2), exists (select 1 from erased where person = $4)
         from pg_advisory_xact_lock_shared(hashtextextended('byline.' || $3::text, 0))",
    )
    .bind(article.id.uuid())
    .bind(integer(article.version) - 1)
    .bind(BylineColumns::owner_of(&article.byline))
    .bind(change.by.uuid())
    .fetch_one(tx)
    .await?;
    match erased {
        true => Err(AppendError::Erased),
        false if article.version == Version::FIRST => Ok(Some(GENESIS.to_owned())),
        false => Ok(hash),
    }
}

/// Adds a version. Returns its hash. A first version claims its slug. A person who was erased meanwhile gets
/// no byline.
async fn append_one(
    tx: &mut PgConnection,
    appended: &ChangeWithMessage,
    before: Option<String>,
) -> Result<String, AppendError> {
    let article = &appended.change.article;
    let Some(before) = before else { return Err(stale(tx, article).await?) };
    let record = write_event(&appended.change).map_err(StoreFailure::broken)?;
    let hash = chain_hash(&before, &record);
    // One statement, because each is a round trip to the server that holds the lock.
    let (inserted, named): (bool, bool) = sqlx::query_as(
        "with event as (
             insert into events (article, version, happened_at, record, prev_hash, hash) values ($1, $2, $3, $4, $5, $6)
             on conflict (article, version) do nothing returning 1
         ), byline as (
             insert into bylines (article, version, person, byline)
             select $1, $2, $7, case when exists (select 1 from erased where person = $7) then '' else $8 end from event
         ), slug as (
             insert into slugs (slug, article) select $9, $1 from event where $2 = 1
             on conflict (slug) do nothing returning 1
         )
         select exists (select 1 from event), $2 <> 1 or exists (select 1 from slug)",
    )
    .bind(article.id.uuid())
    .bind(integer(article.version))
    .bind(timestamptz(article.updated_at))
    .bind(&record)
    .bind(&before)
    .bind(&hash)
    .bind(BylineColumns::owner_of(&article.byline))
    .bind(article.byline.as_str())
    .bind(article.slug.as_str())
    .fetch_one(&mut *tx)
    .await?;
    match (inserted, named) {
        (false, _) => return Err(stale(tx, article).await?),
        (true, false) => return Err(AppendError::SlugTaken),
        (true, true) => {}
    }
    newsroom::follow(tx, &appended.change).await?;
    enqueue(tx, &appended.message).await?;
    Ok(hash)
}

async fn stale(tx: &mut PgConnection, article: &Article) -> Result<AppendError, sqlx::Error> {
    let current: Option<i32> = sqlx::query_scalar("select max(version) from events where article = $1")
        .bind(article.id.uuid())
        .fetch_one(tx)
        .await?;
    Ok(AppendError::Stale { current: current.map(version) })
}

/// Returns the version as an `integer`. Versions count single changes, so they do not reach its end.
fn integer(version: Version) -> i32 {
    i32::try_from(version.number()).unwrap_or(i32::MAX)
}

/// Reads a version from an `integer`.
fn version(number: i32) -> Version {
    Version::new(u32::try_from(number).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_outbox_table_is_the_one_that_the_bus_describes() {
        let migration = include_str!("../../../../../db/news/postgres-events/0002_outbox.sql");
        assert!(migration.contains(bus::postgres_outbox::TABLE.trim()));
    }
}
