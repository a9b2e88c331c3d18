//! The workspace as Cargo and the file system see it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use cargo_metadata::{DepKindInfo, DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// One use of one of our crates by another.
#[derive(Debug, Clone)]
pub struct Arrow {
    pub from: String,
    pub to: String,
    /// For tests only.
    pub dev: bool,
}

/// The packages that each package uses.
pub type Uses = BTreeMap<String, BTreeSet<String>>;

/// A file of text with its path from the workspace's folder, `/` between its parts.
#[derive(Debug)]
pub struct Source {
    pub path: String,
    pub text: String,
}

/// The packages of this system only: those of others need not have been downloaded.
static METADATA: LazyLock<Metadata> = LazyLock::new(|| {
    let options = ["--locked".to_owned(), "--filter-platform".to_owned(), host()];
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(options)
        .exec()
        .expect("Cargo describes the workspace")
});

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").current_dir(root()).output().expect("rustc can be run");
    let words = String::from_utf8(output.stdout).expect("rustc writes UTF-8");
    words.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").to_owned()
}

/// The workspace's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in a folder of the workspace")
}

/// Our packages.
pub fn members() -> Vec<&'static Package> {
    let members = METADATA.workspace_packages();
    assert!(members.len() >= 12, "the workspace is found");
    members
}

/// Their names.
pub fn names() -> Vec<&'static str> {
    members().into_iter().map(|package| package.name.as_str()).collect()
}

/// The arrows that our manifests draw.
pub fn drawn() -> Vec<Arrow> {
    let ours = names();
    let arrows = members().into_iter().flat_map(|package| {
        let ours = package.dependencies.iter().filter(|dependency| ours.contains(&dependency.name.as_str()));
        ours.map(|dependency| Arrow {
            from: package.name.to_string(),
            to: dependency.name.clone(),
            dev: dependency.kind == DependencyKind::Development,
        })
    });
    arrows.collect()
}

/// Returns the packages that the shipped code of every package uses, as `Cargo.lock` resolves them, without
/// those of tests.
pub fn shipped() -> Uses {
    let name = |package: &Package| (package.id.clone(), package.name.to_string());
    let names: BTreeMap<PackageId, String> = METADATA.packages.iter().map(name).collect();
    let ships = |kinds: &[DepKindInfo]| kinds.iter().any(|kind| kind.kind != DependencyKind::Development);
    let mut uses = Uses::new();
    for node in &METADATA.resolve.as_ref().expect("Cargo resolves the workspace").nodes {
        let shipped = node.deps.iter().filter(|dependency| ships(&dependency.dep_kinds));
        uses.entry(names[&node.id].clone()).or_default().extend(shipped.map(|to| names[&to.pkg].clone()));
    }
    uses
}

/// Returns every text file of the repository, without the files that Cargo and the portal write.
pub fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(root(), &mut found);
    assert!(found.len() > 50, "the sources are found");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    let entries = std::fs::read_dir(folder).expect("a folder of the workspace can be read");
    for path in entries.map(|entry| entry.expect("an entry can be read").path()) {
        if is_generated(&path) {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            found.push(Source { path: relative(&path), text });
        }
    }
}

/// Returns true for folders that `.gitignore` names, and for git's own folder. In a worktree `.git` is a
/// file.
fn is_generated(path: &Path) -> bool {
    path == root().join("target") || path == root().join("data") || path.ends_with(".git")
}

fn relative(path: &Path) -> String {
    let path: PathBuf = path.strip_prefix(root()).expect("it lies in the workspace").to_owned();
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
