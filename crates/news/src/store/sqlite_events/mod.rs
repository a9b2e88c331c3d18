//! The event store in a SQLite file.

mod answers;
mod newsroom;

use std::sync::Arc;

use async_trait::async_trait;
use bus::Outbox;
use bus::sqlite_outbox::{SqliteOutbox, enqueue};
use chassis::sqlite::Database;
use chassis::{Closer, OpenedStore, SqliteErasure, StoreFailure, enqueue_erasure};
use futures::TryStreamExt;
use kernel::{ArticleId, Timestamp, UserId, Version};
use sqlx::SqliteConnection;
use sqlx::migrate::Migrator;
use tokio::sync::Notify;
use uuid::Uuid;

use super::record::{BylineColumns, write_event};
use super::rows::{LinkRow, VersionRow};
use crate::domain::{
    Article, ArticleCorrection, ChainLink, CorrectionPart, GENESIS, HistoryBuilder, HistoryPage,
    VisibleVersions, chain_hash,
};
use crate::ports::{AppendError, ChangeWithMessage, CommandKey, EventStore, KeptAnswer};

static MIGRATOR: Migrator = sqlx::migrate!("../../db/news/sqlite-events");

/// The event store in a SQLite file: one process, one writer.
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

    /// Returns the outbox in the same file.
    pub fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(SqliteOutbox::new(self.database.clone(), self.wake.clone()))
    }

    /// Returns what closes the file.
    pub fn closer(&self) -> Closer {
        let database = self.database.clone();
        Box::pin(async move { database.close().await })
    }

    /// Returns the store with everything that belongs to its file.
    pub fn into_opened(self) -> OpenedStore<dyn EventStore, Arc<dyn Outbox>> {
        let (outbox, closer) = (self.outbox(), self.closer());
        let erasure = SqliteErasure::with_outbox(self.database.clone());
        OpenedStore::<dyn EventStore>::new(Arc::new(self))
            .with_outbox(outbox)
            .with_erasure(Arc::new(erasure))
            .with_closer(closer)
    }
}

#[async_trait]
impl EventStore for SqliteEventStore {
    async fn append(
        &self,
        changes: &[ChangeWithMessage],
        key: Option<&CommandKey>,
    ) -> Result<(), AppendError> {
        let mut tx = self.database.write().await?;
        refuse_erased_writers(&mut tx, changes).await?;
        if let (Some(key), Some(last)) = (key, changes.last()) {
            answers::keep(&mut tx, key, &last.change.article).await?;
        }
        for each in changes {
            append_one(&mut tx, each).await?;
        }
        tx.commit().await?;
        self.wake.notify_one();
        Ok(())
    }

    async fn answer(&self, key: &CommandKey) -> Result<Option<KeptAnswer>, StoreFailure> {
        answers::find(self.database.reader(), key).await
    }

    async fn forget_answers(&self, now: Timestamp, limit: u32) -> Result<u64, StoreFailure> {
        let mut tx = self.database.write().await?;
        let forgotten = answers::forget(&mut tx, now, limit).await?;
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

    async fn history(
        &self,
        id: ArticleId,
        visible: VisibleVersions,
        before: Option<Version>,
        limit: u32,
    ) -> Result<HistoryPage, StoreFailure> {
        let mut history = HistoryBuilder::new(visible, limit);
        let (mut before, mut is_last) = (before, false);
        while !is_last && !history.is_complete() {
            let mut rows = sqlx::query_as::<_, VersionRow>(
                "select e.record, b.byline, b.person as byline_of
                 from events e join bylines b on b.article = e.article and b.version = e.version
                 where e.article = ? and e.version < ? order by e.version desc limit ?",
            )
            .bind(id.uuid())
            .bind(before.map_or(u32::MAX, Version::number))
            .bind(i64::from(limit) + 1)
            .fetch(self.database.reader());
            is_last = true;
            while let Some(row) = rows.try_next().await? {
                let change = row.change()?;
                (before, is_last) = (Some(change.article.version), false);
                history.add(change);
            }
        }
        Ok(history.build())
    }

    async fn scheduled(&self, limit: u32) -> Result<Vec<(ArticleId, Timestamp)>, StoreFailure> {
        newsroom::scheduled(self.database.reader(), limit).await
    }

    async fn corrections(&self, part: &CorrectionPart) -> Result<Vec<ArticleCorrection>, StoreFailure> {
        newsroom::corrections(self.database.reader(), part).await
    }

    async fn links(
        &self,
        id: ArticleId,
        after: Option<Version>,
        limit: u32,
    ) -> Result<Vec<ChainLink>, StoreFailure> {
        let rows: Vec<LinkRow<u32>> = sqlx::query_as(
            "select version, record, prev_hash, hash from events
             where article = ? and version > ? order by version limit ?",
        )
        .bind(id.uuid())
        .bind(after.map_or(0, Version::number))
        .bind(limit)
        .fetch_all(self.database.reader())
        .await?;
        Ok(rows.into_iter().map(|row| row.link(Version::new)).collect())
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
        // No article has the nil id. It sorts before all ids.
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
        // Also for a repeated erasure: the first one may have been killed before the files were wiped.
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
            enqueue_erasure(&mut tx, person).await?;
        }
        tx.commit().await?;
        self.database.forget().await;
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreFailure> {
        self.database.ping().await
    }

    async fn try_write(&self) -> Result<(), StoreFailure> {
        self.database.try_write().await
    }
}

/// Refuses changes of an erased account, whose token is valid for some more minutes.
async fn refuse_erased_writers(
    tx: &mut SqliteConnection,
    changes: &[ChangeWithMessage],
) -> Result<(), AppendError> {
    for each in changes {
        let erased: bool = sqlx::query_scalar("select exists (select 1 from erased where person = ?)")
            .bind(each.change.by.uuid())
            .fetch_one(&mut *tx)
            .await?;
        if erased {
            return Err(AppendError::Erased);
        }
    }
    Ok(())
}

async fn append_one(tx: &mut SqliteConnection, appended: &ChangeWithMessage) -> Result<(), AppendError> {
    let article = &appended.change.article;
    let Some(before) = hash_before(tx, article).await? else { return Err(stale(tx, article).await?) };
    let record = write_event(&appended.change).map_err(StoreFailure::broken)?;
    let hash = chain_hash(&before, &record);
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
    newsroom::follow(tx, &appended.change).await?;
    enqueue(tx, &appended.message).await?;
    Ok(())
}

/// Returns the hash that this version links to; `None` if the version before it does not exist.
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
    fn the_outbox_table_is_the_one_that_the_bus_describes() {
        let migration = include_str!("../../../../../db/news/sqlite-events/0002_outbox.sql");
        assert!(migration.contains(bus::sqlite_outbox::TABLE.trim()));
    }
}
