//! The file of signing keys, which replicas share.

use std::io::ErrorKind;
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

/// Reads the keys of `path`; where there is no file, makes one with a new key, readable by its owner alone, and says so in the log: with
/// the key of a path that was mistyped no other replica takes a token of this one.
///
/// Two processes may do so at once: both end up with the same file.
///
/// # Errors
/// If the file can be neither read nor made, holds no keys, or is not private: then others may have made or copied the key.
pub fn open(path: &Path) -> Result<KeyRing, KeyFileError> {
    let (text, made) =
        read_or_create(path).map_err(|error| KeyFileError::Unusable(path.to_owned(), error))?;
    let keys = KeyRing::parse(&text).map_err(|error| KeyFileError::NoKeys(path.to_owned(), error))?;
    if made {
        let key = keys.signing().id();
        tracing::info!(file = %path.display(), key, "there was no signing key: a new one was made");
    }
    Ok(keys)
}

/// What is in the file, and whether it was made just now.
fn read_or_create(path: &Path) -> std::io::Result<(String, bool)> {
    match chassis::read_secret(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Never in place of one that is there: a key that signed is not lost.
            let made = chassis::write_private(path, KeyRing::mint().as_bytes())?;
            Ok((chassis::read_secret(path)?, made))
        }
        read => Ok((read?, false)),
    }
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
        chassis::write_private(&path, b"no key").expect("writes");
        let Err(error) = open(&path) else { panic!("it was taken for a key") };
        assert!(error.to_string().contains("signing.pem"));
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "no key");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_or_write_stops_the_start_with_one_sentence() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new();
        let path = folder.join("signing.pem");
        open(&path).expect("is made");
        for (mode, word) in [(0o644, "read"), (0o660, "write")] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("is ours");
            let Err(error) = open(&path) else { panic!("it was taken with {mode:o}") };
            let said = chassis::causes(&error);
            assert!(said.contains("signing.key_file") && said.contains(word), "{said}");
            assert!(said.contains("chmod 600") && !said.contains('\n'), "{said}");
        }
    }
}
