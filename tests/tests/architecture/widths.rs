//! The width of comments and documents. rustfmt wraps code and leaves comments as they are.

use crate::none;
use crate::workspace::{Source, sources};

/// The columns of a line, the same as `max_width` in rustfmt.toml.
const MAX_COLUMNS: usize = 110;

/// Generated documents, copies of applied migrations, the licence of a list, corpora of the fuzz targets,
/// recorded answers.
const EXEMPT: [&str; 5] = ["nginx/html/", "db/bus/outbox", "common-passwords.LICENSE", "/fuzz/", "/golden/"];

/// Returns the markers that begin a comment in a file. Markdown has none: its text is treated like a comment.
fn markers(path: &str) -> Option<&'static [&'static str]> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit('.').next().unwrap_or(name);
    Some(match extension {
        "md" => &[],
        "rs" | "proto" | "cypher" | "js" | "go" => &["///", "//!", "//"],
        "sql" | "lua" => &["--"],
        "toml" | "yml" | "sh" | "conf" | "template" | "env" | "Dockerfile" => &["#"],
        _ => return None,
    })
}

/// Returns the comment of a line. A marker inside a text, such as a URL, does not begin a comment.
fn comment<'a>(markers: &[&str], line: &'a str) -> Option<&'a str> {
    if markers.is_empty() {
        return Some(line);
    }
    let begins = |at: &usize, marker: &str| {
        let (before, after) = (&line[..*at], &line[*at + marker.len()..]);
        let is_marker = after.is_empty() || after.starts_with(' ');
        is_marker
            && (before.is_empty() || before.ends_with(' '))
            && before.matches('"').count().is_multiple_of(2)
    };
    markers
        .iter()
        .filter_map(|marker| {
            let at = line.match_indices(marker).map(|(at, _)| at).find(|at| begins(at, marker))?;
            Some((at, &line[at + marker.len()..]))
        })
        .min_by_key(|(at, _)| *at)
        .map(|(_, comment)| comment)
}

/// Returns true for text that a line break would change or that has no place for one: rows of tables,
/// headings, and single words, such as a long link.
fn must_stay_whole(text: &str) -> bool {
    let text = text.trim();
    let item = text.trim_start_matches(['*', '-', ' ']);
    text.starts_with('|') || text.starts_with('#') || !item.contains(' ')
}

fn too_wide(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let Some(markers) = markers(&source.path) else { continue };
        if EXEMPT.iter().any(|part| source.path.contains(part)) || crate::english::is_applied(&source.path) {
            continue;
        }
        let mut in_code_block = false;
        for (index, line) in source.text.lines().enumerate() {
            let Some(comment) = comment(markers, line) else {
                in_code_block = false;
                continue;
            };
            in_code_block ^= comment.trim_start().starts_with("```");
            let columns = line.chars().count();
            if columns > MAX_COLUMNS && !in_code_block && !must_stay_whole(comment) {
                found.push(format!("{}:{}: {columns} columns", source.path, index + 1));
            }
        }
    }
    found
}

#[test]
fn comments_and_documents_are_at_most_110_columns_wide() {
    none(too_wide(&sources()));
}

#[test]
fn a_wide_comment_is_found() {
    let words = "word ".repeat(30);
    let source = |path: &str, text: String| Source { path: path.to_owned(), text };
    let rust = [
        format!("/// {words}"),
        format!("let x = 1; // {words}"),
        format!("let x = \"http://example/ // {words}\";"),
        format!("// | {words}"),
        format!("// {}", "x".repeat(200)),
        "//! ```".to_owned(),
        format!("//! {words}"),
        "//! ```".to_owned(),
        format!("//! {words}"),
    ];
    let made_up = [
        source("crates/users/src/lib.rs", rust.join("\n")),
        source("README.md", format!("{words}\n# {words}\n* {words}\n* [{}](x.md)", "x".repeat(150))),
        source("deny.toml", format!("{words}\n# {words}\nx = 1 # {words}")),
        source("db/users/sqlite/0001_accounts.sql", format!("-- {words}")),
        source("db/users/sqlite/0099_later.sql", format!("-- {words}")),
        source("picture.svg", words.clone()),
    ];
    let expected = [
        "crates/users/src/lib.rs:1",
        "crates/users/src/lib.rs:2",
        "crates/users/src/lib.rs:9",
        "README.md:1",
        "README.md:3",
        "deny.toml:2",
        "deny.toml:3",
        "db/users/sqlite/0099_later.sql:1",
    ];
    let found = too_wide(&made_up);
    let places: Vec<&str> = found.iter().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(places, expected);
}
