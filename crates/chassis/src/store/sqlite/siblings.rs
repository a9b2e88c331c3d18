//! The stores of one folder know each other.
//!
//! At the first start a folder gets an id. Each store keeps it inside its file. The file `known-stores` has
//! it in its first line, and below it the name of each store that was ever opened there. So a store that is
//! missing, or that comes from another folder, is noticed before an empty one takes its place and the others
//! go on as if nothing had happened. Files from before these ids are accepted as they are.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqlitePool};
use uuid::Uuid;

use crate::files::{folder_of, replace_private, write_private};
use crate::store::failure::StoreFailure;
use crate::values::sqlite_path;

/// The file beside the stores with their names.
const KNOWN: &str = "known-stores";

/// A store and its folder.
pub(super) struct Sibling {
    file: PathBuf,
    name: String,
    /// The file with the names of the stores.
    list: PathBuf,
}

/// The content of `known-stores`.
struct Known {
    id: String,
    names: Vec<String>,
}

impl Sibling {
    pub(super) fn of(file: &Path) -> Self {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { file: file.to_owned(), name, list: folder_of(file).join(KNOWN) }
    }

    /// Returns an error if the store was here before and is missing.
    pub(super) fn ensure_not_missing(&self) -> Result<(), StoreFailure> {
        if has_content(&self.file) || !self.known()?.is_some_and(|known| known.names.contains(&self.name)) {
            return Ok(());
        }
        let (file, name, list) = (self.file.display(), &self.name, self.list.display());
        Err(StoreFailure::broken(format!(
            "{file} is missing or empty, but it was here before: restore it from the same backup as the files beside it (`portal \
             replay` rebuilds the view of a section), or remove the line {name} from {list} to begin with an empty one"
        )))
    }

    /// Reads the id inside the file, if it has one, and refuses a file that belongs to another folder.
    pub(super) async fn recognise(&self, writer: &SqlitePool) -> Result<Option<String>, StoreFailure> {
        let has_id = "select exists (select 1 from sqlite_schema where name = 'portal_folder')";
        if !sqlx::query_scalar::<_, bool>(has_id).fetch_one(writer).await? {
            return Ok(None);
        }
        let stored: Option<String> =
            sqlx::query_scalar("select id from portal_folder").fetch_optional(writer).await?;
        match (&stored, self.known()?) {
            (Some(stored), Some(known)) if *stored != known.id => {
                let (file, list) = (self.file.display(), self.list.display());
                Err(StoreFailure::broken(format!(
                    "{file} belongs to another data folder (its id is {stored}, that of {list} is {}): restore the file of this \
                     folder, or the whole other folder",
                    known.id
                )))
            }
            _ => Ok(stored),
        }
    }

    /// Writes the id into the file if it has none, and adds the store to the list.
    pub(super) async fn settle(
        &self,
        writer: &SqlitePool,
        stored: Option<String>,
    ) -> Result<(), StoreFailure> {
        let known = match self.known()? {
            Some(known) => known,
            None => {
                // If files were copied together, one may be from before the ids and the others not.
                let own = match &stored {
                    Some(id) => Some(id.clone()),
                    None => self.id_of_another().await,
                };
                let own = own.unwrap_or_else(|| Uuid::new_v4().to_string());
                let made = write_private(&self.list, format!("{own}\n").as_bytes());
                made.map_err(|error| self.failed(&error))?;
                // Another process may have been first.
                self.known()?.unwrap_or(Known { id: own, names: Vec::new() })
            }
        };
        if stored.is_none() {
            let mut tx = writer.begin_with("begin immediate").await?;
            sqlx::query("create table if not exists portal_folder (id text not null)")
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "insert into portal_folder (id) select ? where not exists (select 1 from portal_folder)",
            )
            .bind(&known.id)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
        }
        if known.names.contains(&self.name) {
            Ok(())
        } else {
            self.remember().map_err(|error| self.failed(&error))
        }
    }

    /// Returns the id inside another store of the folder. A file that can't be read has none.
    async fn id_of_another(&self) -> Option<String> {
        for entry in std::fs::read_dir(folder_of(&self.file)).ok()?.filter_map(Result::ok) {
            let path = entry.path();
            if path == self.file || path.extension().is_none_or(|end| end != "db") || !has_content(&path) {
                continue;
            }
            let options = SqliteConnectOptions::new().filename(&path).read_only(true);
            let Ok(mut other) = options.connect().await else { continue };
            let id = sqlx::query_scalar("select id from portal_folder").fetch_optional(&mut other).await;
            let _ = other.close().await;
            if let Ok(Some(id)) = id {
                return Some(id);
            }
        }
        None
    }

    /// Adds the name in one write, so that several processes may do so at the same time.
    fn remember(&self) -> std::io::Result<()> {
        let mut list = std::fs::File::options().append(true).open(&self.list)?;
        list.write_all(format!("\n{}\n", self.name).as_bytes())?;
        list.sync_all()
    }

    fn forget(&self) -> Result<(), StoreFailure> {
        let Some(Known { id, names }) = self.known()? else { return Ok(()) };
        let others = names.into_iter().filter(|name| *name != self.name);
        let text: String = [id].into_iter().chain(others).map(|line| format!("{line}\n")).collect();
        replace_private(&self.list, text.as_bytes()).map_err(|error| self.failed(&error))
    }

    fn known(&self) -> Result<Option<Known>, StoreFailure> {
        let text = match std::fs::read_to_string(&self.list) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(&error)),
        };
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
        Ok(lines.next().map(|id| Known { id, names: lines.collect() }))
    }

    fn failed(&self, error: &std::io::Error) -> StoreFailure {
        StoreFailure::broken(format!("{}: {error}", self.list.display()))
    }
}

