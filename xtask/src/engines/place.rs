//! The folder of the engines, below the target folder of Cargo.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::account::is_root;
use super::process::Runner;

/// The folder of the engines: data, configuration, logs, built programs and process ids.
#[derive(Debug, Clone)]
pub struct Place {
    root: PathBuf,
    outside: bool,
}

impl Place {
    /// Returns `engines` in the target folder, beside the results of Cargo.
    ///
    /// As root, xtask starts PostgreSQL and RabbitMQ as users of their own, which must be able to enter every
    /// folder above their data. If they can't (a checkout in a home folder), the engines are in the temporary
    /// folder of the system.
    pub fn find() -> Result<Self> {
        let target = target()?;
        if is_root() && !is_open(&target)? {
            return Self::outside(&target);
        }
        Self::at(&target.join("engines"))
    }

    /// Returns the folder for a target folder that other users can't enter. It is always the same, and
    /// belongs to root.
    fn outside(target: &Path) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        target.hash(&mut hasher);
        let place =
            Self::at(&Path::new("/var/tmp").join(format!("news-portal-engines-{:016x}", hasher.finish())))?;
        let owner = fs::metadata(&place.root).context("the folder of the engines")?.uid();
        let place = Self { outside: true, ..place };
        ensure!(owner == 0, "{} belongs to another user", place.root.display());
        Ok(place)
    }

    /// Returns any other folder.
    pub fn at(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("the folder {}", root.display()))?;
        Ok(Self { root: root.canonicalize().context("the folder of the engines")?, outside: false })
    }

    /// Removes the folder if it is outside the target folder, where it would outlive the checkout.
    pub fn clear_outside(&self) -> Result<()> {
        if self.outside {
            fs::remove_dir_all(&self.root).with_context(|| format!("removing {}", self.root.display()))?;
        }
        Ok(())
    }

    /// Returns a path inside the folder.
    pub fn join(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Returns a folder inside it, which is created if it is missing.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.join(name);
        fs::create_dir_all(&path).with_context(|| format!("the folder {}", path.display()))?;
        Ok(path)
    }

    /// Returns the runner that starts and stops programs here.
    pub fn runner(&self) -> Result<Runner> {
        Runner::new(&self.root)
    }

    /// Keeps other commands waiting until the result is dropped: two at the same time would start everything
    /// twice.
    pub fn lock(&self) -> Result<fs::File> {
        let file = fs::File::create(self.join("lock")).context("the lock of the engines")?;
        if file.try_lock().is_err() {
            say!("another `cargo xtask` is using the engines: waiting for it");
            file.lock().context("the lock of the engines")?;
        }
        Ok(file)
    }
}

/// Returns true if every user can enter this folder and all folders above it.
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

/// Returns Cargo's target folder: this program is in `<target>/<profile>`.
pub fn target() -> Result<PathBuf> {
    let this = std::env::current_exe().context("the path of xtask")?;
    let target = this.parent().and_then(Path::parent).context("xtask is in the target folder")?;
    Ok(target.to_owned())
}

/// Writes a file that only its owner can read, because it may contain passwords. After a crash the old or the
/// new file is there, never a part.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let new = path.with_extension("new");
    // Removed first, because the mode below only applies to a new file.
    let _ = fs::remove_file(&new);
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.and_then(|()| fs::rename(&new, path)).with_context(|| format!("the file {}", path.display()))
}

/// Replaces every `${NAME}` that has a value, as `envsubst` does. Others stay as they are.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values
        .iter()
        .fold(template.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_variables_of_a_template_are_replaced_and_others_stay() {
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
    fn only_the_owner_can_read_a_file_that_may_contain_passwords() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        write_private(&path, "one").expect("writes");
        write_private(&path, "two").expect("writes over it");
        assert_eq!(fs::read_to_string(&path).expect("reads"), "two");
        assert_eq!(fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
    }
}
