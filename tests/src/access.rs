//! The matrices of roles and routes, read by the tests' own eyes: no code of the services is believed here.

use crate::text;

/// The services that the gateway shows, with their prefixes.
pub const SHOWN: [(&str, &str); 3] =
    [("users", "/users/v1"), ("orchestrator", "/news/v1"), ("recommendations", "/recommendation/v1")];

/// A session that nobody has.
const SOME_SESSION: &str = "0190b2c4-0000-7000-8000-000000000001";

/// A row of an `access.toml`, as `"GET /x" = ["reader", "costly"]` or `"GET /x" = ["anyone", "costly with content"]`.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its method.
    pub method: String,
    /// Its path at the gateway, as `/users/v1/{id}`.
    pub path: String,
    /// Who may call it.
    pub grants: Vec<String>,
    /// Whether it says so of every request.
    pub costly: bool,
    /// Whether a token that does not hold is no reason to refuse it.
    pub lenient: bool,
    /// Whether a body may carry the text of an article, and so be larger.
    pub text: bool,
    /// Whether it says so of lists with content.
    pub costly_with_content: bool,
}

impl Row {
    /// Its path with something in every place; the account or article that it names is `subject`.
    ///
    /// # Panics
    /// Where a place is left: no address is asked that nobody would ask.
    pub fn filled(&self, subject: &str) -> String {
        let places =
            [("type", "sports"), ("label", "tennis"), ("page", "1"), ("limit", "1"), ("version", "1")];
        let subjects = [("id", subject), ("user_id", subject), ("session_id", SOME_SESSION)];
        let all = places.into_iter().chain(subjects);
        let path =
            all.fold(self.path.clone(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
        assert!(!path.contains('{'), "nothing is known for a place of {path}");
        path
    }
}

/// Every row of every matrix.
///
/// # Panics
/// Where a file is missing or has a row without a method.
pub fn every_row() -> Vec<Row> {
    SHOWN
        .iter()
        .flat_map(|(service, base)| rows(&text(&format!("crates/{service}/access.toml")), base))
        .collect()
}

fn rows(access: &str, base: &str) -> Vec<Row> {
    let lines = access.lines().map(str::trim).filter(|line| line.starts_with('"'));
    let row = |line: &str| {
        let mut words = line.split('"').skip(1).step_by(2);
        let (method, path) =
            words.next().and_then(|route| route.split_once(' ')).expect("a method and a path");
        let words: Vec<String> = words.map(str::to_owned).collect();
        let says = |wanted: &str| words.iter().any(|word| word == wanted);
        let (costly, lenient, text) = (says("costly"), says("lenient"), says("text"));
        let costly_with_content = says("costly with content");
        let of_the_row = |word: &String| word.starts_with("costly") || word == "lenient" || word == "text";
        let grants = words.iter().filter(|word| !of_the_row(word)).cloned().collect();
        let (method, path) = (method.to_owned(), format!("{base}{path}"));
        Row { method, path, grants, costly, costly_with_content, lenient, text }
    };
    lines.map(row).collect()
}
