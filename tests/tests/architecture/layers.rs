//! Every service reads the same: the same files, and one direction of flow,
//! `http | grpc | consumers → app → ports ← store | clients`; `domain` is used by all and uses none.

use crate::none;
use crate::workspace::{Source, sources};

/// The crates that are built after the one pattern.
const SERVICES: [&str; 5] = ["users", "news", "orchestrator", "recommendations", "web"];

/// The parts that the `src` of a service may have. `calls` answers over the bus as `grpc` does over HTTP/2;
/// `codec` translates between the domain and messages.
const PARTS: &str =
    "main bin lib config domain ports app store http grpc calls consumers codec clients workers metrics";

/// The names that a part of a service must not use (`sqlx` stands for `sqlx::`). A part that is not here may
/// name everything.
const FORBIDDEN: &[(&str, &str)] = &[
    (
        "domain",
        "axum tonic utoipa sqlx tokio proto anyhow crate::app crate::ports crate::store crate::clients crate::http",
    ),
    ("ports", "axum tonic utoipa sqlx anyhow crate::app crate::store crate::clients crate::http crate::grpc"),
    (
        "app",
        "axum tonic utoipa sqlx anyhow crate::store crate::clients crate::http crate::grpc crate::consumers",
    ),
    ("store", "axum tonic utoipa anyhow crate::app crate::clients crate::http crate::grpc crate::consumers"),
    ("clients", "axum utoipa sqlx anyhow crate::app crate::store crate::http crate::grpc crate::consumers"),
    ("http", "tonic sqlx anyhow crate::store crate::clients crate::grpc crate::consumers"),
    ("grpc", "axum utoipa sqlx anyhow crate::store crate::clients crate::http crate::consumers"),
    ("calls", "axum utoipa sqlx anyhow crate::store crate::clients crate::http crate::consumers"),
    ("consumers", "axum utoipa sqlx anyhow crate::store crate::clients crate::http crate::grpc"),
];

/// The part of a service that a file belongs to.
fn part(path: &str) -> Option<&str> {
    let (name, inside) = path.strip_prefix("crates/")?.split_once("/src/")?;
    let part = inside.split_once('/').map_or(inside, |(folder, _)| folder);
    SERVICES.contains(&name).then(|| part.trim_end_matches(".rs"))
}

fn misplaced(sources: &[Source]) -> Vec<String> {
    let parts = sources.iter().filter_map(|source| Some((source, part(&source.path)?)));
    let unknown = parts.filter(|(_, part)| !PARTS.split(' ').any(|known| known == *part));
    unknown.map(|(source, _)| format!("{} is not a part of a service", source.path)).collect()
}

/// The code of a file: without its comments, and without its tests, which may use more.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").enumerate();
    lines.filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(index, line)| (index + 1, line))
}

fn against_the_flow(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".rs")) {
        let Some(part) = part(&source.path) else { continue };
        let rules = FORBIDDEN.iter().filter(|(of, _)| *of == part);
        for word in rules.flat_map(|(_, words)| words.split(' ')) {
            let lines = code(&source.text).filter(|(_, line)| names(line, word));
            broken.extend(lines.map(|(line, _)| format!("{}:{line}: {part} names {word}", source.path)));
        }
    }
    broken
}

/// True where the line holds the path `word::`, from its first segment on.
fn names(line: &str, word: &str) -> bool {
    let begins =
        |at: usize| !line[..at].ends_with(|before: char| before.is_alphanumeric() || "_:".contains(before));
    line.match_indices(&format!("{word}::")).any(|(at, _)| begins(at))
}

#[test]
fn every_service_has_the_same_files() {
    none(misplaced(&sources()));
}

#[test]
fn in_every_service_data_flows_one_way() {
    none(against_the_flow(&sources()));
}

#[test]
fn a_file_in_the_wrong_place_and_a_name_against_the_flow_are_found() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let made_up = [
        source("crates/users/src/helpers.rs", ""),
        source("crates/users/src/domain/name.rs", "// sqlx\nuse sqlx::Row;\n#[cfg(test)]\nuse tokio::test;"),
        source("crates/users/src/app/register.rs", "use crate::http::Body;"),
        source("crates/chassis/src/helpers.rs", "use sqlx::Row;"),
    ];
    assert_eq!(misplaced(&made_up), ["crates/users/src/helpers.rs is not a part of a service"]);
    let expected = [
        "crates/users/src/domain/name.rs:2: domain names sqlx",
        "crates/users/src/app/register.rs:1: app names crate::http",
    ];
    assert_eq!(against_the_flow(&made_up), expected);
}
