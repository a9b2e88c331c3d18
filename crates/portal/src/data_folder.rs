//! The data folder, which one process uses at a time.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context, bail};
use chassis::{FOLDER_LOCK, claim_folder, open_private};

/// Creates the data folder if it is missing, makes it private, and locks it for this process.
///
/// # Errors
/// If it can't be created or made private, or another process has locked it.
pub(crate) fn hold(data: &Path) -> anyhow::Result<File> {
    claim_folder(data).context("data_dir")?;
    lock(data)
}

/// Locks the data folder for this process. Each store locks its own file too, but this error is clearer.
///
/// # Errors
/// If another process has locked it.
pub(crate) fn lock(data: &Path) -> anyhow::Result<File> {
    let (path, shown) = (data.join(FOLDER_LOCK), data.display());
    let file = open_private(&path).with_context(|| format!("{} can't be written", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("a portal, or a command such as `portal seed`, runs on the folder {shown}: stop it first")
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} can't be locked", path.display()))
        }
    }
}
