use std::sync::Arc;

use chassis::sqlite::Database;
use sqlx::migrate::Migrator;
use testkit::Folder;
use tokio::sync::Notify;

use super::{OutboxFixture, TransactionEnd, every_case};
use crate::sqlite_outbox::{SqliteOutbox, TABLE, enqueue};
use crate::{Envelope, Outbox};

struct SqliteFixture {
    folder: Folder,
    database: Database,
    wake: Arc<Notify>,
    outbox: SqliteOutbox,
}

impl SqliteFixture {
    async fn at(folder: Folder) -> Self {
        let url = folder.sqlite("service.db");
        let database =
            Database::open(&url, &Migrator::with_migrations(Vec::new())).await.expect("the database opens");
        let wake = Arc::new(Notify::new());
        let outbox = SqliteOutbox::new(database.clone(), wake.clone());
        Self { folder, database, wake, outbox }
    }
}

impl OutboxFixture for SqliteFixture {
    fn outbox(&self) -> &dyn Outbox {
        &self.outbox
    }

    async fn store_until(&self, messages: &[Envelope], end: impl Future<Output = TransactionEnd>) {
        let mut tx = self.database.write().await.expect("the transaction begins");
        for message in messages {
            enqueue(&mut tx, message).await.expect("the message is enqueued");
        }
        match end.await {
            TransactionEnd::Committed => {
                tx.commit().await.expect("the transaction commits");
                // Every store does this, because only the store knows when its commit is done.
                self.wake.notify_one();
            }
            TransactionEnd::RolledBack => tx.rollback().await.expect("the transaction rolls back"),
        }
    }

    async fn after_crash(self) -> Self {
        // Nothing is closed, so the file alone has to be enough.
        let Self { folder, database, outbox, .. } = self;
        drop((database, outbox));
        Self::at(folder).await
    }

    async fn close(self) {
        self.database.close().await;
    }
}

async fn open() -> SqliteFixture {
    let file = SqliteFixture::at(Folder::new()).await;
    let mut tx = file.database.write().await.expect("the transaction begins");
    sqlx::raw_sql(TABLE).execute(&mut *tx).await.expect("the table is created");
    tx.commit().await.expect("the transaction commits");
    file
}

every_case!(open);
