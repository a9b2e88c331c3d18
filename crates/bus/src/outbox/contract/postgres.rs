use chassis::postgres::Database;
use sqlx::migrate::Migrator;
use uuid::Uuid;

use super::{OutboxFixture, TransactionEnd, every_case};
use crate::postgres_outbox::tests::schema;
use crate::postgres_outbox::{OutboxWake, PostgresOutbox, enqueue};
use crate::{Envelope, Outbox};

struct PostgresFixture {
    url: String,
    database: Database,
    outbox: PostgresOutbox,
    outbox_wake: OutboxWake,
}

impl PostgresFixture {
    async fn at(url: String) -> Self {
        // The name identifies its connections.
        let name = format!("outbox-{}", Uuid::new_v4().simple());
        let none = Migrator::with_migrations(Vec::new());
        let database = Database::open(&url, &name, &none).await.expect("the database opens");
        let (outbox, outbox_wake) = (PostgresOutbox::new(database.clone()), OutboxWake::new(&database));
        Self { outbox, outbox_wake, database, url }
    }
}

impl OutboxFixture for PostgresFixture {
    fn outbox(&self) -> &dyn Outbox {
        &self.outbox
    }

    async fn store_until(&self, messages: &[Envelope], end: impl Future<Output = TransactionEnd>) {
        let mut tx = self.database.begin().await.expect("the transaction begins");
        for message in messages {
            enqueue(&mut tx, message).await.expect("the message is enqueued");
        }
        match end.await {
            TransactionEnd::Committed => {
                tx.commit().await.expect("the transaction commits");
                self.outbox_wake.notify();
            }
            TransactionEnd::RolledBack => tx.rollback().await.expect("the transaction rolls back"),
        }
    }

    async fn after_crash(self) -> Self {
        // The server sees a killed process as connections that end.
        sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where application_name = current_setting('application_name') and pid <> pg_backend_pid()",
        )
        .execute(self.database.pool())
        .await
        .expect("they are ended");
        self.database.close().await;
        Self::at(self.url).await
    }

    async fn close(self) {
        self.database.close().await;
    }
}

async fn open() -> PostgresFixture {
    PostgresFixture::at(schema().await).await
}

every_case!(open, ignore = "needs postgres");
