//! How Cargo is called: in the root of the workspace, by `Cargo.lock`, and so that golden files are only
//! compared.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in a folder of the workspace")
}

/// A call of Cargo with these arguments.
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

/// The value of a variable that steers Cargo or rustdoc.
#[expect(clippy::disallowed_methods, reason = "the variables are Cargo's own, not settings of the portal")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `cargo run` tells xtask about its own package. Passed on, that would make build scripts that watch these
/// variables (ring's is one) run again, and most of the workspace compile again, here and once more in the
/// next build from a shell.
fn is_about_xtask(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
    name == "OUT_DIR" || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// True where `cargo <name>` exists.
pub fn has(name: &str) -> bool {
    succeeds(&mut cargo(&[name, "--version"]))
}

/// Makes sure that `cargo <name>` exists: by rustup, where that is installed, else by saying what to do.
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
        bail!("rustup could not install {component}: `rustup component add {component}` says why");
    }
    Ok(())
}

/// Where this command keeps the output of its steps: beside what Cargo built.
pub fn logs() -> Result<PathBuf> {
    let this = std::env::current_exe().context("the path of xtask")?;
    let target = this.parent().and_then(Path::parent).context("xtask lies in the target folder")?;
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
    fn cargo_is_not_told_about_the_package_of_xtask() {
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
