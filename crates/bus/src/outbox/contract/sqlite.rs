use std::sync::Arc;

use chassis::sqlite::Database;
use sqlx::migrate::Migrator;
use testkit::Folder;
use tokio::sync::Notify;

use super::{End, Place, every_case};
use crate::sqlite_outbox::{SqliteOutbox, TABLE, enqueue};
use crate::{Envelope, Outbox};

struct File {
    folder: Folder,
    database: Database,
    wake: Arc<Notify>,
    outbox: SqliteOutbox,
}

impl File {
    async fn at(folder: Folder) -> Self {
        let url = folder.sqlite("service.db");
        let database = Database::open(&url, &Migrator::with_migrations(Vec::new())).await.expect("opens");
        let wake = Arc::new(Notify::new());
        let outbox = SqliteOutbox::new(database.clone(), wake.clone());
        Self { folder, database, wake, outbox }
    }
}

impl Place for File {
    fn outbox(&self) -> &dyn Outbox {
        &self.outbox
    }

    async fn store_until(&self, messages: &[Envelope], end: impl Future<Output = End>) {
        let mut tx = self.database.write().await.expect("begins");
        for message in messages {
            enqueue(&mut tx, message).await.expect("enqueues");
        }
        match end.await {
            End::Committed => {
                tx.commit().await.expect("commits");
                // As every store does, which alone knows when its commit is done.
                self.wake.notify_one();
            }
            End::RolledBack => tx.rollback().await.expect("rolls back"),
        }
    }

    async fn after_a_crash(self) -> Self {
        // Nothing is closed: what is in the file has to be enough.
        let Self { folder, database, outbox, .. } = self;
        drop((database, outbox));
        Self::at(folder).await
    }

    async fn close(self) {
        self.database.close().await;
    }
}

async fn open() -> File {
    let file = File::at(Folder::new()).await;
    let mut tx = file.database.write().await.expect("begins");
    sqlx::raw_sql(TABLE).execute(&mut *tx).await.expect("makes the table");
    tx.commit().await.expect("commits");
    file
}

every_case!(open);
