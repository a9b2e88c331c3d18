//! The matrix of roles and routes: `access.toml` of each service.

use std::collections::BTreeMap;

use http::Method;
use kernel::{Identity, Role, UserId};
use serde::Deserialize;

/// A group of callers that may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Every caller, logged in or not.
    Anyone,
    /// Accounts with this role or a higher one.
    AtLeast(Role),
    /// The account whose id is `{id}` or `{user_id}` in the path.
    Own,
}

/// A row of the matrix: one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The HTTP method.
    pub method: Method,
    /// The path in the syntax of the router.
    pub path: String,
    /// The callers that may use the route: those that any of these grants admits.
    pub grants: Vec<Grant>,
    /// The requests that need far more work than other reads and therefore have a limit of their own.
    pub costly: Costly,
    /// True if a missing, invalid or expired access token is ignored: the word `lenient` in the row.
    pub lenient: bool,
    /// True if the body contains the text of an article and may therefore be larger: the word `text` in the
    /// row.
    pub text: bool,
}

/// The requests of a route that need far more work than other reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Costly {
    /// None.
    Never,
    /// Those whose query asks for the content of articles: the words `costly with content` in the row.
    WithContent,
    /// All: the word `costly` in the row.
    Always,
}

impl Costly {
    /// Returns true if a request with this query is costly.
    pub fn applies(self, query: Option<&str>) -> bool {
        match self {
            Costly::Never => false,
            Costly::Always => true,
            Costly::WithContent => {
                form_urlencoded::parse(query.unwrap_or_default().as_bytes()).any(|(name, value)| {
                    matches!(&*name, "include" | "fields") && value.split(',').any(|name| name == "content")
                })
            }
        }
    }
}

impl Row {
    /// Returns true if `caller` may use the route for `subject`, the account that the path names.
    pub fn admits(&self, caller: Option<&Identity>, subject: Option<UserId>) -> bool {
        self.grants.iter().any(|grant| match grant {
            Grant::Anyone => true,
            Grant::AtLeast(role) => caller.is_some_and(|caller| caller.role >= *role),
            Grant::Own => caller.is_some_and(|caller| subject == Some(caller.user)),
        })
    }
}

/// The matrix of roles and routes of one service. The guard enforces the data file `access.toml`, and the
/// tests read it. A service with a route that has no row does not start.
#[derive(Debug, Clone)]
pub struct Matrix {
    rows: Vec<Row>,
}

/// A defect of a matrix.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// The file is not valid TOML or has the wrong structure.
    #[error("the matrix of roles and routes is not valid: {0}")]
    Toml(#[from] toml::de::Error),
    /// A key is not `METHOD /path`, or a word of a row is not known.
    #[error("the matrix of roles and routes has an invalid row: {0}")]
    Row(String),
}

/// The words of a row that are not grants.
const LENIENT: &str = "lenient";
const TEXT: &str = "text";
const COSTLY: [(&str, Costly); 2] =
    [("costly", Costly::Always), ("costly with content", Costly::WithContent)];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    routes: BTreeMap<String, Vec<String>>,
}

impl Matrix {
    /// Parses the text of `access.toml`.
    pub fn parse(text: &str) -> Result<Self, MatrixError> {
        let file: File = toml::from_str(text)?;
        let rows = file.routes.into_iter().map(|(route, words)| {
            let invalid = || MatrixError::Row(route.clone());
            let (method, path) = route.split_once(' ').ok_or_else(invalid)?;
            let method = method.parse().map_err(|_| invalid())?;
            let (mut costly, mut lenient, mut text) = (Costly::Never, false, false);
            let mut grants = Vec::new();
            for word in &words {
                match COSTLY.iter().find(|(name, _)| name == word) {
                    Some((_, when)) => costly = *when,
                    None if word == LENIENT => lenient = true,
                    None if word == TEXT => text = true,
                    None => grants.push(read_grant(word).ok_or_else(invalid)?),
                }
            }
            if lenient && !grants.contains(&Grant::Anyone) {
                return Err(invalid());
            }
            Ok(Row { method, path: path.to_owned(), grants, costly, lenient, text })
        });
        Ok(Self { rows: rows.collect::<Result<_, MatrixError>>()? })
    }

