//! Plain English: the phrases that this project had to remove once do not come back (decision 31).
//!
//! The rule reads comments, strings and names of functions in Rust, and every line of other sources and
//! documents.

use crate::none;
use crate::workspace::{Source, sources};

/// Phrases that are not used, with their replacement. `*` stands for any word.
const PHRASES: [(&str, &str); 18] = [
    ("anew", "again"),
    ("anybody", "name the subject, such as `a client`"),
    ("but for", "except for"),
    ("everybody", "name the subject, such as `all clients`"),
    ("has it that", "state the fact"),
    ("in peace", "say what does not happen"),
    ("is no *", "is not a …"),
    ("is none of", "is not …"),
    ("nobody", "name the subject, such as `no client`"),
    ("so many at", "at most"),
    ("so many times", "at most … times"),
    ("somebody", "name the subject, such as `another client`"),
    ("tell", "send, publish, show or distinguish"),
    ("tells", "sends, publishes, shows or distinguishes"),
    ("told", "sent, published, shown or distinguished"),
    ("what came of it", "the result"),
    ("whoever", "name the subject, such as `a client that`"),
    ("without somebody", "name the subject"),
];

/// Words that make sense after `is no`.
const AFTER_IS_NO: [&str; 2] = ["longer", "more"];

/// Openings of a doc comment that describe a thing by a question instead of a noun or a verb.
const OPENINGS: [&str; 6] = ["How ", "The same ", "What ", "Where ", "Whether ", "Who "];

/// The kinds of files that the rule reads.
const KINDS: [&str; 11] =
    [".rs", ".md", ".toml", ".proto", ".sql", ".cypher", ".lua", ".template", ".yml", ".env", "Dockerfile"];

/// Generated documents, copies of applied migrations, the stories of the seed, and the table above.
const EXEMPT: [&str; 4] =
    ["nginx/html/", "db/bus/outbox", "crates/seed/stories/", "tests/tests/architecture/english.rs"];

/// Migrations that are already applied somewhere: their checksums are stored, so not even a comment in them
/// may change. The number is that of the last such migration in the folder.
const APPLIED_MIGRATIONS: [(&str, u32); 8] = [
    ("db/bus/sqlite/", 1),
    ("db/news/postgres-events/", 6),
    ("db/news/sqlite-events/", 6),
    ("db/news/sqlite-view/", 4),
    ("db/recommendations/sqlite/", 3),
    ("db/users/intake/sqlite/", 2),
    ("db/users/postgres/", 5),
    ("db/users/sqlite/", 5),
];

/// Returns true for a migration that is already applied somewhere.
pub fn is_applied(path: &str) -> bool {
    APPLIED_MIGRATIONS.iter().any(|(folder, last)| {
        let name = path.strip_prefix(folder);
        let number =
            name.and_then(|name| name.split('_').next()).and_then(|number| number.parse::<u32>().ok());
        number.is_some_and(|number| number <= *last)
    })
}

fn is_read(source: &Source) -> bool {
    KINDS.iter().any(|kind| source.path.ends_with(kind))
        && !EXEMPT.iter().any(|exempt| source.path.starts_with(exempt))
        && !is_applied(&source.path)
}

/// Returns the parts of a line that people read. In Rust these are its comment, its strings and the name of
/// its function, in SQL and Lua its comment, and in Markdown all text except for quotations and code.
fn prose(path: &str, line: &str) -> Vec<String> {
    let marker = match path.rsplit('.').next() {
        Some("md") => return line.split(['"', '`']).step_by(2).map(str::to_owned).collect(),
        Some("rs" | "cypher") => "//",
        Some("sql" | "lua") => "--",
        _ => return vec![line.to_owned()],
    };
    let begins = |at: &usize| line[..*at].is_empty() || line[..*at].ends_with([' ', '\t']);
    let comment = line.match_indices(marker).map(|(at, _)| at).find(begins);
    let (code, comment) = line.split_at(comment.unwrap_or(line.len()));
    let mut parts = vec![comment.to_owned()];
    if path.ends_with(".rs") {
        parts.extend(code.split('"').skip(1).step_by(2).map(str::to_owned));
        let function = code.split_once("fn ").and_then(|(_, rest)| rest.split('(').next());
        parts.extend(function.map(|name| name.replace('_', " ")));
    }
    parts
}

