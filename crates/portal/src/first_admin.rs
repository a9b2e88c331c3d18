//! The first admin of a portal without a configured one.

use std::path::{Path, PathBuf};

use anyhow::Context;
use chassis::config::Settings;
use users::{BootstrapAdminConfig, Config};

/// The e-mail of the first admin if none is configured. The domain `.internal` is reserved for private use
/// and never reached.
pub const EMAIL: &str = "admin@portal.internal";
/// The file of the password in the data folder. Only the owner of the process can read it.
const FILE: &str = "initial-admin-password";
/// Bytes of the password: 128 bits can't be guessed.
const PASSWORD_BYTES: usize = 16;

/// The account with which an operator can log in first.
pub enum FirstAdmin {
    /// The account of the configuration.
    Configured,
    /// [`EMAIL`], with a new password in this file.
    Created(PathBuf),
    /// [`EMAIL`], with the password in this file of an earlier start, unless it was changed since.
    FromEarlierStart(PathBuf),
    /// None: there are accounts already, and the file was deleted.
    NotNeeded,
}

/// Ensures that a new portal has an admin. If none is configured, a random password is written to the data
/// folder before anything is built, so that a crash leaves no account with an unknown password.
///
/// # Errors
/// Fails if the file can't be written or read.
pub fn provide(config: &mut Config, data: &Path) -> anyhow::Result<FirstAdmin> {
    if config.bootstrap_admin.credentials().is_some() {
        return Ok(FirstAdmin::Configured);
    }
    let path = data.join(FILE);
    let has_accounts = data.join("users.db").exists();
    if !path.exists() && has_accounts {
        return Ok(FirstAdmin::NotNeeded);
    }
    let is_new =
        chassis::write_private(&path, format!("{}\n", kernel::random_hex(PASSWORD_BYTES)).as_bytes())
            .with_context(|| format!("{} can't be written", path.display()))?;
    match read_into(config, &path) {
        Ok(()) if is_new => Ok(FirstAdmin::Created(path)),
        Ok(()) => Ok(FirstAdmin::FromEarlierStart(path)),
        // There are accounts, among them an admin. The file is no longer needed and must not prevent a start.
        Err(fault) if has_accounts => {
            tracing::warn!(
                cause = format!("{fault:#}"),
                "the file with the password of the first admin is ignored"
            );
            Ok(FirstAdmin::NotNeeded)
        }
        Err(fault) => Err(fault),
    }
}

/// Reads the password from the file. The rules of users refuse an invalid one without showing it.
fn read_into(config: &mut Config, path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{shown} can't be read"))?;
    let account = BootstrapAdminConfig { email: EMAIL.to_owned(), password: text.trim().to_owned().into() };
    let before = std::mem::replace(&mut config.bootstrap_admin, account);
    let faults = config.validate();
    if let Some(fault) = faults.iter().find(|fault| fault.starts_with("bootstrap_admin.")) {
        config.bootstrap_admin = before;
        anyhow::bail!(
            "{shown} does not contain a valid password ({fault}); delete the file to get a new one"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        toml::from_str(Config::DEFAULTS).expect("the defaults")
    }

    #[test]
    fn a_restart_before_the_account_exists_finds_the_same_password() {
        let data = tempfile::tempdir().expect("a folder");
        let (mut first, mut second) = (config(), config());
        assert!(matches!(provide(&mut first, data.path()), Ok(FirstAdmin::Created(_))));
        assert!(matches!(provide(&mut second, data.path()), Ok(FirstAdmin::FromEarlierStart(_))));
        assert!(first.bootstrap_admin.password.expose().len() >= 20);
        assert_eq!(first.bootstrap_admin.password.expose(), second.bootstrap_admin.password.expose());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_password() {
        use std::os::unix::fs::PermissionsExt;
        let data = tempfile::tempdir().expect("a folder");
        let FirstAdmin::Created(path) = provide(&mut config(), data.path()).expect("provides") else {
            panic!("no password was created")
        };
        let mode = std::fs::metadata(path).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_with_garbage_is_an_error_before_there_are_accounts_and_ignored_afterwards() {
        let data = tempfile::tempdir().expect("a folder");
        for garbage in [b"short".as_slice(), b"\xff\xfe", b"", "x".repeat(200).as_bytes()] {
            std::fs::write(data.path().join(FILE), garbage).expect("writes");
            let Err(fault) = provide(&mut config(), data.path()) else {
                panic!("it was accepted as a password")
            };
            assert!(format!("{fault:#}").contains(FILE), "{fault:#}");
        }
        std::fs::write(data.path().join("users.db"), "").expect("writes");
        let mut config = config();
        assert!(matches!(provide(&mut config, data.path()), Ok(FirstAdmin::NotNeeded)));
        assert!(config.bootstrap_admin.credentials().is_none());
    }

    #[test]
    fn no_admin_is_created_when_there_are_accounts_and_the_file_is_gone() {
        let data = tempfile::tempdir().expect("a folder");
        std::fs::write(data.path().join("users.db"), "").expect("writes");
        let mut config = config();
        assert!(matches!(provide(&mut config, data.path()), Ok(FirstAdmin::NotNeeded)));
        assert!(config.bootstrap_admin.credentials().is_none());
    }
}
