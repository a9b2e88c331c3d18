//! The user that an engine runs as.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A user of this system that an engine runs as if xtask runs as root, because the engine refuses to run as
/// root.
#[derive(Debug, Clone)]
pub struct Account {
    name: &'static str,
    uid: u32,
    gid: u32,
}

impl Account {
    /// Returns the user of this name if this process is root, and `None` if it is not.
    pub fn instead_of_root(name: &'static str) -> Result<Option<Self>> {
        if !is_root() {
            return Ok(None);
        }
        let number = |option| -> Result<u32> {
            let output = Command::new("id").args([option, name]).stderr(Stdio::null()).output();
            let output = output.context("`id` can't be run")?;
            let text = String::from_utf8_lossy(&output.stdout);
            match text.trim().parse() {
                Ok(0) | Err(_) => bail!("there is no user {name}: the package of the engine creates it"),
                Ok(number) => Ok(number),
            }
        };
        Ok(Some(Self { name, uid: number("-u")?, gid: number("-g")? }))
    }

    /// Makes `command` run as this user.
    pub fn apply_to(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Makes this user the owner of `path` and of everything below it.
    pub fn take_ownership(&self, path: &Path) -> Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("giving {} to {}", path.display(), self.name))?;
        if path.is_dir() {
            for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
                let entry = entry?;
                if !entry.file_type()?.is_symlink() {
                    self.take_ownership(&entry.path())?;
                }
            }
        }
        Ok(())
    }
}

/// Returns true if this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
