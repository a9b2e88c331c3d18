//! The view in a SQLite file.

mod keys;
mod select;

use std::sync::Arc;

use async_trait::async_trait;
use chassis::sqlite::Database;
use chassis::{Closer, OpenedStore, SqliteErasure, StoreFailure, enqueue_erasure};
use kernel::{ArticleId, Timestamp, UserId};
use sqlx::SqliteConnection;
use sqlx::migrate::Migrator;

use super::record::{BylineColumns, read_document, write_document};
use crate::domain::{Article, Filter, Part, due_at, in_order_of, placed_at};
use crate::ports::{Listing, NewsView, Positions, Sizes, StateCounts};

static MIGRATOR: Migrator = sqlx::migrate!("../../db/news/sqlite-view");

/// Returns the migrations of the first program, for tests of updates.
#[cfg(test)]
pub(super) fn first_form() -> Migrator {
    Migrator::with_migrations(MIGRATOR.iter().take(1).cloned().collect())
}

/// The view in a SQLite file: one process, one writer.
pub struct SqliteNewsView {
    database: Database,
}

impl SqliteNewsView {
    /// Opens or creates the file.
    pub async fn open(url: &str) -> Result<Self, StoreFailure> {
        let database = Database::open(url, &MIGRATOR).await?;
        keys::renew(&database).await?;
        Ok(Self { database })
    }

    /// Returns what closes the file.
    pub fn closer(&self) -> Closer {
        let database = self.database.clone();
        Box::pin(async move { database.close().await })
    }

    /// Returns the view with everything that belongs to its file.
    pub fn into_opened(self) -> OpenedStore<dyn NewsView> {
        let (erasure, closer) = (SqliteErasure::new(self.database.clone()), self.closer());
        OpenedStore::<dyn NewsView>::new(Arc::new(self)).with_erasure(Arc::new(erasure)).with_closer(closer)
    }
}

#[derive(sqlx::FromRow)]
struct ArticleRow {
    #[sqlx(flatten)]
    byline: BylineColumns,
    document: String,
    content: String,
}

impl ArticleRow {
    fn article(self) -> Result<Article, StoreFailure> {
        read_document(&self.document, self.content, self.byline).map_err(StoreFailure::broken)
    }
}

#[async_trait]
impl NewsView for SqliteNewsView {
    async fn apply(&self, article: &Article) -> Result<bool, StoreFailure> {
        let mut tx = self.database.write().await?;
        let newer = put(&mut tx, LIVE, article).await?;
        let rebuilding: bool =
            sqlx::query_scalar("select exists (select 1 from rebuild)").fetch_one(&mut *tx).await?;
        if rebuilding {
            put(&mut tx, NEXT, article).await?;
        }
        tx.commit().await?;
        Ok(newer)
    }

    async fn get(&self, id: ArticleId) -> Result<Option<Article>, StoreFailure> {
        let row: Option<ArticleRow> =
            sqlx::query_as("select byline, byline_of, document, content from articles where id = ?")
                .bind(id.uuid())
                .fetch_optional(self.database.reader())
                .await?;
        row.map(ArticleRow::article).transpose()
    }

    async fn pick(
        &self,
        ids: &[ArticleId],
        filter: &Filter,
        with_content: bool,
    ) -> Result<Vec<Article>, StoreFailure> {
        let mut connection = self.database.reader().acquire().await?;
        let rows = select::picked(&mut connection, ids, filter, with_content).await?;
        let articles = rows.into_iter().map(ArticleRow::article).collect::<Result<_, _>>()?;
        Ok(in_order_of(ids, articles))
    }

    async fn sizes(&self, ids: &[ArticleId], filter: &Filter) -> Result<Sizes, StoreFailure> {
        let mut connection = self.database.reader().acquire().await?;
        let rows = select::sizes(&mut connection, ids, filter).await?;
        let size = |(id, bytes)| (ArticleId::new(id), u64::try_from(bytes).unwrap_or_default());
        Ok(rows.into_iter().map(size).collect())
    }

    async fn list(&self, part: &Part) -> Result<Listing, StoreFailure> {
        // One transaction: the articles and the total are of the same moment.
        let mut tx = self.database.reader().begin().await?;
        let total = select::total(&mut tx, &part.filter).await?;
        let rows = select::rows(&mut tx, part).await?;
        let articles: Result<Vec<Article>, StoreFailure> =
            rows.into_iter().map(ArticleRow::article).collect();
        Ok(Listing { articles: articles?, total })
    }

    async fn positions(&self, part: &Part) -> Result<Positions, StoreFailure> {
        let mut tx = self.database.reader().begin().await?;
        let total = select::total(&mut tx, &part.filter).await?;
        Ok(Positions { positions: select::positions(&mut tx, part).await?, total })
    }

