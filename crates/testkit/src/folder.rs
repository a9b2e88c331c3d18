use std::path::{Path, PathBuf};

/// The folder whose files Linux keeps in memory.
const IN_MEMORY: &str = "/dev/shm";
/// The bytes that must be free there: more than all tests together need, and more than containers have by
/// default.
const MIN_FREE: u64 = 1 << 30;

/// A private folder for one test. It is removed at the end. If the test fails, it stays, and the test's
/// output names it.
///
/// It is in memory if the machine offers that. Stores flush after every commit, and a test would mostly wait
/// for the disk. No law is weaker for it: the writes of a killed process survive in both, and only a power
/// cut would make a difference.
#[derive(Debug)]
pub struct Folder(Option<tempfile::TempDir>);

impl Folder {
    /// Creates an empty folder: in `TMPDIR` if that is set, otherwise in memory, otherwise in the system's
    /// temporary folder.
    #[expect(clippy::new_without_default, reason = "it has an effect, which a default would hide")]
    pub fn new() -> Self {
        let folder = memory().and_then(|memory| named().tempdir_in(memory).ok());
        folder.map_or_else(Self::on_disk, |folder| Self(Some(folder)))
    }

    /// Creates an empty folder in the system's temporary folder, for measurements that include the cost of
    /// the disk.
    pub fn on_disk() -> Self {
        Self(Some(named().tempdir().expect("a temporary folder can be made")))
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        self.0.as_ref().expect("the folder is there until it is dropped").path()
    }

    /// Returns a path inside the folder.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Returns the URL of a SQLite file inside the folder, as stores accept it.
    pub fn sqlite(&self, name: &str) -> String {
        format!("sqlite:{}", self.join(name).display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(folder) = self.0.take()
        {
            eprintln!("the test's folder is kept: {}", folder.keep().display());
        }
    }
}

fn named() -> tempfile::Builder<'static, 'static> {
    let mut named = tempfile::Builder::new();
    named.prefix("portal-test-");
    named
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no configuration; its user chooses the folder for temporary files"
)]
fn memory() -> Option<&'static Path> {
    if std::env::var_os("TMPDIR").is_some() {
        return None;
    }
    let place = rustix::fs::statvfs(IN_MEMORY).ok()?;
    (place.f_bavail.saturating_mul(place.f_frsize) >= MIN_FREE).then_some(Path::new(IN_MEMORY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_is_a_new_one_and_is_removed_when_it_is_dropped() {
        let (one, two) = (Folder::new(), Folder::new());
        assert_ne!(one.path(), two.path());
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists() && two.path().exists());
    }
}
