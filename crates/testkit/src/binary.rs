use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Returns the path of the `portal` program.
///
/// # Panics
/// See [`binary`].
pub fn portal_binary() -> PathBuf {
    binary("portal")
}

/// Returns the path of the binary of this name. It is in the folder that `PORTAL_BINARIES` names if that is
/// set, and otherwise in the workspace's target folder, built if its sources have changed.
///
/// Cargo gives the paths of binaries only to tests of their own package (`CARGO_BIN_EXE_*`). So this runs
/// Cargo once in a test process, for all binaries, in the profile and target folder of the running test.
///
/// # Panics
/// If the binaries don't compile, or none has this name.
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no configuration; this names the programs under test"
)]
pub fn binary(name: &str) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    if let Some(folder) = std::env::var_os("PORTAL_BINARIES") {
        return PathBuf::from(folder).join(name);
    }
    // Held while Cargo runs, so that the tests of this process wait for one build. If it fails, each of them
    // fails.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let found = built.get_or_insert_with(build).get(name);
    found.unwrap_or_else(|| panic!("Cargo built no binary `{name}`")).clone()
}

fn build() -> HashMap<String, PathBuf> {
    let mut cargo = cargo();
    // The same selection as `cargo test --workspace`, so that every dependency has the same features and
    // nothing is compiled twice. `--test architecture` is there because only a test target enables the
    // features of dev-dependencies.
    cargo.args(["build", "--locked", "--quiet", "--workspace", "--bins", "--test", "architecture"]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    cargo.args(profile_and_folder(&std::env::current_exe().expect("a running test has a path")));
    let output = cargo.stderr(Stdio::inherit()).output().expect("Cargo can be run");
    assert!(output.status.success(), "`cargo build --bins` failed; the compiler's messages are above");
    executables(&output.stdout)
}

#[expect(clippy::disallowed_methods, reason = "the variables are Cargo's own, not settings")]
fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    // Cargo has set variables about the package of this test. They would make build scripts that watch them
    // (such as ring's) run again, here and in the next build from a shell.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) || name == "OUT_DIR" {
            cargo.env_remove(&*name);
        }
    }
    cargo
}

/// Returns the options for a build in the place of the running test:
/// `<folder>[/<target>]/<profile>/deps/<test>`.
fn profile_and_folder(test: &Path) -> Vec<String> {
    let profile = test.parent().and_then(Path::parent).expect("a test lies in <folder>/<profile>/deps");
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut options = vec!["--profile".to_owned(), name(profile).replace("debug", "dev")];
    let mut folder = profile.parent().expect("a profile's folder lies in the target folder");
    // Cargo marks the target folder as a cache. A folder between it and the profile's belongs to `--target`.
    if !folder.join("CACHEDIR.TAG").exists()
        && let Some(parent) = folder.parent()
        && parent.join("CACHEDIR.TAG").exists()
    {
        options.extend(["--target".to_owned(), name(folder)]);
        folder = parent;
    }
    options.extend(["--target-dir".to_owned(), folder.display().to_string()]);
    options
}

/// Returns the binaries in Cargo's messages, by name.
fn executables(messages: &[u8]) -> HashMap<String, PathBuf> {
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["kind"][0] == "bin")
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            Some((name, PathBuf::from(message["executable"].as_str()?)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_and_folder_follow_from_the_path_of_the_test() {
        let options = profile_and_folder(Path::new("/src/target/debug/deps/it-0123"));
        assert_eq!(options, ["--profile", "dev", "--target-dir", "/src/target"]);
        let options = profile_and_folder(Path::new("/src/target/release/deps/it-0123"));
        assert_eq!(options, ["--profile", "release", "--target-dir", "/src/target"]);
    }

    #[test]
    fn binaries_are_found_in_the_messages_of_cargo() {
        let messages = br#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"portal"},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"portal"},"executable":"/src/target/debug/portal"}
{"reason":"compiler-artifact","target":{"kind":["test"],"name":"it"},"executable":"/src/target/debug/deps/it-1"}
{"reason":"build-finished","success":true}"#;
        let portal = ("portal".to_owned(), PathBuf::from("/src/target/debug/portal"));
        assert_eq!(executables(messages), HashMap::from([portal]));
    }
}
