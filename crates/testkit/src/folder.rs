use std::path::{Path, PathBuf};

/// Where Linux keeps files in memory.
const IN_MEMORY: &str = "/dev/shm";
/// How much must be free there: more than all tests at once need, and more than a container gets where nobody has thought of it.
const ROOM: u64 = 1 << 30;

/// A private folder for one test. It is removed at the end, unless the test fails: then it stays, and the test's output
/// says where it is.
///
/// It lies in memory where the machine offers that: stores flush after every commit, and a test would mostly wait for the disk. No law is
/// weaker for it, since what a killed process has written is there on either; only a power cut could tell the difference.
#[derive(Debug)]
pub struct Folder(Option<tempfile::TempDir>);

impl Folder {
    /// A new, empty folder: in `TMPDIR` where that is set, else in memory, else where the system keeps temporary files.
    #[allow(clippy::new_without_default, reason = "it has an effect: a default would hide it")]
    pub fn new() -> Self {
        let made = memory().and_then(|memory| named().tempdir_in(memory).ok());
        made.map_or_else(Self::on_disk, |folder| Self(Some(folder)))
    }

    /// A new, empty folder where the system keeps temporary files: for who measures, and wants a disk to cost what it costs.
    pub fn on_disk() -> Self {
        Self(Some(named().tempdir().expect("a temporary folder can be made")))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.as_ref().expect("the folder is there until it is dropped").path()
    }

    /// A path inside it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The URL of a SQLite file inside it, as stores take it.
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

#[allow(
    clippy::disallowed_methods,
    reason = "a test has no configuration; this is where its user wants its files"
)]
fn memory() -> Option<&'static Path> {
    if std::env::var_os("TMPDIR").is_some() {
        return None;
    }
    let place = rustix::fs::statvfs(IN_MEMORY).ok()?;
    (place.f_bavail.saturating_mul(place.f_frsize) >= ROOM).then_some(Path::new(IN_MEMORY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_folders_are_two_and_neither_outlives_its_test() {
        let (one, two) = (Folder::new(), Folder::new());
        assert_ne!(one.path(), two.path());
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists() && two.path().exists());
    }
}
