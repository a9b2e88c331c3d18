//! The users who may open a file, according to the operating system.

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
/// All users may add an entry, and only the owner of an entry may replace it.
const STICKY: u32 = 0o1000;
const ROOT: u32 = 0;

/// The folder in which container runtimes mount secrets. The runtime chooses their mode and owner, and only
/// root can put a file there.
const MOUNTED_SECRETS: &str = "/run/secrets";

/// Returns a sentence if the owner of a file or folder is neither the user of this process nor root.
pub(crate) fn foreign_owner(path: &Path, metadata: &Metadata) -> Option<String> {
    let (owner, own) = (metadata.uid(), rustix::process::geteuid().as_raw());
    (owner != own && owner != ROOT).then(|| {
        format!(
            "{} belongs to the user {owner}, but this process runs as {own}: run it as that user, or change the owner",
            path.display()
        )
    })
}

/// True if other users than the owner have any right.
pub(crate) fn is_open_to_others(metadata: &Metadata) -> bool {
    metadata.mode() & OTHERS != 0
}

/// True if other users than the owner may write.
pub(crate) fn is_writable_by_others(metadata: &Metadata) -> bool {
    metadata.mode() & WRITE != 0
}

/// True for a folder such as `/tmp`.
pub(crate) fn is_shared(metadata: &Metadata) -> bool {
    metadata.mode() & STICKY != 0
}

/// Returns a sentence if a file is not private enough for a secret. It says why, and what to do.
pub(crate) fn exposure(path: &Path, metadata: &Metadata) -> Option<String> {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if real.starts_with(MOUNTED_SECRETS) {
        let writable = is_writable_by_others(metadata) && !is_on_a_read_only_mount(&real);
        return writable.then(|| open_sentence(path, metadata));
    }
    if let Some(fault) = foreign_owner(path, metadata) {
        return Some(fault);
    }
    // A file of root may be shared with the group that root chose for it, as PostgreSQL allows for its key.
    let by_root = metadata.uid() == ROOT && rustix::process::geteuid().as_raw() != ROOT;
    let allowed = if by_root { GROUP_READS } else { 0 };
    if metadata.mode() & OTHERS & !allowed != 0 {
        return Some(open_sentence(path, metadata));
    }
    let folder = super::parent::folder_of(&real);
    let around = std::fs::metadata(folder).ok()?;
    let is_replaceable = is_writable_by_others(&around) && !is_shared(&around);
    if is_replaceable || foreign_owner(folder, &around).is_some() {
        return Some(format!(
            "{} lies in a folder that other users can write to, so they can replace it: move it, or run `chmod go-w {}`",
            path.display(),
            folder.display()
        ));
    }
    None
}

fn open_sentence(path: &Path, metadata: &Metadata) -> String {
    let verb = if is_writable_by_others(metadata) { "write" } else { "read" };
    let (path, mode) = (path.display(), metadata.mode() & 0o777);
    format!("other users of this machine can {verb} {path} (mode {mode:04o}): run `chmod 600 {path}`")
}

fn is_on_a_read_only_mount(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|mount| mount.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}
