use std::sync::Arc;

use async_trait::async_trait;
use bus::Outbox;
use bus::postgres_outbox::{Bell, PostgresOutbox, enqueue};
use chassis::postgres::{Database, timestamptz};
use chassis::{Erasable, PostgresErasure, StoreFailure, in_time, owe_postgres};
use futures::{TryFutureExt, TryStreamExt};
use kernel::{ArticleId, Timestamp, UserId, Version};
use sqlx::PgConnection;
use sqlx::migrate::Migrator;
use uuid::Uuid;

use super::postgres_answers;
use super::record::{BylineColumns, RecordError, read_event, read_link, write_event};
use crate::domain::{Article, Backwards, Change, GENESIS, Link, Step, link};
use crate::ports::{Answer, AppendError, EventStore, Fact, Once};

static MIGRATOR: Migrator = sqlx::migrate!("../../db/news/postgres-events");

/// The command side in a PostgreSQL database, shared by the section's replicas.
pub struct PostgresEventStore {
    database: Database,
    bell: Bell,
}

impl PostgresEventStore {
    /// Connects, and brings the tables up to date. `service` is the name that the server shows for the connections.
    pub async fn open(url: &str, service: &str) -> Result<Self, StoreFailure> {
        let database = Database::open(url, service, &MIGRATOR).await?;
        Ok(Self { bell: Bell::new(&database), database })
    }

    /// The messages that wait in the same database.
    pub fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(PostgresOutbox::new(self.database.clone()))
    }
}

#[derive(sqlx::FromRow)]
struct VersionRow {
    record: String,
    #[sqlx(flatten)]
    byline: BylineColumns,
}

impl VersionRow {
    fn article(self) -> Result<Article, StoreFailure> {
        Ok(self.change()?.article)
    }

    fn change(self) -> Result<Change, StoreFailure> {
        read_event(&self.record, self.byline).map_err(broken)
    }
}

#[derive(sqlx::FromRow)]
struct LinkRow {
    version: i32,
    record: String,
    prev_hash: String,
    hash: String,
}

fn broken(error: RecordError) -> StoreFailure {
    StoreFailure::broken(error)
}