    /// Returns the rows of all routes.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

fn read_grant(text: &str) -> Option<Grant> {
    match text {
        "anyone" => Some(Grant::Anyone),
        "own" => Some(Grant::Own),
        role => role.parse().ok().map(Grant::AtLeast),
    }
}

#[cfg(test)]
mod tests {
    use kernel::{Sections, SessionId};
    use uuid::Uuid;

    use super::*;

    fn caller(role: Role) -> Identity {
        Identity {
            user: UserId::new(Uuid::from_u128(1)),
            name: "Ada".to_owned(),
            role,
            sections: Sections::All,
            history: false,
            session: SessionId::new(Uuid::nil()),
        }
    }

    #[test]
    fn a_row_admits_only_the_callers_that_it_names() {
        let matrix = Matrix::parse("[routes]\n\"PUT /{id}\" = [\"own\", \"admin\"]").expect("a matrix");
        let row = &matrix.rows()[0];
        let (own, other) = (Some(UserId::new(Uuid::from_u128(1))), Some(UserId::new(Uuid::from_u128(2))));
        assert!(row.admits(Some(&caller(Role::Reader)), own));
        assert!(!row.admits(Some(&caller(Role::Editor)), other));
        assert!(row.admits(Some(&caller(Role::Admin)), other));
        assert!(!row.admits(None, own));
    }

    #[test]
    fn a_row_without_grants_admits_no_caller_and_an_unknown_grant_is_an_error() {
        let matrix = Matrix::parse("[routes]\n\"GET /x\" = []").expect("a matrix");
        assert!(!matrix.rows()[0].admits(Some(&caller(Role::Admin)), None));
        assert!(Matrix::parse("[routes]\n\"GET /x\" = [\"everyone\"]").is_err());
        assert!(Matrix::parse("[routes]\n\"GET\" = []").is_err());
    }

    #[test]
    fn only_a_route_that_is_open_to_anyone_may_be_lenient() {
        let lenient = Matrix::parse("[routes]\n\"POST /x\" = [\"anyone\", \"lenient\"]").expect("a matrix");
        let plain = Matrix::parse("[routes]\n\"POST /x\" = [\"anyone\"]").expect("a matrix");
        assert!(lenient.rows()[0].lenient && !plain.rows()[0].lenient);
        assert_eq!(lenient.rows()[0].grants, plain.rows()[0].grants);
        assert!(Matrix::parse("[routes]\n\"POST /x\" = [\"reader\", \"lenient\"]").is_err());
    }

    #[test]
    fn a_list_with_content_is_costly_in_every_spelling_of_its_query() {
        let lists =
            Matrix::parse("[routes]\n\"GET /x\" = [\"anyone\", \"costly with content\"]").expect("a matrix");
        let (row, anyone) = (&lists.rows()[0], [Grant::Anyone]);
        assert_eq!((row.costly, row.grants.as_slice()), (Costly::WithContent, anyone.as_slice()));
        for query in [
            "include=content",
            "limit=3&include=content",
            "fields=id,content",
            "fields=content",
            "fields=id%2Ccontent%2Ctitle",
            "%69nclude=%63ontent",
            "include=&include=content",
        ] {
            assert!(row.costly.applies(Some(query)), "{query}");
        }
        for query in
            ["", "include=", "fields=id,title", "label=content", "fields=contents", "x=include=content"]
        {
            assert!(!row.costly.applies(Some(query)), "{query}");
        }
        assert!(!row.costly.applies(None));
    }

    #[test]
    fn costly_and_text_are_not_grants() {
        let costly = Matrix::parse("[routes]\n\"GET /x\" = [\"reader\", \"costly\"]").expect("a matrix");
        let plain = Matrix::parse("[routes]\n\"GET /x\" = [\"reader\"]").expect("a matrix");
        let (always, never) = (costly.rows()[0].costly, plain.rows()[0].costly);
        assert_eq!((always, never), (Costly::Always, Costly::Never));
        assert!(always.applies(None) && !never.applies(Some("include=content")));
        assert_eq!(costly.rows()[0].grants, plain.rows()[0].grants);
        let text = Matrix::parse("[routes]\n\"GET /x\" = [\"reader\", \"text\"]").expect("a matrix");
        assert!(text.rows()[0].text && !plain.rows()[0].text);
        assert_eq!(text.rows()[0].grants, plain.rows()[0].grants);
        let nobody = Matrix::parse("[routes]\n\"GET /x\" = [\"costly\"]").expect("a matrix");
        assert!(!nobody.rows()[0].admits(Some(&caller(Role::Admin)), None));
    }
}
