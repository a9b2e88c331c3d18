use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// The `portal` program: the file in `PORTAL_BIN` if that is set, otherwise what [`binary`] builds.
#[allow(
    clippy::disallowed_methods,
    reason = "a test has no configuration; this names the program under test"
)]
pub fn portal_binary() -> PathBuf {
    std::env::var_os("PORTAL_BIN").map_or_else(|| binary("portal"), PathBuf::from)
}

/// The binary of this name in the workspace, built if its sources have changed.
///
/// Cargo tells only a package's own tests where its binaries are (`CARGO_BIN_EXE_*`), so this asks Cargo: once for each
/// name in a test process, in the profile and target folder of the running test.
///
/// # Panics
/// Where it doesn't compile, with the compiler's words.
pub fn binary(name: &str) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    // Held while Cargo runs: the tests of this process wait for one build. A failed build fails each of them.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    built.entry(name.to_owned()).or_insert_with(|| build(name)).clone()
}

fn build(name: &str) -> PathBuf {
    let mut cargo = cargo();
    // The selection of `cargo test --workspace`, so that Cargo arrives at the same features of every dependency and nothing
    // is compiled twice. `--test architecture` is there because only a test target turns on the features of dev-dependencies.
    cargo.args(["build", "--locked", "--quiet", "--workspace", "--bin", name, "--test", "architecture"]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    cargo.args(profile_and_folder(&std::env::current_exe().expect("a running test has a path")));
    let output = cargo.stderr(Stdio::inherit()).output().expect("Cargo can be run");
    assert!(output.status.success(), "`cargo build --bin {name}` failed; the compiler's words are above");
    executable(&output.stdout, name).unwrap_or_else(|| panic!("Cargo built no binary `{name}`"))
}

#[allow(clippy::disallowed_methods, reason = "the variables are Cargo's own, not settings")]
fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    // What Cargo told this test about its package would make build scripts that watch these variables (ring's is one) run
    // again, here and once more in the next build from a shell.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let about_the_package =
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if about_the_package.iter().any(|prefix| name.starts_with(prefix)) || name == "OUT_DIR" {
            cargo.env_remove(&*name);
        }
    }
    cargo
}

/// The options that make Cargo build where the running test was built: `<folder>[/<target>]/<profile>/deps/<test>`.
fn profile_and_folder(test: &Path) -> Vec<String> {
    let profile = test.parent().and_then(Path::parent).expect("a test lies in <folder>/<profile>/deps");
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut options = vec!["--profile".to_owned(), name(profile).replace("debug", "dev")];
    let mut folder = profile.parent().expect("a profile's folder lies in the target folder");
    // Cargo marks the target folder as a cache; a folder between it and the profile's is that of `--target`.
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

/// The path in Cargo's message about the binary of this name.
fn executable(messages: &[u8], name: &str) -> Option<PathBuf> {
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name && message["target"]["kind"][0] == "bin")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_test_says_its_profile_and_folder() {
        let options = profile_and_folder(Path::new("/src/target/debug/deps/it-0123"));
        assert_eq!(options, ["--profile", "dev", "--target-dir", "/src/target"]);
        let options = profile_and_folder(Path::new("/src/target/release/deps/it-0123"));
        assert_eq!(options, ["--profile", "release", "--target-dir", "/src/target"]);
    }

    #[test]
    fn the_binary_is_found_among_the_messages_of_cargo() {
        let messages = br#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"portal"},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"portal"},"executable":"/src/target/debug/portal"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "portal"), Some(PathBuf::from("/src/target/debug/portal")));
        assert_eq!(executable(messages, "users"), None);
    }
}
