//! Private files: those with secrets or personal data belong to the owner of this process alone, whatever the
//! umask is.
//!
//! `docs/decisions/016-files-and-their-owners.md` has the rules and their reasons.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::path::{Path, PathBuf};

use super::folder::make_private_folder;
#[cfg(unix)]
use super::ownership::{self, OWNER_ONLY};
use super::parent::folder_of;

/// Sets the umask of this process, so that files and folders created by libraries are private too.
pub fn keep_files_private() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// Creates a private file unless it exists. Returns true if this call created it.
///
/// The file appears whole or not at all, and then survives a power cut. An existing file is never replaced,
/// even if two processes create it at the same time.
///
/// # Errors
/// If the operating system refuses.
pub fn write_private(path: &Path, contents: &[u8]) -> Result<bool> {
    let folder = folder_of(path);
    make_private_folder(folder)?;
    let draft = draft_of(path);
    let outcome = write(&draft, contents).and_then(|()| match std::fs::hard_link(&draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        linked => linked.map(|()| true),
    });
    std::fs::remove_file(&draft)?;
    let made = outcome?;
    // The name is on the disk only after its folder is.
    File::open(folder)?.sync_all()?;
    Ok(made)
}

/// Creates or replaces a private file. A reader finds the old or the new content, and never a part.
///
/// # Errors
/// If the operating system refuses.
pub fn replace_private(path: &Path, contents: &[u8]) -> Result<()> {
    let folder = folder_of(path);
    make_private_folder(folder)?;
    let draft = draft_of(path);
    write(&draft, contents)?;
    std::fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()
}

/// Opens a file for writing, and creates it if it is missing. In both cases it is private afterwards.
///
/// # Errors
/// If the file belongs to another user, or the operating system refuses.
pub fn open_private(path: &Path) -> Result<File> {
    close_to_others(path)?;
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    let file = private(&mut options).open(path)?;
    #[cfg(unix)]
    narrow(&file, &file.metadata()?)?;
    Ok(file)
}

/// Makes an existing file private. A missing file is accepted.
///
/// # Errors
/// If it belongs to another user, or the operating system refuses.
pub(crate) fn close_to_others(path: &Path) -> Result<()> {
    #[cfg(unix)]
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(metadata) => {
            if let Some(fault) = ownership::foreign_owner(path, &metadata) {
                return Err(Error::new(ErrorKind::PermissionDenied, fault));
            }
            if ownership::is_open_to_others(&metadata) {
                std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(OWNER_ONLY))?;
                tracing::warn!(file = %path.display(), "other users could open this file; it is private now");
            }
        }
    }
    Ok(())
}

/// Reads a file with a secret. It must be as private as `ssh` requires for a key.
///
/// # Errors
/// If other users can read or replace it, it belongs to another user, or the operating system refuses.
pub fn read_secret(path: &Path) -> Result<String> {
    let mut file = File::open(path)?;
    #[cfg(unix)]
    if let Some(fault) = ownership::exposure(path, &file.metadata()?) {
        return Err(Error::new(ErrorKind::PermissionDenied, fault));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

fn draft_of(path: &Path) -> PathBuf {
    path.with_extension(format!("{}.new", std::process::id()))
}

fn write(path: &Path, contents: &[u8]) -> Result<()> {
    // A killed process with the same id may have left a draft.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    let mut file = private(&mut options).open(path)?;
    #[cfg(unix)]
    narrow(&file, &file.metadata()?)?;
    file.write_all(contents)?;
    file.sync_all()
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, OWNER_ONLY);
    options
}

/// Sets the mode, because a umask may have removed the rights of the owner too.
#[cfg(unix)]
fn narrow(file: &File, metadata: &Metadata) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if metadata.permissions().mode() & 0o777 == OWNER_ONLY {
        return Ok(());
    }
    file.set_permissions(PermissionsExt::from_mode(OWNER_ONLY))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("is there").permissions().mode() & 0o777
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("is ours");
    }

    #[test]
    fn a_private_file_is_made_once_for_its_owner_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys/secret");
        assert!(write_private(&path, b"first").expect("writes"));
        assert!(!write_private(&path, b"second").expect("leaves it"));
        assert_eq!(std::fs::read(&path).expect("reads"), b"first");
        assert_eq!(std::fs::read_dir(folder.path().join("keys")).expect("lists").count(), 1);
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_leftover_of_a_killed_process_does_not_matter() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(path.with_extension(format!("{}.new", std::process::id())), "half").expect("writes");
        assert!(write_private(&path, b"whole").expect("writes"));
        assert_eq!(std::fs::read(&path).expect("reads"), b"whole");
    }

    #[test]
    fn a_file_that_is_opened_is_private_whether_it_is_new_or_was_wide() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        open_private(&path).expect("is made");
        assert_eq!(mode(&path), 0o600);
        for wide in [0o644, 0o666, 0o640] {
            set_mode(&path, wide);
            open_private(&path).expect("is ours");
            assert_eq!(mode(&path), 0o600, "{wide:o}");
        }
    }

    #[test]
    fn a_secret_that_others_can_read_or_write_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, "s3cret").expect("writes");
        for (wide, word) in
            [(0o644, "read"), (0o640, "read"), (0o604, "read"), (0o620, "write"), (0o666, "write")]
        {
            set_mode(&path, wide);
            let refused = read_secret(&path).expect_err("it is open to others").to_string();
            assert!(refused.contains(word) && refused.contains("chmod 600"), "{wide:o}: {refused}");
            assert!(!refused.contains("s3cret"), "{refused}");
        }
        for narrow in [0o600, 0o400] {
            set_mode(&path, narrow);
            assert_eq!(read_secret(&path).expect("reads"), "s3cret", "{narrow:o}");
        }
        set_mode(folder.path(), 0o777);
        let refused = read_secret(&path).expect_err("others can replace it").to_string();
        assert!(refused.contains("folder"), "{refused}");
        set_mode(folder.path(), 0o755);
        assert!(read_secret(&path).is_ok());
    }
}
