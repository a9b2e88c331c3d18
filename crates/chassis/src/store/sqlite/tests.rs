use sqlx::migrate::Migrator;

use super::*;

fn url(folder: &tempfile::TempDir) -> String {
    format!("sqlite:{}", folder.path().join("deep/store.db").display())
}

#[tokio::test]
async fn a_second_opening_of_the_same_file_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let none = Migrator::with_migrations(Vec::new());
    let first = Database::open(&url(&folder), &none).await.expect("the first opening");
    let second = Database::open(&url(&folder), &none).await;
    assert!(
        matches!(second, Err(StoreFailure::Broken(cause)) if cause.to_string().contains("another process"))
    );
    first.close().await;
    Database::open(&url(&folder), &none).await.expect("an opening after the first was closed");
}

#[cfg(unix)]
#[tokio::test]
async fn every_file_of_a_store_is_for_its_owner_alone_also_if_it_was_wide() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let none = Migrator::with_migrations(Vec::new());
    let modes = || -> Vec<(String, u32)> {
        let entries = std::fs::read_dir(folder.path().join("deep")).expect("lists");
        let mode =
            |entry: std::fs::DirEntry| entry.metadata().expect("is there").permissions().mode() & 0o777;
        entries
            .map(|entry| entry.expect("an entry"))
            .map(|it| (it.path().display().to_string(), mode(it)))
            .collect()
    };
    for _ in 0..2 {
        let database = Database::open(&url(&folder), &none).await.expect("opens");
        let mut tx = database.write().await.expect("begins");
        sqlx::query("create table if not exists t (v text)").execute(&mut *tx).await.expect("creates");
        tx.commit().await.expect("commits");
        let found = modes();
        assert!(found.len() >= 4, "the file, its log, its index and its lock: {found:?}");
        assert!(found.iter().all(|(_, mode)| *mode == 0o600), "{found:?}");
        database.close().await;
        // As an earlier version made them, and a crash leaves them.
        for end in ["", "-wal", "-shm", ".lock"] {
            let path = format!("{}{end}", database.path().display());
            drop(File::options().create(true).append(true).open(&path).expect("opens"));
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("is ours");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_read_before_they_write_never_fail_each_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database =
        Database::open(&url(&folder), &Migrator::with_migrations(Vec::new())).await.expect("opens");
    let mut tx = database.write().await.expect("begins");
    sqlx::query("create table n (v integer not null)").execute(&mut *tx).await.expect("creates");
    sqlx::query("insert into n values (0)").execute(&mut *tx).await.expect("inserts");
    tx.commit().await.expect("commits");
    let add = |database: Database| async move {
        let mut tx = database.write().await?;
        let (v,): (i64,) = sqlx::query_as("select v from n").fetch_one(&mut *tx).await?;
        sqlx::query("update n set v = ?").bind(v + 1).execute(&mut *tx).await?;
        tx.commit().await
    };
    let all = futures::future::join_all((0..100).map(|_| add(database.clone()))).await;
    assert!(all.iter().all(Result::is_ok));
    let (v,): (i64,) = sqlx::query_as("select v from n").fetch_one(database.reader()).await.expect("reads");
    assert_eq!(v, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_of_one_file_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database =
        Database::open(&url(&folder), &Migrator::with_migrations(Vec::new())).await.expect("opens");
    let probes = (0..50).map(|_| {
        let database = database.clone();
        crate::spawn("test.probe", async move { database.try_write().await })
    });
    for outcome in futures::future::join_all(probes).await {
        outcome.expect("no panic").expect("the file can be written");
    }
}

#[tokio::test]
async fn after_a_full_disk_writes_go_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database =
        Database::open(&url(&folder), &Migrator::with_migrations(Vec::new())).await.expect("opens");
    let fill = async |pages: &'static str| -> Result<(), StoreFailure> {
        let mut tx = database.write().await?;
        sqlx::query(pages).execute(&mut *tx).await?;
        sqlx::query("create table if not exists t (v blob)").execute(&mut *tx).await?;
        for _ in 0..100 {
            sqlx::query("insert into t values (zeroblob(4096))").execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    };
    let full = fill("pragma max_page_count = 10").await;
    assert!(matches!(full, Err(StoreFailure::Unavailable(_))), "{full:?}");
    database.ping().await.expect("reads go on");
    fill("pragma max_page_count = 100000").await.expect("there is room again");
    database.try_write().await.expect("and the store says so");
}

#[tokio::test]
async fn what_was_deleted_and_forgotten_is_in_no_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database =
        Database::open(&url(&folder), &Migrator::with_migrations(Vec::new())).await.expect("opens");
    for statement in ["create table t (v text)", "insert into t values ('Rumpelstiltskin')", "delete from t"]
    {
        let mut tx = database.write().await.expect("begins");
        sqlx::query(statement).execute(&mut *tx).await.expect("runs");
        tx.commit().await.expect("commits");
    }
    database.forget().await;
    for entry in std::fs::read_dir(database.path().parent().expect("a folder")).expect("reads") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        assert!(!bytes.windows(15).any(|window| window == b"Rumpelstiltskin"));
    }
}

