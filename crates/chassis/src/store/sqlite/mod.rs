//! SQLite: one writer and several readers for each file, and no loss of acknowledged data.

mod siblings;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, Sqlite, SqlitePool, Transaction};
use tokio::sync::Mutex;

pub use siblings::{ensure_none_is_missing, forget_if_missing};

use super::failure::StoreFailure;
use super::pool::pool_options;
use crate::files;
use crate::observe::metrics::{Pool, WatchedPool, watch_pool};
use crate::observe::slow_ones_only;
use crate::values::sqlite_path;
use siblings::Sibling;

/// The number of connections that read.
const READERS: u32 = 10;
/// The longest wait of a transaction for its turn before the store counts as unavailable. It is shorter than
/// the budget of any request, so that the client learns that the store is busy.
const PATIENCE: Duration = Duration::from_secs(2);

/// The largest content of a file that is vacuumed while it serves, in bytes. It takes about a second, during
/// which writes wait.
const VACUUMED_WHILE_SERVING: i64 = 256 * 1024 * 1024;

/// A SQLite file that belongs to this process alone.
///
/// There is one writer connection, and every write transaction is `begin immediate`. In a plain pool,
/// transactions that read first and write later fail with `SQLITE_BUSY_SNAPSHOT` whatever the time-out is.
/// Readers are `query_only` and never wait for the writer (WAL). With `synchronous=full` a commit survives a
/// power cut. The file is locked while it is open: two processes with one file would contradict each other.
#[derive(Clone)]
pub struct Database {
    writer: SqlitePool,
    readers: SqlitePool,
    path: PathBuf,
    lock: Arc<File>,
    /// Held by the probe that writes a file. Several services may probe one database.
    probe: Arc<Mutex<()>>,
    _watched: [WatchedPool; 2],
}

impl Database {
    /// Opens or creates a file, such as `sqlite:data/users.db`, and migrates its tables. A file that was here
    /// before and is missing is not created again.
    ///
    /// # Errors
    /// [`StoreFailure::Broken`] if the file can't be opened, is open in another process, or a migration
    /// fails.
    pub async fn open(url: &str, migrator: &Migrator) -> Result<Self, StoreFailure> {
        let path =
            sqlite_path(url).ok_or_else(|| StoreFailure::broken(format!("{url} is not a sqlite: URL")))?;
        make_room(&path).map_err(|error| StoreFailure::broken(format!("{}: {error}", path.display())))?;
        let lock = lock(&path)?;
        let sibling = Sibling::of(&path);
        sibling.ensure_not_missing()?;
        // SQLite gives its log and its index the mode of the file.
        files::open_private(&path)
            .map_err(|error| StoreFailure::broken(format!("{}: {error}", path.display())))?;
        let options = slow_ones_only(SqliteConnectOptions::new())
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // Deleted rows are overwritten. Otherwise they would stay readable in the free pages of the file.
            .pragma("secure_delete", "on")
            .busy_timeout(PATIENCE);
        let writer = pool_options::<Sqlite>(1, PATIENCE).before_acquire(|connection, _| {
            // On a full disk SQLite rolls back, and sqlx still counts the transaction. Every later one on
            // this connection would fail, so the pool replaces the connection.
            let is_usable = !connection.is_in_transaction();
            Box::pin(std::future::ready(Ok(is_usable)))
        });
        let writer = writer.connect_with(options.clone()).await?;
        let id = sibling.recognise(&writer).await?;
        migrator.run(&writer).await?;
        sibling.settle(&writer, id).await?;
        wipe_at_open(&writer).await?;
        let readers = pool_options::<Sqlite>(READERS, PATIENCE)
            .connect_with(options.pragma("query_only", "on"))
            .await?;
        let watched = [watch(&path, "writer", &writer), watch(&path, "readers", &readers)];
        Ok(Self { writer, readers, path, lock: Arc::new(lock), probe: Arc::default(), _watched: watched })
    }

    /// Begins a transaction that may write. There is one at a time; dropping it rolls it back.
    pub async fn write(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.writer.begin_with("begin immediate").await
    }

    /// Returns the connections that only read.
    pub fn reader(&self) -> &SqlitePool {
        &self.readers
    }

    /// Probes whether the file can be read.
    pub async fn ping(&self) -> Result<(), StoreFailure> {
        sqlx::query("select count(*) from sqlite_schema").execute(&self.readers).await?;
        Ok(())
    }

