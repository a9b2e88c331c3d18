//! The first admin: named by the operator, or created here.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::cargo::variable;
use crate::engines::place::write_private;
use crate::engines::state::password;

const EMAIL: &str = "USERS__BOOTSTRAP_ADMIN__EMAIL";
const PASSWORD: &str = "USERS__BOOTSTRAP_ADMIN__PASSWORD";
const PASSWORD_FILE: &str = "USERS__BOOTSTRAP_ADMIN__PASSWORD__FILE";
/// The e-mail of the admin that is created if the operator names none.
const CREATED: &str = "admin@portal.internal";

/// The first admin of a fleet.
#[derive(Debug, PartialEq, Eq)]
pub enum Admin {
    /// Named by the operator's own variables, which the services read by themselves.
    Configured(String),
    /// Created here, with the password in this file.
    Created(PathBuf),
}

impl Admin {
    /// Returns the admin of the operator's variables. Otherwise returns the admin whose password is in
    /// `folder`, and creates that password once.
    pub fn settle(folder: &Path) -> Result<Self> {
        let password = variable(PASSWORD).or_else(|| variable(PASSWORD_FILE));
        Self::of(variable(EMAIL), password.is_some(), folder)
    }

    fn of(email: Option<String>, has_password: bool, folder: &Path) -> Result<Self> {
        match (email, has_password) {
            (Some(email), true) => Ok(Self::Configured(email)),
            (None, false) => {
                let file = folder.join("admin-password");
                if !file.exists() {
                    write_private(&file, &format!("{}\n", password()?))?;
                }
                Ok(Self::Created(file))
            }
            _ => bail!("{EMAIL} and {PASSWORD} belong together: set both or none"),
        }
    }

    /// Returns the additional variables of the service users.
    pub fn environment(&self) -> Vec<(String, String)> {
        match self {
            Self::Configured(_) => Vec::new(),
            Self::Created(file) => vec![
                (EMAIL.to_owned(), CREATED.to_owned()),
                (PASSWORD_FILE.to_owned(), file.display().to_string()),
            ],
        }
    }

    /// Returns a line for the operator.
    pub fn line(&self) -> String {
        match self {
            Self::Configured(email) => format!("first admin: {email}, from your environment"),
            Self::Created(file) => format!("first admin: {CREATED}, with the password in {}", file.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_is_created_once_and_keeps_the_password() {
        let folder = tempfile::tempdir().expect("a folder");
        let made = Admin::of(None, false, folder.path()).expect("is made");
        let password = || std::fs::read_to_string(folder.path().join("admin-password")).expect("is there");
        let before = password();
        assert_eq!(Admin::of(None, false, folder.path()).expect("is the same"), made);
        assert_eq!(password(), before);
        assert!(!made.line().contains(before.trim()));
    }

    #[test]
    fn half_an_admin_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Admin::of(Some("a@b.example".to_owned()), false, folder.path()).is_err());
        assert!(Admin::of(None, true, folder.path()).is_err());
        let given = Admin::of(Some("a@b.example".to_owned()), true, folder.path()).expect("is whole");
        assert!(given.environment().is_empty());
    }
}
