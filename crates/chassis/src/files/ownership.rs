//! Who may open a file, as the operating system says.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The mode of every file with a secret or personal data.
pub(crate) const OWNER_ONLY: u32 = 0o600;
/// The mode of every folder that holds such files.
pub(crate) const OWNER_ONLY_FOLDER: u32 = 0o700;

const OTHERS: u32 = 0o077;
const WRITE: u32 = 0o022;
const GROUP_READS: u32 = 0o040;
/// Only the owner of an entry may replace it, though everybody may add one.
const STICKY: u32 = 0o1000;
const ROOT: u32 = 0;

/// The folder in which container runtimes mount secrets. Their mode and owner are the runtime's, and nobody but root can put a file
/// there.
const MOUNTED_SECRETS: &str = "/run/secrets";

/// Says that the owner of a file or folder is neither this process's user nor root, if that is so.
pub(crate) fn foreign(path: &Path, metadata: &Metadata) -> Option<String> {
    let (owner, own) = (metadata.uid(), rustix::process::geteuid().as_raw());
    (owner != own && owner != ROOT).then(|| {
        format!(
            "{} belongs to the user {owner}, but this process runs as {own}: run it as that user, or change the owner",
            path.display()
        )
    })
}

/// True if anybody but the owner may do anything with it.
pub(crate) fn open_to_others(metadata: &Metadata) -> bool {
    metadata.mode() & OTHERS != 0
}

/// True if anybody but the owner may put something there.
pub(crate) fn writable_by_others(metadata: &Metadata) -> bool {
    metadata.mode() & WRITE != 0
}

/// True for a folder such as `/tmp`.
pub(crate) fn is_shared(metadata: &Metadata) -> bool {
    metadata.mode() & STICKY != 0
}

/// Says in a sentence why a file is not private enough for a secret, and what to do; `None` if it is.
pub(crate) fn exposed(path: &Path, metadata: &Metadata) -> Option<String> {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if real.starts_with(MOUNTED_SECRETS) {
        let writable = writable_by_others(metadata) && !is_on_a_read_only_mount(&real);
        return writable.then(|| open_sentence(path, metadata));
    }
    if let Some(fault) = foreign(path, metadata) {
        return Some(fault);
    }
    // A file of root may be shared with the group that root chose for it, as PostgreSQL allows for its key.
    let by_root = metadata.uid() == ROOT && rustix::process::geteuid().as_raw() != ROOT;
    let allowed = if by_root { GROUP_READS } else { 0 };
    if metadata.mode() & OTHERS & !allowed != 0 {
        return Some(open_sentence(path, metadata));
    }
    let folder = super::private::folder_of(&real);
    let around = std::fs::metadata(folder).ok()?;
    let replaceable = writable_by_others(&around) && !is_shared(&around);
    if replaceable || foreign(folder, &around).is_some() {
        return Some(format!(
            "{} lies in a folder that other users can write to, so they can replace it: move it, or run `chmod go-w {}`",
            path.display(),
            folder.display()
        ));
    }
    None
}

fn open_sentence(path: &Path, metadata: &Metadata) -> String {
    let verb = if writable_by_others(metadata) { "write" } else { "read" };
    let (path, mode) = (path.display(), metadata.mode() & 0o777);
    format!("other users of this machine can {verb} {path} (mode {mode:04o}): run `chmod 600 {path}`")
}

fn is_on_a_read_only_mount(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|mount| mount.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}