    /// Probes whether the file and its disk can be written.
    ///
    /// The log of SQLite has space of its own, so a commit may succeed on a full disk. That is why a small
    /// file is written beside it.
    pub async fn try_write(&self) -> Result<(), StoreFailure> {
        let mut tx = self.write().await?;
        sqlx::query("pragma user_version = 1").execute(&mut *tx).await?;
        tx.commit().await?;
        let path = sibling_path(&self.path, ".probe");
        let turn = self.probe.clone().lock_owned().await;
        let written = tokio::task::spawn_blocking(move || {
            // The thread goes on if the caller gives up, so it keeps the turn itself.
            let _turn = turn;
            let mut file = files::open_private(&path)?;
            let outcome = file.write_all(&[0; 4096]).and_then(|()| file.sync_all());
            outcome.and(std::fs::remove_file(&path))
        });
        let outcome = written.await.map_err(StoreFailure::broken)?;
        outcome.map_err(|error| StoreFailure::Unavailable(error.into()))
    }

    /// Removes deleted rows from the log. They are overwritten in the file (`secure_delete`), and the log,
    /// which may still hold them, is emptied into it. Call it after personal data was deleted.
    ///
    /// It is quick and promises nothing, because a reader may hold the log. [`crate::SqliteErasure`]
    /// guarantees the result.
    pub async fn forget(&self) {
        match empty_log(&self.writer).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::debug!("erased data stays in the log of a store for now: a reader holds it")
            }
            Err(error) => tracing::warn!(%error, "erased data stays in the log of a store for now"),
        }
    }

    /// Rewrites the file, so that its pages hold only existing rows. A deleted row that had moved to another
    /// page may have left a copy, which `secure_delete` does not reach. Other writes wait meanwhile. Returns
    /// false and does nothing if the file is too large.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn vacuum(&self) -> Result<bool, StoreFailure> {
        // Free pages are not copied, however many of them a backlog has left.
        let bytes: i64 = sqlx::query_scalar(
            "select (page_count - freelist_count) * page_size
             from pragma_page_count, pragma_freelist_count, pragma_page_size",
        )
        .fetch_one(&self.writer)
        .await?;
        if bytes > VACUUMED_WHILE_SERVING {
            return Ok(false);
        }
        sqlx::query("vacuum").execute(&self.writer).await?;
        Ok(true)
    }

    /// Moves the log into the file and empties it. Returns false if a reader holds the log.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn empty_log(&self) -> Result<bool, StoreFailure> {
        Ok(empty_log(&self.writer).await?)
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the log into the file, closes the file, and lets others open it, even if clones of this value
    /// still exist.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
        // It fails only if the file is gone, and the lock with it.
        let _ = self.lock.unlock();
    }
}

async fn empty_log(writer: &SqlitePool) -> sqlx::Result<bool> {
    let held: i64 = sqlx::query_scalar("pragma wal_checkpoint(truncate)").fetch_one(writer).await?;
    Ok(held == 0)
}

/// Completes erasures after a crash: the log and the file may still hold deleted data.
async fn wipe_at_open(writer: &SqlitePool) -> sqlx::Result<()> {
    let has_duties: bool = sqlx::query_scalar(
        "select exists (select 1 from sqlite_schema where type = 'table' and name = 'erasure_duty')",
    )
    .fetch_one(writer)
    .await?;
    let duties: i64 = match has_duties {
        true => sqlx::query_scalar("select count(*) from erasure_duty").fetch_one(writer).await?,
        false => 0,
    };
    if duties > 0 {
        sqlx::query("vacuum").execute(writer).await?;
        sqlx::query("update erasure_duty set vacuumed = 1").execute(writer).await?;
    }
    // The file is not open elsewhere, so no reader holds the log.
    empty_log(writer).await?;
    Ok(())
}

/// Shows a pool in the metrics under the name of the file.
fn watch(path: &Path, part: &str, pool: &SqlitePool) -> WatchedPool {
    let store = path.file_stem().unwrap_or_default().to_string_lossy();
    let seen = pool.clone();
    watch_pool(format!("{store}:{part}"), move || Pool::of(&seen))
}

/// Creates the folder of a file, and makes the existing files beside it private.
fn make_room(path: &Path) -> std::io::Result<()> {
    files::make_private_folder(files::folder_of(path))?;
    for end in ["-wal", "-shm", "-journal"] {
        files::close_to_others(&sibling_path(path, end))?;
    }
    Ok(())
}

/// Returns the path of a file beside this one.
fn sibling_path(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn lock(path: &Path) -> Result<File, StoreFailure> {
    let failed = |error: std::io::Error| StoreFailure::broken(format!("{}: {error}", path.display()));
    let file = files::open_private(&sibling_path(path, ".lock")).map_err(failed)?;
    file.try_lock().map_err(|error| match error {
        std::fs::TryLockError::WouldBlock => {
            StoreFailure::broken(format!("{} is open in another process", path.display()))
        }
        std::fs::TryLockError::Error(error) => failed(error),
    })?;
    Ok(file)
}
