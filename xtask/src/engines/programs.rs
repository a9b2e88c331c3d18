//! The paths of the engines' programs on this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo::variable;

/// The oldest Java that runs Neo4j 5.
pub const JAVA: u32 = 17;
/// The oldest Go 1.x that builds FerretDB.
pub const GO: u32 = 22;

/// Folders outside the usual path in which packages put servers.
const FOLDERS: [&str; 7] = [
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/lib/rabbitmq/bin",
    "/usr/local/go/bin",
    "/usr/lib/go/bin",
    "/usr/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
];

/// Returns the program of this name, from the path or from the folders of servers.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    let folders = path.split(':').filter(|folder| !folder.is_empty()).chain(FOLDERS);
    folders.map(|folder| Path::new(folder).join(name)).find(|program| program.is_file())
}

/// Returns a program of the newest PostgreSQL that is installed. Debian has a folder for each version.
pub fn postgres(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let programs = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin").join(name)))
    });
    let newest = programs.filter(|(_, program)| program.is_file()).max();
    newest.map(|(_, program)| program).or_else(|| find(name))
}

/// Returns the script of RabbitMQ itself. Debian's script on the path changes the user, which needs root.
pub fn rabbitmq() -> Option<PathBuf> {
    Some(PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server"))
        .filter(|script| script.is_file())
        .or_else(|| find("rabbitmq-server"))
}

/// Returns a Java that is new enough.
pub fn java() -> Option<PathBuf> {
    find("java")
        .filter(|java| java_version(&output_of(java, "-version")).is_some_and(|version| version >= JAVA))
}

/// Returns a Go that is new enough.
pub fn go() -> Option<PathBuf> {
    find("go").filter(|go| go_version(&output_of(go, "version")).is_some_and(|version| version >= GO))
}

/// Returns true if there is a Python that can create virtual environments. Debian has that part in a package
/// of its own.
pub fn has_python() -> bool {
    let parts =
        find("python3").map(|python| Command::new(python).args(["-c", "import ensurepip, venv"]).output());
    parts.is_some_and(|output| output.is_ok_and(|output| output.status.success()))
}

fn output_of(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output();
    output.map_or_else(
        |_| String::new(),
        |output| {
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        },
    )
}

/// Returns 17 for `openjdk version "17.0.15"`.
fn java_version(said: &str) -> Option<u32> {
    said.split('"').nth(1)?.split('.').next()?.parse().ok()
}

/// Returns 26 for `go version go1.26.8 linux/amd64`.
fn go_version(said: &str) -> Option<u32> {
    said.split_once("go1.")?.1.split(|digit: char| !digit.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_output_of_programs() {
        assert_eq!(java_version("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(java_version("java version \"1.8.0_401\""), Some(1));
        assert_eq!(java_version("sh: not found"), None);
        assert_eq!(go_version("go version go1.26.8 linux/amd64"), Some(26));
        assert_eq!(go_version("go version go1.19 linux/amd64"), Some(19));
        assert_eq!(go_version(""), None);
    }
}
