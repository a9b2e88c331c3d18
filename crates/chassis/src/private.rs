use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// Makes a file for the owner of this process alone, unless there is one: it appears whole or not at all, survives a power cut
/// from then on, and one that is there is never replaced, also where two processes make it at once. True where it was made here.
///
/// # Errors
/// Where the operating system refuses.
pub fn write_private(path: &Path, contents: &[u8]) -> std::io::Result<bool> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    crate::make_private_folder(folder)?;
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let outcome = write(&draft, contents).and_then(|()| match std::fs::hard_link(&draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        linked => linked.map(|()| true),
    });
    std::fs::remove_file(&draft)?;
    let made = outcome?;
    // The name is on the disk only when its folder is.
    File::open(folder)?.sync_all()?;
    Ok(made)
}

/// The same, in place of a file that may be there: whoever reads it finds the old one or the new one, whole.
///
/// # Errors
/// Where the operating system refuses.
pub fn replace_private(path: &Path, contents: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    crate::make_private_folder(folder)?;
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    write(&draft, contents)?;
    std::fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()
}

fn write(path: &Path, contents: &[u8]) -> std::io::Result<()> {
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
    file.write_all(contents)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_made_once_for_its_owner_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys/secret");
        assert!(write_private(&path, b"first").expect("writes"));
        assert!(!write_private(&path, b"second").expect("leaves it"));
        assert_eq!(std::fs::read(&path).expect("reads"), b"first");
        assert_eq!(std::fs::read_dir(folder.path().join("keys")).expect("lists").count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).expect("is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn what_a_killed_process_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(path.with_extension(format!("{}.new", std::process::id())), "half").expect("writes");
        assert!(write_private(&path, b"whole").expect("writes"));
        assert_eq!(std::fs::read(&path).expect("reads"), b"whole");
    }
}
