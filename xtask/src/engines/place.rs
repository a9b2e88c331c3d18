//! Where the engines keep everything: one folder under Cargo's target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::account::Account;
use super::process::Runner;

/// The folder of the engines: data, configuration, logs, what was built and what runs.
#[derive(Debug, Clone)]
pub struct Place {
    root: PathBuf,
}

impl Place {
    /// `engines` in the target folder, beside what Cargo built.
    pub fn find() -> Result<Self> {
        Self::at(&target()?.join("engines"))
    }

    fn at(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("the folder {}", root.display()))?;
        Ok(Self { root: root.canonicalize().context("the folder of the engines")? })
    }

    /// A path inside it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A folder inside it, made where it isn't there.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.join(name);
        fs::create_dir_all(&path).with_context(|| format!("the folder {}", path.display()))?;
        Ok(path)
    }

    /// What starts and stops programs here.
    pub fn runner(&self) -> Result<Runner> {
        Runner::new(&self.root)
    }

    /// Holds everybody else off until the result is dropped: two commands at once would start everything twice.
    pub fn lock(&self) -> Result<fs::File> {
        let file = fs::File::create(self.join("lock")).context("the lock of the engines")?;
        if file.try_lock().is_err() {
            println!("another `cargo xtask` is at the engines: waiting for it");
            file.lock().context("the lock of the engines")?;
        }
        Ok(file)
    }

    /// Makes sure that a user who is not root reaches this folder: PostgreSQL and RabbitMQ refuse to run as root, so their
    /// own users must be able to walk through every folder above their data.
    pub fn check_reachable_by(&self, account: &Account) -> Result<()> {
        let mut look = Command::new("test");
        look.arg("-x").arg(&self.root);
        account.take_on(&mut look);
        if !look.status().context("`test` can't be run")?.success() {
            bail!(
                "the user {} can't enter {}: as root, PostgreSQL and RabbitMQ run under users of their own.\n\
                 Work as another user than root, or put the target folder where they may go: CARGO_TARGET_DIR=/var/tmp/portal",
                account.name,
                self.root.display()
            );
        }
        Ok(())
    }
}

/// Cargo's target folder: this program lies in `<target>/<profile>`.
pub fn target() -> Result<PathBuf> {
    let this = std::env::current_exe().context("the path of xtask")?;
    let target = this.parent().and_then(Path::parent).context("xtask lies in the target folder")?;
    Ok(target.to_owned())
}

/// Writes a file that only its owner reads: it may hold passwords. A crash leaves the old one or the new one.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let new = path.with_extension("new");
    // Removed first: the mode below counts only for a file that is made.
    let _ = fs::remove_file(&new);
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.and_then(|()| fs::rename(&new, path)).with_context(|| format!("the file {}", path.display()))
}

/// Fills in every `${NAME}` that has a value, as `envsubst` does; others stay as they are.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values
        .iter()
        .fold(template.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_gets_every_value_that_is_known_and_keeps_the_rest() {
        let text = fill("a ${PORT} and ${PORT}, ${OTHER}, $host", &[("PORT", "1"), ("UNUSED", "2")]);
        assert_eq!(text, "a 1 and 1, ${OTHER}, $host");
    }

    #[test]
    fn what_may_hold_passwords_is_read_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        write_private(&path, "one").expect("writes");
        write_private(&path, "two").expect("writes over it");
        assert_eq!(fs::read_to_string(&path).expect("reads"), "two");
        assert_eq!(fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
    }
}
