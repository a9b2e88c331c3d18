//! The migration of edges that an older program wrote: it kept an edge for each spelling of a label.

use chassis::StoreFailure;
use chassis::sqlite::Database;
use kernel::UserId;
use uuid::Uuid;

use super::rows::TasteRow;
use super::{put_taste, taste_of};

/// The number of edges that are joined in one transaction.
const BATCH: u32 = 500;

/// Joins the edges to spellings of one label. If it is interrupted, the next start does the rest.
pub(super) async fn join(database: &Database) -> Result<(), StoreFailure> {
    while join_batch(database).await? {}
    Ok(())
}

/// Joins some edges and returns true if there may be more.
async fn join_batch(database: &Database) -> Result<bool, StoreFailure> {
    let mut tx = database.write().await?;
    let old: Vec<(Uuid, String)> =
        sqlx::query_as("select reader, label from tastes where shown is null limit ?")
            .bind(BATCH)
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
        // There is no row if it was joined with another spelling a moment ago.
        let Some(taste) = row.map(TasteRow::into_taste) else { continue };
        let joined = match taste_of(&mut tx, reader, taste.label()).await? {
            Some(other) => other.join(&taste),
            None => taste,
        };
        put_taste(&mut tx, reader, &joined).await?;
    }
    tx.commit().await?;
    Ok(!old.is_empty())
}

#[cfg(test)]
mod tests {
    use kernel::{Label, Timestamp};

    use super::super::{MIGRATOR, SqliteTasteGraph};
    use super::*;
    use crate::domain::{HALF_LIFE, Taste};
    use crate::ports::TasteGraph;

    /// Writes edges as the older program did.
    async fn write_old_edges(url: &str, reader: UserId) {
        let first = sqlx::migrate::Migrator::with_migrations(MIGRATOR.iter().take(1).cloned().collect());
        let old = Database::open(url, &first).await.expect("opens");
        let half_life = i64::try_from(HALF_LIFE.as_millis()).expect("small");
        let mut tx = old.write().await.expect("a transaction");
        for (label, weight, reads, at) in [
            ("Zürich", 2.0, 2, 0),
            ("zürich", 1.0, 1, half_life),
            ("ZU\u{308}RICH", 1.0, 3, half_life / 2),
            ("budget", 4.0, 4, half_life),
            (" Tax", 0.5, 1, half_life),
        ] {
            let matched = Label::parse(label).expect("a label").into();
            let taste = Taste::from_store(matched, weight, reads, Timestamp::from_millis(at));
            sqlx::query(
                "insert into tastes (reader, label, weight, reads, last_read_at, heft) values (?, ?, ?, ?, ?, ?)",
            )
            .bind(reader.uuid())
            .bind(label)
            .bind(weight)
            .bind(reads)
            .bind(at)
            .bind(taste.weight_rank())
            .execute(&mut *tx)
            .await
            .expect("it is written");
        }
        tx.commit().await.expect("it is written");
        old.close().await;
    }

    #[tokio::test]
    async fn edges_to_spellings_of_one_label_become_one_edge_when_the_file_is_opened() {
        let folder = testkit::Folder::new();
        let url = folder.sqlite("recommendations.db");
        let reader = UserId::new(Uuid::from_u128(1));
        write_old_edges(&url, reader).await;
        for _ in 0..2 {
            let graph = SqliteTasteGraph::open(&url).await.expect("opens");
            let tastes = graph.labels_of(reader, 10).await.expect("labels");
            let counts: Vec<_> =
                tastes.iter().map(|taste| (taste.label().to_string(), taste.reads())).collect();
            let expected = [("budget", 4), ("zürich", 6), (" Tax", 1)];
            assert_eq!(counts, expected.map(|(label, reads)| (label.to_owned(), reads)));
            let weight = 1.0 + 1.0 + std::f64::consts::FRAC_1_SQRT_2;
            assert!((tastes[1].stored_weight() - weight).abs() < 1e-9, "{}", tastes[1].stored_weight());
            let zurich = Label::parse("ZÜRICH").expect("a label");
            assert_eq!(graph.readers_of(&zurich, 10).await.expect("readers"), [reader]);
            graph.database().close().await;
        }
    }
}
