//! The matrices of roles and routes, read without any code of the services.

use crate::text;

/// The services that the gateway serves, with their prefixes.
pub const PUBLIC_SERVICES: [(&str, &str); 3] =
    [("users", "/users/v1"), ("orchestrator", "/news/v1"), ("recommendations", "/recommendation/v1")];

/// The id of a session that does not exist.
const SOME_SESSION: &str = "0190b2c4-0000-7000-8000-000000000001";

/// A row of an `access.toml`, as `"GET /x" = ["reader", "costly"]` or
/// `"GET /x" = ["anyone", "costly with content"]`.
#[derive(Debug, Clone)]
pub struct Row {
    /// The method.
    pub method: String,
    /// The path at the gateway, such as `/users/v1/{id}`.
    pub path: String,
    /// The roles that may call it.
    pub grants: Vec<String>,
    /// True if every request is costly.
    pub costly: bool,
    /// True if the route ignores a token that is not valid.
    pub lenient: bool,
    /// True if a body may carry the text of an article, and so be larger.
    pub text: bool,
    /// True if only lists with content are costly.
    pub costly_with_content: bool,
}

impl Row {
    /// Returns the path with a value for every parameter. The account or article that it names is `subject`.
    ///
    /// # Panics
    /// If no value is known for a parameter.
    pub fn filled(&self, subject: &str) -> String {
        let parameters =
            [("type", "sports"), ("label", "tennis"), ("page", "1"), ("limit", "1"), ("version", "1")];
        let subjects =
            [("id", subject), ("user_id", subject), ("author_id", subject), ("session_id", SOME_SESSION)];
        let all = parameters.into_iter().chain(subjects);
        let path =
            all.fold(self.path.clone(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
        assert!(!path.contains('{'), "no value is known for a parameter of {path}");
        path
    }
}

/// Returns every row of every matrix.
///
/// # Panics
/// If a file is missing or has a row without a method.
pub fn every_row() -> Vec<Row> {
    PUBLIC_SERVICES
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
        let has = |flag: &str| words.iter().any(|word| word == flag);
        let (costly, lenient, text) = (has("costly"), has("lenient"), has("text"));
        let costly_with_content = has("costly with content");
        let is_flag = |word: &String| word.starts_with("costly") || word == "lenient" || word == "text";
        let grants = words.iter().filter(|word| !is_flag(word)).cloned().collect();
        let (method, path) = (method.to_owned(), format!("{base}{path}"));
        Row { method, path, grants, costly, costly_with_content, lenient, text }
    };
    lines.map(row).collect()
}
