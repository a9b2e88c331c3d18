//! The tables that follow the newest versions: the schedule and the public corrections. Both databases
//! understand the same statements.

use chassis::{StoreFailure, StoredTime, StoredVersion};
use kernel::ArticleId;
use uuid::Uuid;

use crate::domain::{ArticleCorrection, Correction, Slug};

/// A public correction, with its article.
#[derive(sqlx::FromRow)]
pub(super) struct CorrectionRow {
    article: Uuid,
    version: StoredVersion,
    title: String,
    slug: String,
    kind: String,
    message: String,
    corrected_at: StoredTime,
}

impl CorrectionRow {
    /// Reads the correction.
    pub(super) fn correction(self) -> Result<ArticleCorrection, StoreFailure> {
        let correction = Correction {
            kind: self.kind.parse().map_err(StoreFailure::broken)?,
            text: self.message,
            at: self.corrected_at.0,
            version: self.version.into(),
        };
        let (article, slug) = (ArticleId::new(self.article), Slug::stored(self.slug));
        Ok(ArticleCorrection { article, title: self.title, slug, correction })
    }
}

/// Declares the functions for one database, in the module of its event store. It needs these names:
/// `Database`, the database of sqlx, and `Connection`, a connection to it.
macro_rules! newsroom_tables {
    () => {
        /// Lets both tables follow a change, in its transaction.
        pub(super) async fn follow(tx: &mut Connection, change: &Change) -> Result<(), sqlx::Error> {
            let article = &change.article;
            match change.event {
                Event::Scheduled => schedule(tx, article).await?,
                Event::Unscheduled | Event::Published => {
                    sqlx::query("delete from schedule where article = $1")
                        .bind(article.id.uuid())
                        .execute(&mut *tx)
                        .await?;
                }
                Event::Corrected => correct(tx, article).await?,
                _ => {}
            }
            if !article.corrections.is_empty() {
                sqlx::query("update corrections set is_public = $1, title = $2 where article = $3")
                    .bind(article.state == State::Published)
                    .bind(&article.story.title)
                    .bind(article.id.uuid())
                    .execute(tx)
                    .await?;
            }
            Ok(())
        }

        async fn schedule(tx: &mut Connection, article: &Article) -> Result<(), sqlx::Error> {
            sqlx::query(
                "insert into schedule (article, publish_at) values ($1, $2)
                 on conflict (article) do update set publish_at = excluded.publish_at",
            )
            .bind(article.id.uuid())
            .bind(article.scheduled_at.map(StoredTime))
            .execute(tx)
            .await?;
            Ok(())
        }

        async fn correct(tx: &mut Connection, article: &Article) -> Result<(), sqlx::Error> {
            let Some(correction) = article.corrections.last() else { return Ok(()) };
            sqlx::query(
                "insert into corrections
                    (article, version, title, slug, kind, message, corrected_at, is_public)
                 values ($1, $2, $3, $4, $5, $6, $7, true)",
            )
            .bind(article.id.uuid())
            .bind(StoredVersion::from(correction.version))
            .bind(&article.story.title)
            .bind(article.slug.as_str())
            .bind(correction.kind.as_str())
            .bind(&correction.text)
            .bind(StoredTime(correction.at))
            .execute(tx)
            .await?;
            Ok(())
        }

        /// Returns the articles that wait for their time of publication, the next one first.
        pub(super) async fn scheduled(
            pool: &Pool<Database>,
            limit: u32,
        ) -> Result<Vec<(ArticleId, Timestamp)>, StoreFailure> {
            let rows: Vec<(Uuid, StoredTime)> = sqlx::query_as(
                "select article, publish_at from schedule order by publish_at, article limit $1",
            )
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await?;
            Ok(rows.into_iter().map(|(article, at)| (ArticleId::new(article), at.0)).collect())
        }

        /// Returns a part of the corrections of all published articles, the newest first.
        pub(super) async fn corrections(
            pool: &Pool<Database>,
            part: &CorrectionPart,
        ) -> Result<Vec<ArticleCorrection>, StoreFailure> {
            let mut query = QueryBuilder::<Database>::new(
                "select article, version, title, slug, kind, message, corrected_at from corrections
                 where is_public = true",
            );
            if let Some(kind) = part.filter.kind {
                query.push(" and kind = ").push_bind(kind.as_str());
            }
            for (bound, compare) in [(part.filter.from, ">="), (part.filter.to, "<=")] {
                if let Some(bound) = bound {
                    query.push(format!(" and corrected_at {compare} ")).push_bind(StoredTime(bound));
                }
            }
            if let Some(after) = part.after {
                query.push(" and (corrected_at, article, version) < (").push_bind(StoredTime(after.at));
                query.push(", ").push_bind(after.article.uuid());
                query.push(", ").push_bind(StoredVersion::from(after.version)).push(")");
            }
            query.push(" order by corrected_at desc, article desc, version desc limit ");
            query.push_bind(i64::from(part.limit));
            let rows: Vec<CorrectionRow> = query.build_query_as().fetch_all(pool).await?;
            rows.into_iter().map(CorrectionRow::correction).collect()
        }
    };
}

pub(super) use newsroom_tables;
