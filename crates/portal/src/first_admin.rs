//! The first admin of a portal that nobody configured one for.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use users::Config;

/// The e-mail of the first admin where none is configured; `.internal` is reserved for private use and reaches nobody.
pub const EMAIL: &str = "admin@portal.internal";
/// Where the password stands, in the data folder, for the owner of the process alone.
const FILE: &str = "initial-admin-password";

/// How an operator logs in for the first time.
pub enum FirstAdmin {
    /// As they configured it themselves.
    Configured,
    /// With [`EMAIL`] and the password in this file.
    Made(PathBuf),
    /// As they did before: there are accounts, and the file is gone.
    Known,
}

/// Sees to it that a new portal has an admin: where none is configured, a random password is written to the data folder before
/// anything is built, so that a crash in between leaves no account whose password nobody knows.
///
/// # Errors
/// Where the file can't be written or read.
pub fn provide(config: &mut Config, data: &Path) -> anyhow::Result<FirstAdmin> {
    if config.bootstrap_admin.wanted().is_some() {
        return Ok(FirstAdmin::Configured);
    }
    let path = data.join(FILE);
    if !path.exists() {
        if data.join("users.db").exists() {
            return Ok(FirstAdmin::Known);
        }
        write(&path, &password()?).with_context(|| format!("{} can't be written", path.display()))?;
    }
    let password =
        std::fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))?;
    config.bootstrap_admin.email = EMAIL.to_owned();
    config.bootstrap_admin.password = password.trim().to_owned().into();
    Ok(FirstAdmin::Made(path))
}

/// A password that nobody can guess.
pub(crate) fn password() -> anyhow::Result<String> {
    let mut bytes = [0u8; 18];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Writes beside and renames: the file is there whole or not at all.
pub(crate) fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = std::fs::File::options();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use chassis::config::Settings;

    use super::*;

    fn config() -> Config {
        toml::from_str(Config::DEFAULTS).expect("the defaults")
    }

    #[test]
    fn a_restart_before_the_account_exists_finds_the_same_password() {
        let data = tempfile::tempdir().expect("a folder");
        let (mut first, mut second) = (config(), config());
        provide(&mut first, data.path()).expect("provides");
        provide(&mut second, data.path()).expect("provides");
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
    fn once_there_are_accounts_and_the_file_is_gone_no_admin_is_made() {
        let data = tempfile::tempdir().expect("a folder");
        std::fs::write(data.path().join("users.db"), "").expect("writes");
        let mut config = config();
        assert!(matches!(provide(&mut config, data.path()), Ok(FirstAdmin::Known)));
        assert!(config.bootstrap_admin.wanted().is_none());
    }
}
