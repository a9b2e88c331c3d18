//! Every dependency is used: each one costs time in a first build, and is code that ships.

use std::collections::BTreeSet;
use std::path::Path;

use cargo_metadata::{Dependency, DependencyKind};

use crate::none;
use crate::tokens::{Token, tokens};
use crate::workspace::{members, root, sources};

/// Dependencies of shipped code that no source names, with the reason.
const NAMED_NOWHERE: [(&str, &str, &str); 3] =
    [("proto", "prost", GENERATED), ("proto", "prost-types", GENERATED), ("proto", "tonic-prost", GENERATED)];

const GENERATED: &str = "the code that its build script generates uses it";

/// The folders of a package whose sources may use a dependency of this kind.
fn users_of(kind: DependencyKind) -> &'static [&'static str] {
    match kind {
        DependencyKind::Build => &["build.rs"],
        DependencyKind::Development => &["src/", "tests/", "benches/", "examples/"],
        _ => &["src/"],
    }
}

/// Returns the names through which a source reaches another crate: `name::…`, `use name`, and
/// `extern crate name`.
fn crates_in(text: &str) -> BTreeSet<String> {
    let tokens = tokens(text);
    let mut found = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        let Some(name) = token.name() else { continue };
        let before = at.checked_sub(1).and_then(|before| tokens[before].name());
        let is_path = tokens.get(at + 1) == Some(&Token::Path);
        if is_path || matches!(before, Some("use" | "crate")) {
            found.insert(name.to_owned());
        }
    }
    found
}

/// Returns the name by which sources call a dependency.
fn name_in_sources(dependency: &Dependency) -> String {
    dependency.rename.as_ref().unwrap_or(&dependency.name).replace('-', "_")
}

#[test]
fn every_dependency_is_used() {
    let sources = sources();
    let mut unused = Vec::new();
    for package in members() {
        let folder = package.manifest_path.parent().expect("a manifest lies in a folder").as_std_path();
        let folder = folder.strip_prefix(root()).expect("a package lies in the workspace");
        let rust: Vec<_> = sources
            .iter()
            .filter(|source| source.path.ends_with(".rs"))
            .filter_map(|source| Some((Path::new(&source.path).strip_prefix(folder).ok()?, source)))
            .map(|(path, source)| (path.to_string_lossy().into_owned(), crates_in(&source.text)))
            .collect();
        for dependency in &package.dependencies {
            let name = name_in_sources(dependency);
            let is_user = |path: &str| users_of(dependency.kind).iter().any(|part| path.starts_with(part));
            let is_used = rust.iter().any(|(path, names)| is_user(path) && names.contains(&name));
            let is_excused = NAMED_NOWHERE
                .iter()
                .any(|(of, unnamed, _)| *of == package.name.as_str() && *unnamed == dependency.name)
                && dependency.kind == DependencyKind::Normal;
            if is_used == is_excused {
                let fault = if is_used { "is used, so it needs no excuse" } else { "is not used" };
                unused.push(format!("{}: {} {fault}", package.name, dependency.name));
            }
        }
    }
    none(unused);
}

#[test]
fn every_dependency_of_the_workspace_is_used_by_a_crate() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("the manifest is there");
    let manifest: toml::Table = manifest.parse().expect("the manifest is TOML");
    let listed = manifest["workspace"]["dependencies"].as_table().expect("a table").keys();
    let used: BTreeSet<&str> = members()
        .into_iter()
        .flat_map(|package| &package.dependencies)
        .map(|dependency| dependency.rename.as_ref().unwrap_or(&dependency.name).as_str())
        .collect();
    none(listed.filter(|name| !used.contains(name.as_str())).cloned().collect());
}

#[test]
fn a_crate_is_found_in_paths_and_imports_but_not_in_comments_and_texts() {
    let text = [
        "// h2::Reason",
        "use serde;",
        "use http::{self, Uri};",
        "let bytes = \"sha2::Sha256\";",
        "fn f() { hex::encode(1) }",
    ]
    .join("\n");
    let expected = ["hex", "http", "serde"].map(str::to_owned);
    assert_eq!(crates_in(&text), BTreeSet::from(expected));
}
