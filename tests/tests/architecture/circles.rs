//! No circle of files inside a crate. A module and the modules inside it belong together and may use each
//! other.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::{FILE_USES, FileUse, file_uses};
use crate::none;
use crate::workspace::Source;

/// Finds every group of files that use each other in a circle, with the uses inside it.
fn circles(uses: &[FileUse]) -> Vec<String> {
    let mut graph = BTreeMap::<_, BTreeSet<_>>::new();
    for FileUse { folder, from, to } in uses {
        graph.entry((folder, from)).or_default().insert((folder, to));
    }
    let reached_from = |start| {
        let (mut found, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(next) = open.pop() {
            open.extend(graph.get(&next).into_iter().flatten().copied().filter(|to| found.insert(*to)));
        }
        found
    };
    let reached: BTreeMap<_, _> = graph.keys().map(|file| (*file, reached_from(*file))).collect();
    let is_between = |one, other| reached.get(&one).is_some_and(|found| found.contains(&other));
    let groups: BTreeSet<BTreeSet<_>> = graph
        .keys()
        .filter(|file| is_between(**file, **file))
        .map(|file| {
            graph.keys().copied().filter(|it| is_between(*file, *it) && is_between(*it, *file)).collect()
        })
        .collect();
    let sentence = |group: BTreeSet<(&String, &String)>| {
        let inside =
            |file: &(&String, &String)| graph[file].intersection(&group).copied().collect::<Vec<_>>();
        let lines = group
            .iter()
            .flat_map(|file| inside(file).into_iter().map(move |(_, to)| format!("{} uses {to}", file.1)));
        let folder = group.first().map_or("", |(folder, _)| folder);
        format!("{folder}: {}", lines.collect::<Vec<_>>().join(", "))
    };
    groups.into_iter().map(sentence).collect()
}

#[test]
fn no_files_of_a_crate_use_each_other_in_a_circle() {
    none(circles(&FILE_USES));
}

#[test]
fn a_circle_is_found_through_re_exports() {
    let source =
        |path: &str, text: &str| Source { path: format!("crates/users/src/{path}"), text: text.to_owned() };
    let made_up = [
        source("lib.rs", "mod app; mod config; mod store; pub use config::Config; pub use store::Opened;"),
        source("config.rs", "use crate::Opened as It; #[cfg(test)] mod tests { use crate::app::App; }"),
        source("app/mod.rs", "mod login; pub struct App(login::Login, super::store::Row);"),
        source("app/login.rs", "use super::App; /* use crate::store::Row; */ pub struct Login;"),
        source("store/mod.rs", "mod sqlite; mod rows; pub use sqlite::*; pub use rows::Row;"),
        source("store/sqlite.rs", "pub struct Opened(super::rows::Row); fn f() { crate::Config::default() }"),
        source("store/rows.rs", "pub struct Row; const TEXT: &str = \"crate::Config\";"),
    ];
    let expected = "crates/users/src/: config.rs uses store/sqlite.rs, store/sqlite.rs uses config.rs";
    assert_eq!(circles(&file_uses(&made_up)), [expected]);
}

#[test]
fn a_use_of_the_parameters_of_a_macro_is_read_to_its_end() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let text = "macro_rules! row { ($kind:ident) => { use crate::{$kind, store::Row}; } }";
    let uses = file_uses(&[
        source("crates/users/src/lib.rs", "mod app; mod store;"),
        source("crates/users/src/app.rs", text),
        source("crates/users/src/store.rs", "pub struct Row;"),
    ]);
    let uses: Vec<_> = uses.iter().map(|each| (each.from.as_str(), each.to.as_str())).collect();
    assert_eq!(uses, [("app.rs", "store.rs")]);
}