#[tokio::test]
async fn what_was_moved_between_pages_before_it_was_deleted_is_in_no_file_once_its_erasure_is_true() {
    use crate::{Erasable, SqliteErasure, enqueue_erasure};

    let folder = tempfile::tempdir().expect("a folder");
    let database =
        Database::open(&url(&folder), &Migrator::with_migrations(Vec::new())).await.expect("opens");
    let person = kernel::UserId::new(uuid::Uuid::from_u128(7));
    let mut tx = database.write().await.expect("begins");
    for statement in [
        "create table erasure_duty (person blob primary key, since integer default 1, vacuumed integer default 0)",
        "create table t (k text primary key, v text) without rowid",
        // Rows that grow and are deleted in between, so that pages are split and rearranged.
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000)
         insert into t select hex(randomblob(8)), 'Rumpelstiltskin' || i from n",
        "update t set v = v || hex(randomblob(abs(random()) % 60))",
        "delete from t where k in (select k from t order by v limit 1500)",
        "delete from t",
    ] {
        sqlx::query(statement).execute(&mut *tx).await.expect("runs");
    }
    enqueue_erasure(&mut tx, person).await.expect("it is noted");
    tx.commit().await.expect("commits");
    let duty = SqliteErasure::new(database.clone());
    assert_eq!(duty.owed().await.expect("one duty"), [person]);
    assert!(duty.wipe(&[person]).await.expect("wipes"));
    duty.done(&[person]).await.expect("done");
    assert!(duty.owed().await.expect("none").is_empty());
    for entry in std::fs::read_dir(database.path().parent().expect("a folder")).expect("reads") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        assert!(!bytes.windows(15).any(|window| window == b"Rumpelstiltskin"));
    }
}

#[tokio::test]
async fn what_a_crash_left_in_the_log_is_gone_when_the_file_is_open_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let none = Migrator::with_migrations(Vec::new());
    let database = Database::open(&url(&folder), &none).await.expect("opens");
    for statement in ["create table t (v text)", "insert into t values ('Rumpelstiltskin')", "delete from t"]
    {
        let mut tx = database.write().await.expect("begins");
        sqlx::query(statement).execute(&mut *tx).await.expect("runs");
        tx.commit().await.expect("commits");
    }
    // As a process that is killed leaves it: a copy of the files while they are open.
    let after = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(after.path().join("deep")).expect("a folder");
    for name in ["store.db", "store.db-wal"] {
        std::fs::copy(folder.path().join("deep").join(name), after.path().join("deep").join(name))
            .expect("copies");
    }
    let holds = || {
        std::fs::read_dir(after.path().join("deep")).expect("reads").any(|entry| {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
            bytes.windows(15).any(|window| window == b"Rumpelstiltskin")
        })
    };
    assert!(holds(), "the log has it");
    let opened = Database::open(&url(&after), &none).await.expect("opens");
    assert!(!holds(), "and no longer");
    opened.close().await;
}

#[tokio::test]
async fn a_reader_can_not_write() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database =
        Database::open(&url(&folder), &Migrator::with_migrations(Vec::new())).await.expect("opens");
    assert!(sqlx::query("create table t (v integer)").execute(database.reader()).await.is_err());
}