    async fn count_states(&self, author: Option<UserId>) -> Result<StateCounts, StoreFailure> {
        let mut connection = self.database.reader().acquire().await?;
        Ok(select::count_states(&mut connection, author).await?)
    }

    async fn erase(&self, person: UserId) -> Result<(), StoreFailure> {
        let mut tx = self.database.write().await?;
        sqlx::query("insert into erased (person) values (?) on conflict (person) do nothing")
            .bind(person.uuid())
            .execute(&mut *tx)
            .await?;
        let named: bool = sqlx::query_scalar(
            "select exists (select 1 from articles where author_id = ?1 or byline_of = ?1)
                 or exists (select 1 from articles_next where author_id = ?1 or byline_of = ?1)",
        )
        .bind(person.uuid())
        .fetch_one(&mut *tx)
        .await?;
        if named {
            enqueue_erasure(&mut tx, person).await?;
        }
        for statement in [
            "update articles set byline = '', byline_key = null
             where byline_of = ?1 or (byline_of is null and author_id = ?1)",
            "update articles_next set byline = '', byline_key = null
             where byline_of = ?1 or (byline_of is null and author_id = ?1)",
        ] {
            sqlx::query(statement).bind(person.uuid()).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        self.database.forget().await;
        Ok(())
    }

    async fn begin_rebuild(&self) -> Result<(), StoreFailure> {
        let mut tx = self.database.write().await?;
        sqlx::query("delete from articles_next").execute(&mut *tx).await?;
        sqlx::query("insert into rebuild (running) values (1) on conflict (running) do nothing")
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn load(&self, articles: &[Article]) -> Result<(), StoreFailure> {
        let mut tx = self.database.write().await?;
        for article in articles {
            put(&mut tx, NEXT, article).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn finish_rebuild(&self) -> Result<(), StoreFailure> {
        let mut tx = self.database.write().await?;
        for statement in [
            "delete from articles",
            // Triggers maintain both tables, but they would not repair wrong rows.
            "delete from totals",
            "delete from article_labels",
            "insert into articles
                (id, version, state, published_at, placed_at, updated_at, state_since, scheduled_at, returned,
                 author_id, byline, byline_of, byline_key, labels, document, content)
             select id, version, state, published_at, placed_at, updated_at, state_since, scheduled_at, returned,
                 author_id, byline, byline_of, byline_key, labels, document, content
             from articles_next",
            "delete from articles_next",
            "delete from rebuild",
        ] {
            sqlx::query(statement).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreFailure> {
        self.database.ping().await
    }

    async fn try_write(&self) -> Result<(), StoreFailure> {
        self.database.try_write().await
    }
}

/// The statement that puts an article into the live view or into the new one. The guard on the version is in
/// the statement, so two deliveries at the same time can't both take theirs for the newer one.
macro_rules! put_into {
    ($table:literal) => {
        concat!(
            "insert into ",
            $table,
            " (id, version, state, published_at, placed_at, updated_at, author_id, byline, byline_of, byline_key,
               labels, document, content, state_since, scheduled_at, returned)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7,
                case when exists (select 1 from erased where person = ?9) then '' else ?8 end, ?9,
                case when exists (select 1 from erased where person = ?9) then null else ?10 end, ?11, ?12, ?13,
                ?14, ?15, ?16)
             on conflict (id) do update set
                version = excluded.version, state = excluded.state, published_at = excluded.published_at,
                placed_at = excluded.placed_at, updated_at = excluded.updated_at,
                state_since = excluded.state_since, scheduled_at = excluded.scheduled_at,
                returned = excluded.returned,
                author_id = excluded.author_id, byline = excluded.byline, byline_of = excluded.byline_of,
                byline_key = excluded.byline_key, labels = excluded.labels, document = excluded.document,
                content = excluded.content
             where excluded.version > ",
            $table,
            ".version"
        )
    };
}

const LIVE: &str = put_into!("articles");
const NEXT: &str = put_into!("articles_next");

async fn put(
    tx: &mut SqliteConnection,
    statement: &'static str,
    article: &Article,
) -> Result<bool, StoreFailure> {
    let put = sqlx::query(statement)
        .bind(article.id.uuid())
        .bind(article.version.number())
        .bind(article.state.as_str())
        .bind(article.published_at.map(Timestamp::millis))
        .bind(placed_at(article).millis())
        .bind(article.updated_at.millis())
        .bind(article.author.uuid())
        .bind(article.byline.as_str())
        .bind(BylineColumns::owner_of(&article.byline))
        .bind(keys::of_byline(article.byline.as_str()))
        .bind(keys::of_labels(&article.story.tags)?)
        .bind(write_document(article).map_err(StoreFailure::broken)?)
        .bind(article.story.content.as_str())
        .bind(article.state_since.millis())
        .bind(due_at(article).millis())
        .bind(article.review_note.is_some())
        .execute(tx)
        .await?;
    Ok(put.rows_affected() > 0)
}
