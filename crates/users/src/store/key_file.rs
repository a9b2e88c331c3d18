//! The file of signing keys, which replicas share.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::domain::{KeyRing, KeyRingError};

/// Why there are no signing keys. It names the file, and never quotes its content.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file can be neither read nor created.
    #[error("signing.key_file {0}")]
    Unusable(PathBuf, #[source] std::io::Error),
    /// The file contains something else.
    #[error("signing.key_file {0}")]
    NoKeys(PathBuf, #[source] KeyRingError),
}

/// Reads the keys of `path`. If there is no file, creates one with a new key that only its owner can read,
/// and says so in the log: if the path was mistyped, other replicas refuse the tokens of this one.
///
/// Two processes may do so at the same time: both read the same file in the end.
///
/// # Errors
/// If the file can be neither read nor created, contains no keys, or is not private: then others may have
/// made or copied the key.
pub fn open(path: &Path) -> Result<KeyRing, KeyFileError> {
    let (text, is_new) =
        read_or_create(path).map_err(|error| KeyFileError::Unusable(path.to_owned(), error))?;
    let keys = KeyRing::parse(&text).map_err(|error| KeyFileError::NoKeys(path.to_owned(), error))?;
    if is_new {
        let key = keys.signing().id();
        tracing::info!(file = %path.display(), key, "there was no signing key: a new one was created");
    }
    Ok(keys)
}

/// Returns the content of the file, and whether it was created by this call.
fn read_or_create(path: &Path) -> std::io::Result<(String, bool)> {
    match chassis::read_secret(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // An existing file is never replaced: a key that signed must not be lost.
            let is_new = chassis::write_private(path, KeyRing::mint().as_bytes())?;
            Ok((chassis::read_secret(path)?, is_new))
        }
        content => Ok((content?, false)),
    }
}

#[cfg(test)]
mod tests {
    use testkit::Folder;

    use super::*;

    #[test]
    fn a_missing_key_file_is_created_once_and_only_its_owner_can_read_it() {
        let folder = Folder::new();
        let path = folder.join("keys/signing.pem");
        let first = open(&path).expect("is created");
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
        chassis::write_private(&path, b"no key").expect("writes");
        let Err(error) = open(&path) else { panic!("it was read as a key") };
        assert!(error.to_string().contains("signing.pem"));
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "no key");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_that_others_can_read_or_write_is_refused_with_one_sentence() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new();
        let path = folder.join("signing.pem");
        open(&path).expect("is created");
        for (mode, word) in [(0o644, "read"), (0o660, "write")] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("is ours");
            let Err(error) = open(&path) else { panic!("it was accepted with {mode:o}") };
            let message = chassis::causes(&error);
            assert!(message.contains("signing.key_file") && message.contains(word), "{message}");
            assert!(message.contains("chmod 600") && !message.contains('\n'), "{message}");
        }
    }
}