fn has_content(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.len() > 0)
}

/// Returns an error if one of these stores was here before and is missing now. `files` are in groups, in the
/// order in which a first start opens them. In a folder from before the ids, a store is missing if one of a
/// later group is there.
///
/// # Errors
/// [`StoreFailure::Broken`] with the missing store and what to do.
pub fn ensure_none_is_missing(files: &[Vec<PathBuf>]) -> Result<(), StoreFailure> {
    let all = files.iter().flatten().map(|file| Sibling::of(file));
    let mut is_known = false;
    for sibling in all {
        sibling.ensure_not_missing()?;
        is_known |= sibling.list.exists();
    }
    let last = files.iter().rposition(|group| group.iter().any(|file| has_content(file)));
    let Some(last) = last.filter(|_| !is_known) else { return Ok(()) };
    match files[..last].iter().flatten().find(|file| !has_content(file)) {
        None => Ok(()),
        Some(missing) => Err(StoreFailure::broken(format!(
            "{} is missing or empty, but stores that were created after it are there: restore it from the same backup as the files \
             beside it, or start with another folder (--data-dir)",
            missing.display()
        ))),
    }
}

/// Removes the store of `url` from the list if its file is missing, so that a new one can take its place. It
/// is for stores that can be rebuilt.
///
/// # Errors
/// If the operating system refuses.
pub fn forget_if_missing(url: &str) -> Result<(), StoreFailure> {
    match sqlite_path(url).filter(|file| !has_content(file)) {
        Some(file) => Sibling::of(&file).forget(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::migrate::Migrator;

    use super::super::Database;
    use super::*;

    async fn open(folder: &Path, name: &str) -> Result<(), String> {
        let none = Migrator::with_migrations(Vec::new());
        let url = format!("sqlite:{}", folder.join(name).display());
        let database = Database::open(&url, &none).await.map_err(|failure| crate::causes(&failure))?;
        database.close().await;
        Ok(())
    }

    fn remove(folder: &Path, name: &str) {
        for end in ["", "-wal", "-shm", ".lock"] {
            let _ = std::fs::remove_file(folder.join(format!("{name}{end}")));
        }
    }

    #[tokio::test]
    async fn a_missing_or_empty_store_stops_the_start_with_instructions() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        for name in ["users.db", "news.db"] {
            open(path, name).await.expect("a first start");
        }
        remove(path, "users.db");
        for emptied in [false, true] {
            if emptied {
                std::fs::write(path.join("users.db"), "").expect("writes");
            }
            let refused = open(path, "users.db").await.expect_err("it is missing");
            assert!(
                refused.contains("users.db is missing or empty") && refused.contains("backup"),
                "{refused}"
            );
            let files = [vec![path.join("users.db")], vec![path.join("news.db")]];
            assert!(ensure_none_is_missing(&files).is_err());
        }
        assert_eq!(std::fs::metadata(path.join("users.db")).expect("is there").len(), 0, "nothing was made");
        open(path, "news.db").await.expect("the others are as they were");
        forget_if_missing(&format!("sqlite:{}", path.join("users.db").display())).expect("forgets");
        open(path, "users.db").await.expect("begins again");
        forget_if_missing(&format!("sqlite:{}", path.join("news.db").display())).expect("is there");
        remove(path, "news.db");
        open(path, "news.db").await.expect_err("one that was there was not forgotten");
    }

    #[tokio::test]
    async fn a_store_of_another_folder_is_refused_but_a_copy_of_a_whole_folder_is_accepted() {
        let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        for folder in [&one, &other] {
            open(folder.path(), "users.db").await.expect("a first start");
            open(folder.path(), "news.db").await.expect("a first start");
        }
        let copy = tempfile::tempdir().expect("a folder");
        for name in ["users.db", "news.db"] {
            std::fs::copy(one.path().join(name), copy.path().join(name)).expect("copies");
        }
        open(copy.path(), "users.db").await.expect("a copy without the list");
        open(copy.path(), "news.db").await.expect("has the same id");
        std::fs::copy(other.path().join("news.db"), one.path().join("news.db")).expect("copies");
        let refused = open(one.path(), "news.db").await.expect_err("it is of another folder");
        assert!(refused.contains("belongs to another data folder"), "{refused}");
    }

    #[tokio::test]
    async fn a_folder_from_before_the_ids_is_accepted_unless_a_store_is_missing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let files = ["users.db", "users-intake.db", "news.db", "view.db"].map(|name| path.join(name));
        let groups = [files[..2].to_vec(), files[2..].to_vec()];
        assert!(ensure_none_is_missing(&groups).is_ok(), "a new folder");
        for file in &files {
            std::fs::write(file, "as an earlier version left it").expect("writes");
        }
        assert!(ensure_none_is_missing(&groups).is_ok(), "an old folder");
        std::fs::remove_file(&files[3]).expect("removes");
        assert!(ensure_none_is_missing(&groups).is_ok(), "a first start that was interrupted");
        std::fs::write(&files[0], "").expect("writes");
        let refused = ensure_none_is_missing(&groups).expect_err("it is empty beside the news").to_string();
        let refused =
            format!("{refused} {}", crate::causes(&ensure_none_is_missing(&groups).expect_err("as before")));
        assert!(refused.contains("users.db") && refused.contains("backup"), "{refused}");
    }
}
