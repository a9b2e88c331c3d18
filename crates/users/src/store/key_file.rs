//! The file of signing keys, which replicas share.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::domain::{KeyRing, NotAKeyRing};

/// Why there are no signing keys. Names the file, never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It can be neither read nor made.
    #[error("signing.key_file {0}")]
    Unusable(PathBuf, #[source] std::io::Error),
    /// It holds something else.
    #[error("signing.key_file {0}")]
    NoKeys(PathBuf, #[source] NotAKeyRing),
}

/// Reads the keys of `path`; where there is no file, makes one with a new key, readable by its owner alone.
///
/// Two processes may do so at once: both end up with the same file.
///
/// # Errors
/// Where the file can be neither read nor made, or holds no keys.
pub fn open(path: &Path) -> Result<KeyRing, KeyFileError> {
    let text = read_or_create(path).map_err(|error| KeyFileError::Unusable(path.to_owned(), error))?;
    KeyRing::parse(&text).map_err(|error| KeyFileError::NoKeys(path.to_owned(), error))
}

fn read_or_create(path: &Path) -> std::io::Result<String> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            create(path)?;
            std::fs::read_to_string(path)
        }
        read => read,
    }
}

/// The whole file appears at once or not at all, and never in place of one that is there: a key that signed is not lost.
fn create(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let outcome = write(&draft).and_then(|()| match std::fs::hard_link(&draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    std::fs::remove_file(&draft)?;
    outcome?;
    File::open(folder)?.sync_all()
}

fn write(path: &Path) -> std::io::Result<()> {
    // What a process of this id left when it was killed here before.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(KeyRing::mint().as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use testkit::Folder;

    use super::*;

    #[test]
    fn a_missing_key_file_is_made_once_for_the_owner_alone() {
        let folder = Folder::new();
        let path = folder.join("keys/signing.pem");
        let first = open(&path).expect("is made");
        let second = open(&path).expect("is read");
        assert_eq!(first.signing().id(), second.signing().id());
        assert_eq!(std::fs::read_dir(folder.join("keys")).expect("lists").count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).expect("is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_key_file_that_can_not_be_read_is_named_and_not_replaced() {
        let folder = Folder::new();
        let path = folder.join("signing.pem");
        std::fs::write(&path, "no key").expect("writes");
        let Err(error) = open(&path) else { panic!("it was taken for a key") };
        assert!(error.to_string().contains("signing.pem"));
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "no key");
    }
}