/// Returns the words of a text in lower case. Each keeps the punctuation after it, so that no phrase spans
/// two sentences.
fn words(text: &str) -> Vec<String> {
    let is_part_of_word = |c: char| c.is_alphanumeric() || "'_.,;:!?".contains(c);
    let words = text.split(|c: char| !is_part_of_word(c)).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// Returns true if the words begin with the phrase. Punctuation may follow its last word only.
fn begins_with(words: &[String], phrase: &str) -> bool {
    let phrase: Vec<&str> = phrase.split(' ').collect();
    let Some(words) = words.get(..phrase.len()) else { return false };
    let last = phrase.len() - 1;
    phrase.iter().zip(words).enumerate().all(|(index, (expected, word))| {
        let bare = word.trim_end_matches(['.', ',', ';', ':', '!', '?']);
        let is_complete = index == last || bare.len() == word.len();
        is_complete && (*expected == "*" || *expected == bare)
    })
}

/// Returns the replacement of the first phrase in the text, with the phrase itself.
fn phrase_in(text: &str) -> Option<(&'static str, &'static str)> {
    let words = words(text);
    (0..words.len()).find_map(|at| {
        let found = PHRASES.iter().find(|(phrase, _)| begins_with(&words[at..], phrase))?;
        let is_allowed = found.0 == "is no *"
            && (at > 0 && words[at - 1] == "there"
                || AFTER_IS_NO.contains(&words[at + 2].trim_end_matches(['.', ',', ';'])));
        (!is_allowed).then_some(*found)
    })
}

/// Returns the opening of a doc comment that should begin with a noun or a verb.
fn opening_of(line: &str, before: &str) -> Option<&'static str> {
    let doc = |line: &str| {
        let line = line.trim_start().to_owned();
        ["/// ", "//! "].iter().find_map(|marker| line.strip_prefix(marker).map(str::to_owned))
    };
    let text = doc(line)?;
    if doc(before).is_some() {
        return None;
    }
    OPENINGS.into_iter().find(|opening| text.starts_with(opening))
}

fn riddles(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources.iter().filter(|source| is_read(source)) {
        let mut before = "";
        for (index, line) in source.text.lines().enumerate() {
            let at = format!("{}:{}", source.path, index + 1);
            if let Some((phrase, instead)) = prose(&source.path, line).iter().find_map(|text| phrase_in(text))
            {
                broken.push(format!("{at}: `{phrase}`: {instead}"));
            }
            if source.path.ends_with(".rs")
                && let Some(opening) = opening_of(line, before)
            {
                broken.push(format!("{at}: a doc comment begins with `{}`", opening.trim_end()));
            }
            before = line;
        }
    }
    broken
}

#[test]
fn sources_and_documents_use_plain_english() {
    none(riddles(&sources()));
}

#[test]
fn a_removed_phrase_and_a_question_as_a_doc_comment_are_found() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let rust = [
        "//! How it works.",
        "",
        "/// The bus. Whoever listens hears it.",
        "fn nobody_is_asked() {}",
        "let told = \"the cursor is none of this list\"; // nobody: fine in code, not here",
        "/// Returns a value. There is no other, and it is no longer used.",
        "let url = \"http://tell.example\";",
        "/// First line,",
        "/// What follows is not an opening.",
        "const SENTENCE: &str = \"The body is no JSON.\";",
    ];
    let broken = riddles(&[
        source("crates/users/src/lib.rs", &rust.join("\n")),
        source("README.md", "It is done anew.\nAll but for one.\nAll but. For one. The word \"nobody\"."),
        source("db/users/sqlite/0001_accounts.sql", "-- nobody"),
        source("db/users/sqlite/0099_later.sql", "-- nobody"),
        source("picture.svg", "nobody"),
    ]);
    let places: Vec<&str> = broken.iter().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(
        places,
        [
            "crates/users/src/lib.rs:1",
            "crates/users/src/lib.rs:3",
            "crates/users/src/lib.rs:4",
            "crates/users/src/lib.rs:5",
            "crates/users/src/lib.rs:10",
            "README.md:1",
            "README.md:2",
            "db/users/sqlite/0099_later.sql:1",
        ]
    );
}
