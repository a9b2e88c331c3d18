use std::sync::Arc;

use async_trait::async_trait;
use bus::Outbox;
use bus::sqlite_outbox::{SqliteOutbox, enqueue};
use chassis::sqlite::Database;
use chassis::{Erasable, SqliteErasure, StoreFailure, owe_sqlite};
use futures::TryStreamExt;
use kernel::{ArticleId, Timestamp, UserId, Version};
use sqlx::SqliteConnection;
use sqlx::migrate::Migrator;
use tokio::sync::Notify;
use uuid::Uuid;

use super::record::{BylineColumns, RecordError, read_event, read_link, write_event};
use super::sqlite_answers;
use crate::domain::{Article, Backwards, Change, GENESIS, Link, Step, link};
use crate::ports::{Answer, AppendError, EventStore, Fact, Once};

static MIGRATOR: Migrator = sqlx::migrate!("../../db/news/sqlite-events");

/// The command side in a SQLite file: one process, one writer.
pub struct SqliteEventStore {
    database: Database,
    wake: Arc<Notify>,
}

impl SqliteEventStore {
    /// Opens or creates the file.
    pub async fn open(url: &str) -> Result<Self, StoreFailure> {
        let database = Database::open(url, &MIGRATOR).await?;
        Ok(Self { database, wake: Arc::default() })
    }

    /// The messages that wait in the same file.
    pub fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(SqliteOutbox::new(self.database.clone(), self.wake.clone()))
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
    version: u32,
    record: String,
    prev_hash: String,
    hash: String,
}

fn broken(error: RecordError) -> StoreFailure {
    StoreFailure::broken(error)
}

#[async_trait]
impl EventStore for SqliteEventStore {
    async fn append(&self, facts: &[Fact], once: Option<&Once>) -> Result<(), AppendError> {
        let mut tx = self.database.write().await?;
        refuse_the_erased(&mut tx, facts).await?;
        if let (Some(once), Some(last)) = (once, facts.last()) {
            sqlite_answers::keep_done(&mut tx, once, &last.change.article).await?;
        }
        for fact in facts {
            append_one(&mut tx, fact).await?;
        }
        tx.commit().await?;
        self.wake.notify_one();
        Ok(())
    }

    async fn answer(&self, once: &Once) -> Result<Option<Answer>, StoreFailure> {
        sqlite_answers::find(self.database.reader(), once).await
    }

    async fn forget_answers(&self, now: Timestamp, limit: u32) -> Result<u64, StoreFailure> {
        let mut tx = self.database.write().await?;
        let forgotten = sqlite_answers::forget(&mut tx, now, limit).await?;
        tx.commit().await?;
        Ok(forgotten)
    }

    async fn latest(&self, id: ArticleId) -> Result<Option<Article>, StoreFailure> {
        let row: Option<VersionRow> = sqlx::query_as(
            "select e.record, b.byline, b.person as byline_of
             from events e join bylines b on b.article = e.article and b.version = e.version
             where e.article = ? order by e.version desc limit 1",
        )
        .bind(id.uuid())
        .fetch_optional(self.database.reader())
        .await?;
        row.map(VersionRow::article).transpose()
    }

    async fn version(&self, id: ArticleId, version: Version) -> Result<Option<Article>, StoreFailure> {
        let row: Option<VersionRow> = sqlx::query_as(
            "select e.record, b.byline, b.person as byline_of
             from events e join bylines b on b.article = e.article and b.version = e.version
             where e.article = ? and e.version = ?",
        )
        .bind(id.uuid())
        .bind(version.number())
        .fetch_optional(self.database.reader())
        .await?;
        row.map(VersionRow::article).transpose()
    }

    async fn steps(
        &self,
        id: ArticleId,
        before: Option<Version>,
        limit: u32,
    ) -> Result<Vec<Step>, StoreFailure> {
        let mut rows = sqlx::query_as::<_, VersionRow>(
            "select e.record, b.byline, b.person as byline_of
             from events e join bylines b on b.article = e.article and b.version = e.version
             where e.article = ? and e.version < ? order by e.version desc limit ?",
        )
        .bind(id.uuid())
        .bind(before.map_or(u32::MAX, Version::number))
        .bind(i64::from(limit) + 1)
        .fetch(self.database.reader());
        let mut steps = Backwards::new(limit);
        while let Some(row) = rows.try_next().await? {
            steps.take(row.change()?);
        }
        Ok(steps.steps())
    }

    async fn history(
        &self,
        id: ArticleId,
        after: Option<Version>,
        limit: u32,
    ) -> Result<Vec<Link>, StoreFailure> {
        let rows: Vec<LinkRow> = sqlx::query_as(
            "select version, record, prev_hash, hash from events
             where article = ? and version > ? order by version limit ?",
        )
        .bind(id.uuid())
        .bind(after.map_or(0, Version::number))
        .bind(limit)
        .fetch_all(self.database.reader())
        .await?;
        let link = |row: LinkRow| read_link(Version::new(row.version), row.record, row.prev_hash, row.hash);
        Ok(rows.into_iter().map(link).collect())
    }

    async fn ids(&self, after: Option<ArticleId>, limit: u32) -> Result<Vec<ArticleId>, StoreFailure> {
        let ids: Vec<Uuid> = sqlx::query_scalar(
            "select distinct article from events where article > ? order by article limit ?",
        )
        .bind(after.map_or(Uuid::nil(), ArticleId::uuid))
        .bind(limit)
        .fetch_all(self.database.reader())
        .await?;
        Ok(ids.into_iter().map(ArticleId::new).collect())
    }

