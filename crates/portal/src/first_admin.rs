//! The first admin of a portal that nobody configured one for.

use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::config::Settings;
use users::{BootstrapAdminConfig, Config};

/// The e-mail of the first admin where none is configured; `.internal` is reserved for private use and reaches nobody.
pub const EMAIL: &str = "admin@portal.internal";
/// Where the password stands, in the data folder, for the owner of the process alone.
const FILE: &str = "initial-admin-password";

/// How an operator logs in for the first time.
pub enum FirstAdmin {
    /// As they configured it themselves.
    Configured,
    /// With [`EMAIL`] and the password in this file, which was made just now.
    Made(PathBuf),
    /// With [`EMAIL`] and the password in this file of an earlier start, unless somebody has changed it since.
    Kept(PathBuf),
    /// As they did before: there are accounts, and the file is gone.
    Known,
}

/// Sees to it that a new portal has an admin: where none is configured, a random password is written to the data folder before
/// anything is built, so that a crash in between leaves no account whose password nobody knows.
///
/// # Errors
/// Where the file can't be written or read.
pub fn provide(config: &mut Config, data: &Path) -> anyhow::Result<FirstAdmin> {
    if config.bootstrap_admin.credentials().is_some() {
        return Ok(FirstAdmin::Configured);
    }
    let path = data.join(FILE);
    let known = data.join("users.db").exists();
    if !path.exists() && known {
        return Ok(FirstAdmin::Known);
    }
    let made = chassis::write_private(&path, format!("{}\n", password()?).as_bytes())
        .with_context(|| format!("{} can't be written", path.display()))?;
    match take(config, &path) {
        Ok(()) if made => Ok(FirstAdmin::Made(path)),
        Ok(()) => Ok(FirstAdmin::Kept(path)),
        // There are accounts, an admin among them: what stands in the file is needed no more, and must not stop anybody.
        Err(fault) if known => {
            tracing::warn!(cause = format!("{fault:#}"), "the password of the first admin is left alone");
            Ok(FirstAdmin::Known)
        }
        Err(fault) => Err(fault),
    }
}

/// Takes the password from the file. What is no password is refused by the rules of users, and not shown.
fn take(config: &mut Config, path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{shown} can't be read"))?;
    let wanted = BootstrapAdminConfig { email: EMAIL.to_owned(), password: text.trim().to_owned().into() };
    let before = std::mem::replace(&mut config.bootstrap_admin, wanted);
    let faults = config.validate();
    if let Some(fault) = faults.iter().find(|fault| fault.starts_with("bootstrap_admin.")) {
        config.bootstrap_admin = before;
        anyhow::bail!("{shown} holds no password ({fault}); delete it, and a new one is made");
    }
    Ok(())
}

/// A password that nobody can guess.
pub(crate) fn password() -> anyhow::Result<String> {
    let mut bytes = [0u8; 18];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
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
        assert!(matches!(provide(&mut first, data.path()), Ok(FirstAdmin::Made(_))));
        assert!(matches!(provide(&mut second, data.path()), Ok(FirstAdmin::Kept(_))));
        assert!(first.bootstrap_admin.password.expose().len() >= 20);
        assert_eq!(first.bootstrap_admin.password.expose(), second.bootstrap_admin.password.expose());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_password() {
        use std::os::unix::fs::PermissionsExt;
        let data = tempfile::tempdir().expect("a folder");
        let FirstAdmin::Made(path) = provide(&mut config(), data.path()).expect("provides") else {
            panic!("made")
        };
        let mode = std::fs::metadata(path).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_with_garbage_is_named_before_there_are_accounts_and_ignored_afterwards() {
        let data = tempfile::tempdir().expect("a folder");
        for garbage in [b"short".as_slice(), b"\xff\xfe", b"", "x".repeat(200).as_bytes()] {
            std::fs::write(data.path().join(FILE), garbage).expect("writes");
            let Err(fault) = provide(&mut config(), data.path()) else {
                panic!("it was taken for a password")
            };
            assert!(format!("{fault:#}").contains(FILE), "{fault:#}");
        }
        std::fs::write(data.path().join("users.db"), "").expect("writes");
        let mut config = config();
        assert!(matches!(provide(&mut config, data.path()), Ok(FirstAdmin::Known)));
        assert!(config.bootstrap_admin.credentials().is_none());
    }

    #[test]
    fn once_there_are_accounts_and_the_file_is_gone_no_admin_is_made() {
        let data = tempfile::tempdir().expect("a folder");
        std::fs::write(data.path().join("users.db"), "").expect("writes");
        let mut config = config();
        assert!(matches!(provide(&mut config, data.path()), Ok(FirstAdmin::Known)));
        assert!(config.bootstrap_admin.credentials().is_none());
    }
}
