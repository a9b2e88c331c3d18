//! `data/seed-accounts`: the parameters of a seed and the passwords of its people. Only the owner of the
//! process can read it.
//!
//! The passwords are random and do not follow from the seed: the seed is public, and must not be enough to
//! log in.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use chassis::replace_private;
use kernel::{Role, Timestamp, random_hex};
use serde::{Deserialize, Serialize};

use crate::plan::Plan;

const FILE: &str = "seed-accounts";
const HEAD: &str = "# What `portal seed` put into this portal, and how to log in as its people. The passwords are kept here\n\
# and nowhere else. A later `portal seed` needs this file to continue; without it, it refuses.\n\n";
/// Bytes of a password: 128 bits can't be guessed.
const PASSWORD_BYTES: usize = 16;

/// The content of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    seed: i64,
    articles: usize,
    began: String,
    /// True once the whole seed was carried out.
    pub done: bool,
    /// The accounts, in the order of the plan's people.
    pub account: Vec<Account>,
}

/// An account of a seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The display name.
    pub name: String,
    /// The e-mail address to log in with.
    pub email: String,
    /// The password.
    pub password: String,
    /// The role.
    pub role: Role,
}

impl Accounts {
    /// Creates passwords for the people of a plan.
    pub fn new(seed: u64, articles: usize, began: Timestamp, plan: &Plan) -> Self {
        let account = plan.people.iter().map(|person| Account {
            name: person.name.clone(),
            email: person.email.clone(),
            password: random_hex(PASSWORD_BYTES),
            role: person.role,
        });
        Self {
            seed: seed.cast_signed(),
            articles,
            began: began.to_string(),
            done: false,
            account: account.collect(),
        }
    }

    /// Returns the path of the file in a data folder.
    pub fn path(data: &Path) -> PathBuf {
        data.join(FILE)
    }

    /// Reads the file of a data folder, if there is one.
    ///
    /// # Errors
    /// Fails if the file can't be read.
    pub fn read(data: &Path) -> anyhow::Result<Option<Self>> {
        let path = Self::path(data);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(toml::from_str(&text).with_context(|| path.display().to_string())?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{} can't be read", path.display())),
        }
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// Fails if the file can't be written.
    pub fn write(&self, data: &Path) -> anyhow::Result<()> {
        let path = Self::path(data);
        let text = format!("{HEAD}{}", toml::to_string(self)?);
        replace_private(&path, text.as_bytes())
            .with_context(|| format!("{} can't be written", path.display()))?;
        Ok(())
    }

    /// Refuses to mix two seeds.
    ///
    /// # Errors
    /// Fails if the file is of another seed, or of another number of articles.
    pub fn ensure_same(&self, seed: u64, articles: usize) -> anyhow::Result<()> {
        ensure!(
            self.seed == seed.cast_signed() && self.articles == articles,
            "this portal was filled with --seed {} --articles {}; two seeds are not mixed in one portal",
            self.seed.cast_unsigned(),
            self.articles
        );
        Ok(())
    }

    /// Returns the first moment of the seed.
    ///
    /// # Errors
    /// Fails if the file has no valid time.
    pub fn began(&self) -> anyhow::Result<Timestamp> {
        self.began.parse().with_context(|| format!("{FILE}: began"))
    }
}

#[cfg(test)]
mod tests {
    use testkit::Folder;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_passwords_are_readable_by_the_owner_alone_and_do_not_follow_from_the_seed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new();
        let plan = Plan::new(7, 3).expect("a plan");
        let accounts = || Accounts::new(7, 3, Timestamp::from_millis(0), &plan);
        let (one, other) = (accounts(), accounts());
        one.write(folder.path()).expect("writes");
        assert_ne!(one.account[0].password, other.account[0].password);
        let mode = std::fs::metadata(Accounts::path(folder.path())).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = Accounts::read(folder.path()).expect("reads").expect("is there");
        assert_eq!(read.account[0].password, one.account[0].password);
    }
}
