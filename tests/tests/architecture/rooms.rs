//! The rooms of chassis: its folders, and which of them may use which.

use crate::modules::{FILE_USES, FileUse, file_uses};
use crate::none;
use crate::workspace::{Source, sources};

const CHASSIS: &str = "crates/chassis/src/";

/// Each room with the rooms that it may use: values at the bottom, the process at the top.
const ROOMS: [(&str, &[&str]); 11] = [
    ("values", &[]),
    ("files", &[]),
    ("observe", &["values"]),
    ("work", &["values", "observe"]),
    ("store", &["values", "files", "observe", "work"]),
    ("net", &["values", "observe", "work"]),
    ("identity", &["values", "observe", "work", "net"]),
    ("http", &["values", "observe", "work", "store", "net", "identity"]),
    ("grpc", &["values", "observe", "work", "net", "identity"]),
    ("config", &["values", "files", "observe", "identity", "http", "grpc"]),
    ("host", &["values", "files", "observe", "work", "store", "net", "identity", "http", "grpc", "config"]),
];

fn room(file: &str) -> Option<&str> {
    file.split_once('/').map(|(room, _)| room)
}

/// Finds what stands in the crate beside its root and the rooms.
fn outside_of_rooms(sources: &[Source]) -> Vec<String> {
    let files = sources.iter().filter_map(|source| source.path.strip_prefix(CHASSIS));
    let has_room = |file: &str| file == "lib.rs" || ROOMS.iter().any(|(known, _)| room(file) == Some(*known));
    files.filter(|file| !has_room(file)).map(|file| format!("{CHASSIS}{file} belongs to no room")).collect()
}

/// Finds uses of one room by another that the table does not allow.
fn against_the_arrows(uses: &[FileUse]) -> Vec<String> {
    let mut found = Vec::new();
    for FileUse { from, to, .. } in uses.iter().filter(|it| it.folder == CHASSIS) {
        let (Some(user), Some(used)) = (room(from), room(to)) else { continue };
        let allowed = ROOMS.iter().find(|(known, _)| *known == user).map_or(&[][..], |(_, allowed)| *allowed);
        if user != used && !allowed.contains(&used) {
            found.push(format!("{from} uses {to}"));
        }
    }
    found
}

#[test]
fn every_file_of_chassis_belongs_to_a_room() {
    none(outside_of_rooms(&sources()));
}

#[test]
fn the_rooms_of_chassis_use_each_other_in_one_direction() {
    none(against_the_arrows(&FILE_USES));
}

#[test]
fn each_room_uses_only_rooms_below_it() {
    for (at, (room, allowed)) in ROOMS.iter().enumerate() {
        let below = |used: &&&str| ROOMS[..at].iter().any(|(known, _)| known == *used);
        assert_eq!(allowed.iter().filter(below).count(), allowed.len(), "{room}");
    }
}

#[test]
fn a_file_without_a_room_and_a_use_against_the_arrows_are_found() {
    let source = |path: &str, text: &str| Source { path: format!("{CHASSIS}{path}"), text: text.to_owned() };
    let made_up = [
        source("lib.rs", "mod values; mod http; mod helpers; pub use http::Problem;"),
        source("helpers.rs", ""),
        source("values/mod.rs", "mod url;"),
        source("values/url.rs", "use crate::Problem;"),
        source("http/mod.rs", "mod problem; pub use problem::Problem;"),
        source("http/problem.rs", "use crate::values::Url; pub struct Problem;"),
    ];
    assert_eq!(outside_of_rooms(&made_up), ["crates/chassis/src/helpers.rs belongs to no room"]);
    assert_eq!(against_the_arrows(&file_uses(&made_up)), ["values/url.rs uses http/problem.rs"]);
}
