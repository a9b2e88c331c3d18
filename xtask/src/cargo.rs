//! Calls of Cargo: in the root of the workspace, with `Cargo.lock`, and so that golden files are only
//! compared.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in a folder of the workspace")
}

/// Returns a call of Cargo with these arguments.
#[expect(clippy::disallowed_methods, reason = "the variables are Cargo's own, not settings of the portal")]
pub fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).current_dir(root()).env("INSTA_UPDATE", "no");
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_about_xtask(name)) {
        cargo.env_remove(name);
    }
    // These would let a golden file that differs pass.
    cargo.env_remove("INSTA_FORCE_PASS").env_remove("INSTA_FORCE_UPDATE");
    cargo
}

/// Returns the value of a variable that controls Cargo or rustdoc.
#[expect(clippy::disallowed_methods, reason = "the variables are Cargo's own, not settings of the portal")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns true for the variables with which `cargo run` describes the package of xtask. If they were passed
/// on, build scripts that watch them (such as that of ring) would run again, and most of the workspace would
/// be compiled again: here, and once more in the next build from a shell.
fn is_about_xtask(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
    name == "OUT_DIR" || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns true if `cargo <name>` exists.
pub fn has(name: &str) -> bool {
    succeeds(&mut cargo(&[name, "--version"]))
}

/// Makes sure that `cargo <name>` exists: installs it with rustup, or says what to do if there is no rustup.
pub fn need(name: &str, component: &str) -> Result<()> {
    if has(name) {
        return Ok(());
    }
    let install = ["component", "add", component];
    if !succeeds(Command::new("rustup").arg("--version")) {
        bail!(
            "`cargo {name}` is missing: install the component {component} of the Rust toolchain in rust-toolchain.toml"
        );
    }
    say!("`cargo {name}` is missing: rustup {}", install.join(" "));
    let status = Command::new("rustup").args(install).current_dir(root()).status();
    if !status.context("rustup can't be run")?.success() || !has(name) {
        bail!("rustup could not install {component}: run `rustup component add {component}` to see why");
    }
    Ok(())
}

/// Returns the folder for the output of steps, which is in the target folder.
pub fn logs() -> Result<PathBuf> {
    let this = std::env::current_exe().context("the path of xtask")?;
    let target = this.parent().and_then(Path::parent).context("xtask is in the target folder")?;
    let logs = target.join("xtask");
    std::fs::create_dir_all(&logs).with_context(|| format!("the folder {}", logs.display()))?;
    Ok(logs)
}

/// Returns true if a command succeeds. Its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_does_not_get_the_variables_of_xtask() {
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION_MAJOR", "OUT_DIR"] {
            assert!(is_about_xtask(&name.into()), "{name}");
        }
        for name in
            ["CARGO", "CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_BUILD_JOBS", "CARGO_TERM_COLOR", "PATH"]
        {
            assert!(!is_about_xtask(&name.into()), "{name}");
        }
    }

    #[test]
    fn golden_files_are_never_written() {
        let call = cargo(&["test"]);
        let update = call.get_envs().find(|(name, _)| *name == "INSTA_UPDATE");
        assert_eq!(update.and_then(|(_, value)| value), Some("no".as_ref()));
    }
}