    async fn walk(&self, after: Option<ArticleId>, limit: u32) -> Result<Vec<Article>, StoreFailure> {
        let rows: Vec<VersionRow> = sqlx::query_as(
            "select e.record, b.byline, b.person as byline_of
             from events e join bylines b on b.article = e.article and b.version = e.version
             where e.article > ?
               and not exists (select 1 from events n where n.article = e.article and n.version = e.version + 1)
             order by e.article limit ?",
        )
        // No article has the nil id: it is before all of them.
        .bind(after.map_or(Uuid::nil(), ArticleId::uuid))
        .bind(limit)
        .fetch_all(self.database.reader())
        .await?;
        rows.into_iter().map(VersionRow::article).collect()
    }

    async fn erase(&self, person: UserId) -> Result<(), StoreFailure> {
        let mut tx = self.database.write().await?;
        sqlx::query("insert into erased (person) values (?) on conflict (person) do nothing")
            .bind(person.uuid())
            .execute(&mut *tx)
            .await?;
        // Also where this has been done before: whoever did it may have been killed before it was true.
        let named: bool = sqlx::query_scalar("select exists (select 1 from bylines where person = ?)")
            .bind(person.uuid())
            .fetch_one(&mut *tx)
            .await?;
        sqlx::query("update bylines set byline = '' where person = ?")
            .bind(person.uuid())
            .execute(&mut *tx)
            .await?;
        sqlx::query("delete from answers where owner = ?").bind(person.uuid()).execute(&mut *tx).await?;
        if named {
            owe_sqlite(&mut tx, person).await?;
        }
        tx.commit().await?;
        self.database.forget().await;
        Ok(())
    }

    fn erasure(&self) -> Option<Arc<dyn Erasable>> {
        Some(Arc::new(SqliteErasure::with_outbox(self.database.clone())))
    }

    async fn ping(&self) -> Result<(), StoreFailure> {
        self.database.ping().await
    }

    async fn try_write(&self) -> Result<(), StoreFailure> {
        self.database.try_write().await
    }

    async fn close(&self) {
        self.database.close().await;
    }
}

/// A token of somebody who was erased lives on for some minutes; what it writes is refused.
async fn refuse_the_erased(tx: &mut SqliteConnection, facts: &[Fact]) -> Result<(), AppendError> {
    for fact in facts {
        let erased: bool = sqlx::query_scalar("select exists (select 1 from erased where person = ?)")
            .bind(fact.change.by.uuid())
            .fetch_one(&mut *tx)
            .await?;
        if erased {
            return Err(AppendError::Erased);
        }
    }
    Ok(())
}

async fn append_one(tx: &mut SqliteConnection, fact: &Fact) -> Result<(), AppendError> {
    let article = &fact.change.article;
    let Some(before) = hash_before(tx, article).await? else { return Err(stale(tx, article).await?) };
    let record = write_event(&fact.change).map_err(broken)?;
    let hash = link(&before, &record);
    let inserted = sqlx::query(
        "insert into events (article, version, record, prev_hash, hash) values (?, ?, ?, ?, ?)
         on conflict (article, version) do nothing",
    )
    .bind(article.id.uuid())
    .bind(article.version.number())
    .bind(&record)
    .bind(&before)
    .bind(&hash)
    .execute(&mut *tx)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(stale(tx, article).await?);
    }
    if article.version == Version::FIRST {
        claim_slug(tx, article).await?;
    }
    sqlx::query(
        "insert into bylines (article, version, person, byline)
         values (?, ?, ?, case when exists (select 1 from erased where person = ?) then '' else ? end)",
    )
    .bind(article.id.uuid())
    .bind(article.version.number())
    .bind(BylineColumns::owner_of(&article.byline))
    .bind(BylineColumns::owner_of(&article.byline))
    .bind(article.byline.as_str())
    .execute(&mut *tx)
    .await?;
    enqueue(tx, &fact.message).await?;
    Ok(())
}

/// The hash that this version links to; `None` where the version before it is not there.
async fn hash_before(tx: &mut SqliteConnection, article: &Article) -> Result<Option<String>, sqlx::Error> {
    if article.version == Version::FIRST {
        return Ok(Some(GENESIS.to_owned()));
    }
    sqlx::query_scalar("select hash from events where article = ? and version = ?")
        .bind(article.id.uuid())
        .bind(article.version.number() - 1)
        .fetch_optional(tx)
        .await
}

async fn stale(tx: &mut SqliteConnection, article: &Article) -> Result<AppendError, sqlx::Error> {
    let current: Option<u32> = sqlx::query_scalar("select max(version) from events where article = ?")
        .bind(article.id.uuid())
        .fetch_one(tx)
        .await?;
    Ok(AppendError::Stale { current: current.map(Version::new) })
}

async fn claim_slug(tx: &mut SqliteConnection, article: &Article) -> Result<(), AppendError> {
    let claimed =
        sqlx::query("insert into slugs (slug, article) values (?, ?) on conflict (slug) do nothing")
            .bind(article.slug.as_str())
            .bind(article.id.uuid())
            .execute(tx)
            .await?;
    if claimed.rows_affected() == 0 { Err(AppendError::SlugTaken) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_outbox_is_the_one_that_the_bus_describes() {
        let migration = include_str!("../../../../db/news/sqlite-events/0002_outbox.sql");
        assert!(migration.contains(bus::sqlite_outbox::TABLE.trim()));
    }
}
