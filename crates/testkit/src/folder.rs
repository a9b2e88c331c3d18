use std::path::{Path, PathBuf};

/// A private folder for one test. It is removed at the end, unless the test fails: then it stays, and the test's output
/// says where it is.
#[derive(Debug)]
pub struct Folder(Option<tempfile::TempDir>);

impl Folder {
    /// A new, empty folder.
    #[allow(clippy::new_without_default, reason = "it has an effect: a default would hide it")]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("portal-test-").tempdir();
        Self(Some(folder.expect("a temporary folder can be made")))
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
