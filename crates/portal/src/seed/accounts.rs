//! `data/seed-accounts`: what a seed was, and the passwords of the people it made. Only the owner of the process can read it.
//!
//! The passwords are random and not from the seed: whoever knows the seed must not be able to log in to somebody's portal.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use chassis::replace_private;
use kernel::{Role, Timestamp};
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::first_admin;

const FILE: &str = "seed-accounts";
const HEAD: &str = "# What `portal seed` put into this portal, and how to log in as the people it made. The passwords are known here and nowhere\n\
# else. A later `portal seed` needs this file to go on where it ended; without it, it refuses.\n\n";

/// The file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    seed: i64,
    articles: usize,
    began: String,
    /// Whether all of the seed was done.
    pub done: bool,
    /// In the order of the plan's people.
    pub account: Vec<Account>,
}

/// Somebody who can log in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The display name.
    pub name: String,
    /// The address.
    pub email: String,
    /// The password.
    pub password: String,
    /// The role.
    pub role: Role,
}

impl Accounts {
    /// New passwords for the people of a plan.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn new(seed: u64, articles: usize, began: Timestamp, plan: &Plan) -> anyhow::Result<Self> {
        let account = plan.people.iter().map(|person| {
            let (name, email) = (person.name.clone(), person.email.clone());
            Ok(Account { name, email, password: first_admin::password()?, role: person.role })
        });
        Ok(Self {
            seed: seed.cast_signed(),
            articles,
            began: began.to_string(),
            done: false,
            account: account.collect::<anyhow::Result<_>>()?,
        })
    }

    /// Where the file is.
    pub fn path(data: &Path) -> PathBuf {
        data.join(FILE)
    }

    /// The file in this data folder, if there is one.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn read(data: &Path) -> anyhow::Result<Option<Self>> {
        let path = Self::path(data);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(toml::from_str(&text).with_context(|| path.display().to_string())?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{} can't be read", path.display())),
        }
    }

    /// Writes it: whole or not at all.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn written(self, data: &Path) -> anyhow::Result<Self> {
        let path = Self::path(data);
        let text = format!("{HEAD}{}", toml::to_string(&self)?);
        replace_private(&path, text.as_bytes())
            .with_context(|| format!("{} can't be written", path.display()))?;
        Ok(self)
    }

    /// Refuses to mix two seeds.
    ///
    /// # Errors
    /// Where this is another seed, or another number of articles.
    pub fn ensure_same(&self, seed: u64, articles: usize) -> anyhow::Result<()> {
        ensure!(
            self.seed == seed.cast_signed() && self.articles == articles,
            "this portal was filled with --seed {} --articles {}; two seeds are not mixed in one portal",
            self.seed.cast_unsigned(),
            self.articles
        );
        Ok(())
    }

    /// The first moment of the seed.
    ///
    /// # Errors
    /// Where the file holds no time.
    pub fn began(&self) -> anyhow::Result<Timestamp> {
        self.began.parse().with_context(|| format!("{FILE}: began"))
    }
}
