use std::io::{Error, ErrorKind, Result};
use std::path::Path;

#[cfg(unix)]
use super::ownership::{self, OWNER_ONLY_FOLDER};

/// The file that the one process locks in its data folder. A folder with this file is a data folder.
pub const FOLDER_LOCK: &str = "portal.lock";

/// Creates a private folder, and missing folders above it: it holds e-mail addresses and hashes. An existing
/// folder keeps its mode. It is refused if it belongs to another user, or if other users can write to it.
///
/// # Errors
/// If the folder is refused, or the operating system refuses.
pub fn make_private_folder(path: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, OWNER_ONLY_FOLDER);
    builder.create(path)?;
    #[cfg(unix)]
    {
        let metadata = std::fs::metadata(path)?;
        if let Some(fault) = ownership::foreign_owner(path, &metadata) {
            return Err(refusal(fault));
        }
        if ownership::is_writable_by_others(&metadata) {
            let path = path.display();
            return Err(refusal(format!(
                "other users of this machine can write to the folder {path}: run `chmod go-w {path}`, or choose another folder"
            )));
        }
    }
    Ok(())
}

/// Creates the data folder of a portal as [`make_private_folder`] does. An existing folder becomes private,
/// unless it holds more than the data of a portal: the mode of a folder such as `/srv` is not ours to change.
///
/// # Errors
/// If the folder is refused, or the operating system refuses.
pub fn claim_folder(path: &Path) -> Result<()> {
    #[cfg(unix)]
    if let Ok(metadata) = std::fs::metadata(path)
        && ownership::foreign_owner(path, &metadata).is_none()
        && ownership::is_open_to_others(&metadata)
    {
        if ownership::is_shared(&metadata) || !is_of_a_portal(path)? {
            let path = path.display();
            return Err(refusal(format!(
                "other users of this machine can read {path}, and it holds more than the data of a portal: choose a folder for the portal alone, \
                 such as {path}/portal"
            )));
        }
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(OWNER_ONLY_FOLDER))?;
        tracing::warn!(folder = %path.display(), "other users could read the data folder; it is private now");
    }
    make_private_folder(path)
}

/// True if a portal has used the folder, or if it holds only files, as an operator may have put there for the
/// first start.
#[cfg(unix)]
fn is_of_a_portal(path: &Path) -> Result<bool> {
    if path.join(FOLDER_LOCK).exists() {
        return Ok(true);
    }
    for entry in std::fs::read_dir(path)? {
        if entry?.file_type()?.is_dir() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(unix)]
fn refusal(sentence: String) -> Error {
    Error::new(ErrorKind::PermissionDenied, sentence)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("is there").permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("is ours");
    }

    #[test]
    fn a_data_folder_that_exists_before_the_first_start_becomes_private() {
        let outer = tempfile::tempdir().expect("a folder");
        let data = outer.path().join("data");
        for wide in [0o755, 0o777, 0o750] {
            std::fs::create_dir_all(&data).expect("is made");
            std::fs::write(data.join("initial-admin-password"), "of the operator").expect("writes");
            set_mode(&data, wide);
            claim_folder(&data).expect("it is ours");
            assert_eq!(mode(&data), 0o700, "{wide:o}");
        }
    }

    #[test]
    fn a_folder_with_other_data_is_refused_and_left_as_it_is() {
        let outer = tempfile::tempdir().expect("a folder");
        let srv = outer.path().join("srv");
        std::fs::create_dir_all(srv.join("www")).expect("is made");
        set_mode(&srv, 0o755);
        let refused = claim_folder(&srv).expect_err("it is not ours alone").to_string();
        assert!(refused.contains("choose a folder for the portal alone"), "{refused}");
        assert_eq!(mode(&srv), 0o755);
        set_mode(&srv, 0o1777);
        std::fs::write(srv.join(FOLDER_LOCK), "").expect("writes");
        claim_folder(&srv).expect_err("all users put files there");
        set_mode(&srv, 0o755);
        claim_folder(&srv).expect("a portal has used it");
        assert_eq!(mode(&srv), 0o700);
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let outer = tempfile::tempdir().expect("a folder");
        set_mode(outer.path(), 0o777);
        let refused = make_private_folder(outer.path()).expect_err("others can write there").to_string();
        assert!(refused.contains("chmod go-w"), "{refused}");
        set_mode(outer.path(), 0o755);
        make_private_folder(outer.path()).expect("the files in it are private themselves");
        assert_eq!(mode(outer.path()), 0o755);
    }
}
