//! Where the engines keep everything: one folder under Cargo's target folder.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::account::is_root;
use super::process::Runner;

/// The folder of the engines: data, configuration, logs, what was built and what runs.
#[derive(Debug, Clone)]
pub struct Place {
    root: PathBuf,
    outside: bool,
}

impl Place {
    /// `engines` in the target folder, beside what Cargo built.
    ///
    /// As root we start PostgreSQL and RabbitMQ under users of their own, who must be able to walk through
    /// every folder above their data. Where they can't (a checkout in somebody's home), the engines live in
    /// the system's temporary folder.
    pub fn find() -> Result<Self> {
        let target = target()?;
        if is_root() && !is_open(&target)? {
            return Self::outside(&target);
        }
        Self::at(&target.join("engines"))
    }

    /// The folder for a target folder that is closed to others: always the same one, and nobody else's.
    fn outside(target: &Path) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        target.hash(&mut hasher);
        let place =
            Self::at(&Path::new("/var/tmp").join(format!("news-portal-engines-{:016x}", hasher.finish())))?;
        let owner = fs::metadata(&place.root).context("the folder of the engines")?.uid();
        let place = Self { outside: true, ..place };
        ensure!(owner == 0, "{} belongs to somebody else", place.root.display());
        Ok(place)
    }

    /// Any other folder.
    pub fn at(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("the folder {}", root.display()))?;
        Ok(Self { root: root.canonicalize().context("the folder of the engines")?, outside: false })
    }

    /// Removes all of it where it lies outside the target folder, and so would outlive the checkout.
    pub fn clear_outside(&self) -> Result<()> {
        if self.outside {
            fs::remove_dir_all(&self.root).with_context(|| format!("removing {}", self.root.display()))?;
        }
        Ok(())
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

    /// Holds everybody else off until the result is dropped: two commands at once would start everything
    /// twice.
    pub fn lock(&self) -> Result<fs::File> {
        let file = fs::File::create(self.join("lock")).context("the lock of the engines")?;
        if file.try_lock().is_err() {
            say!("another `cargo xtask` is at the engines: waiting for it");
            file.lock().context("the lock of the engines")?;
        }
        Ok(file)
    }
}

/// True where every user may walk through this folder and all above it.
fn is_open(folder: &Path) -> Result<bool> {
    for part in folder.ancestors() {
        let mode = fs::metadata(part)
            .with_context(|| format!("the folder {}", part.display()))?
            .permissions()
            .mode();
        if mode & 0o001 == 0 {
            return Ok(false);
        }
    }
    Ok(true)
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
    fn a_folder_is_open_only_if_all_above_it_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).expect("a folder");
        let mode =
            |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).expect("is ours");
        mode(0o755);
        assert!(is_open(&inside).expect("is there"));
        mode(0o700);
        assert!(!is_open(&inside).expect("is there"));
    }

    #[test]
    fn what_may_hold_passwords_is_read_by_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        write_private(&path, "one").expect("writes");
        write_private(&path, "two").expect("writes over it");
        assert_eq!(fs::read_to_string(&path).expect("reads"), "two");
        assert_eq!(fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
    }
}
