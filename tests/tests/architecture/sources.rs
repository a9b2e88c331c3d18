//! The rules for every crate and every file.

use std::path::Path;

use crate::none;
use crate::workspace::{Source, members, root, sources};

/// Files of Rust beyond this are split. What review aims at is 400.
const MOST_LINES: usize = 600;

fn too_long(sources: &[Source]) -> Vec<String> {
    let rust = sources.iter().filter(|source| source.path.ends_with(".rs"));
    let lengths = rust.map(|source| (source, source.text.lines().count()));
    lengths
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(source, lines)| format!("{}: {lines} lines", source.path))
        .collect()
}

/// Returns texts that belong to one machine or one day. They are put together here, so that this file doesn't
/// contain them.
fn marks() -> Vec<String> {
    let folders = ["root", "home", "Users", "work"].map(|name| format!("/{name}/"));
    let notes = [("TO", "DO"), ("FIX", "ME"), ("XX", "X")].map(|(one, two)| format!("{one}{two}"));
    let conflict = [">".repeat(7), "<".repeat(7)];
    folders.into_iter().chain(notes).chain(conflict).collect()
}

/// Routes of the portal and paths inside a container look like a machine's folders only in the middle of a
/// longer path.
fn marked(sources: &[Source]) -> Vec<String> {
    let marks = marks();
    let mut found = Vec::new();
    for source in sources {
        for (index, line) in source.text.lines().enumerate() {
            let begins =
                |at: usize| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '}');
            let of_this_line =
                marks.iter().filter(|mark| line.match_indices(mark.as_str()).any(|(at, _)| begins(at)));
            found.extend(of_this_line.map(|mark| format!("{}:{}: {mark}", source.path, index + 1)));
        }
    }
    found
}

/// Crates that only tests and developers run.
const NOT_SHIPPED: [&str; 1] = ["crates/testkit/"];

/// Finds macros that panic if the output can't be written, and that block if its reader has stopped reading.
fn printing(sources: &[Source]) -> Vec<String> {
    let macros = ["println", "print", "eprintln", "eprint"].map(|name| format!("{name}!("));
    let shipped = |source: &&Source| {
        source.path.starts_with("crates/")
            && source.path.contains("/src/")
            && source.path.ends_with(".rs")
            && !NOT_SHIPPED.iter().any(|folder| source.path.starts_with(folder))
    };
    let mut found = Vec::new();
    for source in sources.iter().filter(shipped) {
        for (index, line) in source.text.lines().enumerate() {
            if macros
                .iter()
                .any(|name| line.trim_start().starts_with(name) || line.contains(&format!(" {name}")))
            {
                found.push(format!("{}:{}: {}", source.path, index + 1, line.trim()));
            }
        }
    }
    found
}

/// The registry from which Cargo takes packages.
const REGISTRY: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

fn other_registries(lock: &str) -> Vec<String> {
    let sources = lock.lines().filter(|line| line.starts_with("source = "));
    sources.filter(|line| *line != REGISTRY).map(str::to_owned).collect()
}

/// The links of a document that lead to a file which is not there.
fn dead_links(source: &Source, is_there: impl Fn(&Path) -> bool) -> Vec<String> {
    let folder = Path::new(&source.path).parent().unwrap_or(Path::new(""));
    let targets = source.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.map(|target| target.split('#').next().unwrap_or_default());
    let files =
        files.filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with('/'));
    let dead = files.filter(|target| !is_there(&folder.join(target)));
    dead.map(|target| format!("{} links to {target}, which is not there", source.path)).collect()
}

#[test]
fn every_crate_inherits_the_lints_of_the_workspace() {
    let manifests = members().into_iter().map(|package| package.manifest_path.as_std_path());
    let inherits = |path: &&Path| {
        std::fs::read_to_string(path).is_ok_and(|text| text.contains("\n[lints]\nworkspace = true"))
    };
    none(manifests.filter(|path| !inherits(path)).map(|path| path.display().to_string()).collect());
}

#[test]
fn every_crates_readme_is_its_documentation() {
    let mut broken = Vec::new();
    for package in members() {
        let folder = package.manifest_path.parent().expect("a manifest lies in a folder").as_std_path();
        let text = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap_or_default();
        if text("README.md").trim().is_empty() {
            broken.push(format!("{} has no README.md", package.name));
        }
        let root = [text("src/lib.rs"), text("src/main.rs")]
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default();
        if !root.contains("#![doc = include_str!(\"../README.md\")]") {
            broken.push(format!("the README of {} is not its documentation", package.name));
        }
    }
    none(broken);
}

#[test]
fn no_file_is_longer_than_600_lines() {
    none(too_long(&sources()));
}

#[test]
fn no_file_names_a_folder_of_one_machine_or_holds_a_note_for_later() {
    none(marked(&sources()));
}

#[test]
fn nothing_that_ships_prints_past_chassis_say_and_the_log() {
    none(printing(&sources()));
}

#[test]
fn every_package_comes_from_the_public_registry() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock is there");
    none(other_registries(&lock));
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let documents = sources().into_iter().filter(|source| source.path.ends_with(".md"));
    none(documents.flat_map(|document| dead_links(&document, |path| root().join(path).exists())).collect());
}

#[test]
fn a_long_file_a_note_a_foreign_registry_and_a_dead_link_are_found() {
    let source = |path: &str, text: String| Source { path: path.to_owned(), text };
    let prints =
        ["    println!(\"hello\");", "    0 => eprint!(\"bye\"),", "    chassis::say(\"good\");"].join("\n");
    assert_eq!(printing(&[source("crates/users/src/main.rs", prints.clone())]).len(), 2);
    assert_eq!(printing(&[source("crates/testkit/src/lib.rs", prints)]), Vec::<String>::new());
    let long = source("crates/users/src/lib.rs", "\n".repeat(MOST_LINES + 1));
    assert_eq!(too_long(&[long]), ["crates/users/src/lib.rs: 601 lines"]);

    for mark in marks() {
        let noted = source("README.md", format!("first\nsee {mark}x"));
        assert_eq!(marked(&[noted]), [format!("README.md:2: {mark}")]);
    }

    let lock = "source = \"registry+https://mirror.example/index\"\n".to_owned() + REGISTRY;
    assert_eq!(other_registries(&lock), ["source = \"registry+https://mirror.example/index\""]);

    let text = "[one](testing.md) [two](gone.md#top) [three](https://example.org) [four](#here)";
    let document = source("docs/logging.md", text.to_owned());
    let dead = dead_links(&document, |path| path == Path::new("docs/testing.md"));
    assert_eq!(dead, ["docs/logging.md links to gone.md, which is not there"]);
}
