//! Where the programs of the engines are on this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo::variable;

/// The oldest Java that runs Neo4j 5, and the oldest Go that builds FerretDB.
pub const JAVA: u32 = 17;
/// See [`JAVA`]; Go 1.x.
pub const GO: u32 = 22;

/// Packages keep servers outside the usual path.
const FOLDERS: [&str; 7] = [
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/lib/rabbitmq/bin",
    "/usr/local/go/bin",
    "/usr/lib/go/bin",
    "/usr/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
];

/// The program of this name: on the path, or where packages put servers.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    let folders = path.split(':').filter(|folder| !folder.is_empty()).chain(FOLDERS);
    folders.map(|folder| Path::new(folder).join(name)).find(|program| program.is_file())
}

/// A program of PostgreSQL, of the newest version that is installed: Debian keeps one folder for each.
pub fn postgres(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let programs = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin").join(name)))
    });
    let newest = programs.filter(|(_, program)| program.is_file()).max();
    newest.map(|(_, program)| program).or_else(|| find(name))
}

/// RabbitMQ's own script; the one on the path of Debian changes the user by itself, and asks root for nothing
/// else.
pub fn rabbitmq() -> Option<PathBuf> {
    Some(PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server"))
        .filter(|script| script.is_file())
        .or_else(|| find("rabbitmq-server"))
}

/// A Java that is new enough.
pub fn java() -> Option<PathBuf> {
    find("java")
        .filter(|java| java_version(&said_by(java, "-version")).is_some_and(|version| version >= JAVA))
}

/// A Go that is new enough.
pub fn go() -> Option<PathBuf> {
    find("go").filter(|go| go_version(&said_by(go, "version")).is_some_and(|version| version >= GO))
}

/// True if there is a Python that can make virtual environments; Debian keeps that part in a package of its
/// own.
pub fn has_python() -> bool {
    let parts =
        find("python3").map(|python| Command::new(python).args(["-c", "import ensurepip, venv"]).output());
    parts.is_some_and(|output| output.is_ok_and(|output| output.status.success()))
}

fn said_by(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output();
    output.map_or_else(
        |_| String::new(),
        |output| {
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        },
    )
}

/// 17 of `openjdk version "17.0.15"`.
fn java_version(said: &str) -> Option<u32> {
    said.split('"').nth(1)?.split('.').next()?.parse().ok()
}

/// 26 of `go version go1.26.8 linux/amd64`.
fn go_version(said: &str) -> Option<u32> {
    said.split_once("go1.")?.1.split(|digit: char| !digit.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_programs_say_of_themselves() {
        assert_eq!(java_version("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(java_version("java version \"1.8.0_401\""), Some(1));
        assert_eq!(java_version("sh: not found"), None);
        assert_eq!(go_version("go version go1.26.8 linux/amd64"), Some(26));
        assert_eq!(go_version("go version go1.19 linux/amd64"), Some(19));
        assert_eq!(go_version(""), None);
    }
}