#[async_trait]
impl EventStore for PostgresEventStore {
    async fn append(&self, facts: &[Fact], once: Option<&Once>) -> Result<(), AppendError> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            let mut before = Vec::with_capacity(facts.len());
            for fact in facts {
                before.push(hash_before(&mut tx, &fact.change).await?);
            }
            if let (Some(once), Some(last)) = (once, facts.last()) {
                // Waits for another transaction under this key, and then finds what that has done.
                postgres_answers::keep_done(&mut tx, once, &last.change.article).await?;
            }
            let mut last: Option<(&Article, String)> = None;
            for (fact, before) in facts.iter().zip(before) {
                let article = &fact.change.article;
                // Of several versions of an article at once each links to the one before it.
                let own =
                    last.filter(|(last, _)| last.id == article.id && last.version.next() == article.version);
                let before = own.map(|(_, hash)| hash).or(before);
                last = Some((article, append_one(&mut tx, fact, before).await?));
            }
            tx.commit().await?;
            self.bell.ring();
            Ok(())
        })
        .await
    }

    async fn answer(&self, once: &Once) -> Result<Option<Answer>, StoreFailure> {
        in_time(postgres_answers::find(self.database.pool(), once)).await
    }

    async fn forget_answers(&self, now: Timestamp, limit: u32) -> Result<u64, StoreFailure> {
        in_time(postgres_answers::forget(self.database.pool(), now, limit)).await
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
        .bind(number(version))
        .fetch_optional(self.database.pool());
        let row = in_time(row.map_err(StoreFailure::from)).await?;
        row.map(VersionRow::article).transpose()
    }

    async fn steps(
        &self,
        id: ArticleId,
        before: Option<Version>,
        limit: u32,
    ) -> Result<Vec<Step>, StoreFailure> {
        in_time(async {
            let mut rows = sqlx::query_as::<_, VersionRow>(
                "select e.record, b.byline, b.person as byline_of
                 from events e join bylines b on b.article = e.article and b.version = e.version
                 where e.article = $1 and e.version < $2 order by e.version desc limit $3",
            )
            .bind(id.uuid())
            .bind(before.map_or(i32::MAX, number))
            .bind(i64::from(limit) + 1)
            .fetch(self.database.pool());
            let mut steps = Backwards::new(limit);
            while let Some(row) = rows.try_next().await? {
                steps.take(row.change()?);
            }
            Ok(steps.steps())
        })
        .await
    }

    async fn history(
        &self,
        id: ArticleId,
        after: Option<Version>,
        limit: u32,
    ) -> Result<Vec<Link>, StoreFailure> {
        let rows = sqlx::query_as::<_, LinkRow>(
            "select version, record, prev_hash, hash from events
             where article = $1 and version > $2 order by version limit $3",
        )
        .bind(id.uuid())
        .bind(after.map_or(0, number))
        .bind(i64::from(limit))
        .fetch_all(self.database.pool());
        let rows = in_time(rows.map_err(StoreFailure::from)).await?;
        let link = |row: LinkRow| read_link(version(row.version), row.record, row.prev_hash, row.hash);
        Ok(rows.into_iter().map(link).collect())
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
        // No article has the nil id: it is before all of them.
        .bind(after.map_or(Uuid::nil(), ArticleId::uuid))
        .bind(i64::from(limit))
        .fetch_all(self.database.pool());
        let rows = in_time(rows.map_err(StoreFailure::from)).await?;
        rows.into_iter().map(VersionRow::article).collect()
    }

    async fn erase(&self, person: UserId) -> Result<(), StoreFailure> {
        in_time(async {
            let mut tx = self.database.begin().await?;
            // Waits for appends in this person's name, and they for this: either sees what the other has done.
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

    fn erasure(&self) -> Option<Arc<dyn Erasable>> {
        Some(Arc::new(PostgresErasure::new(self.database.clone(), "vacuum bylines, answers, outbox")))
    }

    async fn ping(&self) -> Result<(), StoreFailure> {
        in_time(self.database.ping()).await
    }

    async fn try_write(&self) -> Result<(), StoreFailure> {
        in_time(self.database.try_write()).await
    }

    async fn close(&self) {
        self.database.close().await;
    }
}

/// The hash that this version links to; `None` where the version before it is not there. What somebody writes who was erased is
/// refused: a token of theirs may live on for some minutes. From here to the end of the transaction the owner of the byline is not erased:
/// that would miss a byline that is not committed yet.
async fn hash_before(tx: &mut PgConnection, change: &Change) -> Result<Option<String>, AppendError> {
    let article = &change.article;
    let (hash, erased): (Option<String>, bool) = sqlx::query_as(
        "select (select hash from events where article = $1 and version = $2), exists (select 1 from erased where person = $4)
         from pg_advisory_xact_lock_shared(hashtextextended('byline.' || $3::text, 0))",
    )
    .bind(article.id.uuid())
    .bind(number(article.version) - 1)
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

/// Adds a version, and returns its hash. A first version claims its slug; a person who was erased meanwhile gets no byline.
async fn append_one(
    tx: &mut PgConnection,
    fact: &Fact,
    before: Option<String>,
) -> Result<String, AppendError> {
    let article = &fact.change.article;
    let Some(before) = before else { return Err(stale(tx, article).await?) };
    let record = write_event(&fact.change).map_err(broken)?;
    let hash = link(&before, &record);
    // One statement: each is a journey to the server and back, with the lock in hand.
    let (appended, named): (bool, bool) = sqlx::query_as(
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
    .bind(number(article.version))
    .bind(timestamptz(article.updated_at))
    .bind(&record)
    .bind(&before)
    .bind(&hash)
    .bind(BylineColumns::owner_of(&article.byline))
    .bind(article.byline.as_str())
    .bind(article.slug.as_str())
    .fetch_one(&mut *tx)
    .await?;
    match (appended, named) {
        (false, _) => return Err(stale(tx, article).await?),
        (true, false) => return Err(AppendError::SlugTaken),
        (true, true) => {}
    }
    enqueue(tx, &fact.message).await?;
    Ok(hash)
}

async fn stale(tx: &mut PgConnection, article: &Article) -> Result<AppendError, sqlx::Error> {
    let current: Option<i32> = sqlx::query_scalar("select max(version) from events where article = $1")
        .bind(article.id.uuid())
        .fetch_one(tx)
        .await?;
    Ok(AppendError::Stale { current: current.map(version) })
}

/// Versions count single changes: they do not reach the end of an `integer`.
fn number(version: Version) -> i32 {
    i32::try_from(version.number()).unwrap_or(i32::MAX)
}

fn version(number: i32) -> Version {
    Version::new(u32::try_from(number).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_outbox_is_the_one_that_the_bus_describes() {
        let migration = include_str!("../../../../db/news/postgres-events/0002_outbox.sql");
        assert!(migration.contains(bus::postgres_outbox::TABLE.trim()));
    }
}
