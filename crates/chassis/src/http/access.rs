use std::collections::BTreeMap;

use http::Method;
use kernel::{Identity, Role, UserId};
use serde::Deserialize;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Everybody, logged in or not.
    Anyone,
    /// A role and every role above it.
    AtLeast(Role),
    /// The account that the path's `{id}` or `{user_id}` names.
    Own,
}

/// One route of the matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The method.
    pub method: Method,
    /// The path, as the router writes it.
    pub path: String,
    /// Who may call it; one of them is enough.
    pub grants: Vec<Grant>,
    /// When an answer takes far more work than a read, so that a client may ask for few of them.
    pub costly: Costly,
    /// Whether an access token that is missing, broken or over is no reason to refuse: the word `lenient` in its row.
    pub lenient: bool,
    /// Whether its body carries the text of an article, and so may be larger than others: the word `text` in its row.
    pub text: bool,
}

/// When an answer takes far more work than a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Costly {
    /// Never.
    Never,
    /// If the query asks for the content of articles: the words `costly with content` in the row.
    WithContent,
    /// Always: the word `costly` in the row.
    Always,
}

impl Costly {
    /// Returns whether a request with this query takes so much.
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
    /// True where `caller`, who calls for `subject` (the account that the path names), may pass.
    pub fn admits(&self, caller: Option<&Identity>, subject: Option<UserId>) -> bool {
        self.grants.iter().any(|grant| match grant {
            Grant::Anyone => true,
            Grant::AtLeast(role) => caller.is_some_and(|caller| caller.role >= *role),
            Grant::Own => caller.is_some_and(|caller| subject == Some(caller.user)),
        })
    }
}

/// The matrix of roles and routes of one service: the data file `access.toml`, which the guard enforces and the tests read.
/// What is not in it is denied; a route without a row does not start.
#[derive(Debug, Clone)]
pub struct Matrix {
    rows: Vec<Row>,
}

/// Why a matrix can't be read.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// It is no TOML of the right shape.
    #[error("the matrix of roles and routes can't be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// A key is not `METHOD /path`, or a grant is none.
    #[error("the matrix of roles and routes has a row that can't be read: {0}")]
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
    /// Reads `access.toml`.
    pub fn parse(text: &str) -> Result<Self, MatrixError> {
        let file: File = toml::from_str(text)?;
        let rows = file.routes.into_iter().map(|(route, words)| {
            let unreadable = || MatrixError::Row(route.clone());
            let (method, path) = route.split_once(' ').ok_or_else(unreadable)?;
            let method = method.parse().map_err(|_| unreadable())?;
            let (mut costly, mut lenient, mut text) = (Costly::Never, false, false);
            let mut grants = Vec::new();
            for word in &words {
                match COSTLY.iter().find(|(name, _)| name == word) {
                    Some((_, when)) => costly = *when,
                    None if word == LENIENT => lenient = true,
                    None if word == TEXT => text = true,
                    None => grants.push(read_grant(word).ok_or_else(unreadable)?),
                }
            }
            if lenient && !grants.contains(&Grant::Anyone) {
                return Err(unreadable());
            }
            Ok(Row { method, path: path.to_owned(), grants, costly, lenient, text })
        });
        Ok(Self { rows: rows.collect::<Result<_, MatrixError>>()? })
    }

    /// Every route.
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
    fn a_row_admits_whom_it_names_and_nobody_else() {
        let matrix = Matrix::parse("[routes]\n\"PUT /{id}\" = [\"own\", \"admin\"]").expect("a matrix");
        let row = &matrix.rows()[0];
        let (own, other) = (Some(UserId::new(Uuid::from_u128(1))), Some(UserId::new(Uuid::from_u128(2))));
        assert!(row.admits(Some(&caller(Role::Reader)), own));
        assert!(!row.admits(Some(&caller(Role::Editor)), other));
        assert!(row.admits(Some(&caller(Role::Admin)), other));
        assert!(!row.admits(None, own));
    }

    #[test]
    fn a_row_without_grants_admits_nobody_and_an_unknown_grant_is_an_error() {
        let matrix = Matrix::parse("[routes]\n\"GET /x\" = []").expect("a matrix");
        assert!(!matrix.rows()[0].admits(Some(&caller(Role::Admin)), None));
        assert!(Matrix::parse("[routes]\n\"GET /x\" = [\"everyone\"]").is_err());
        assert!(Matrix::parse("[routes]\n\"GET\" = []").is_err());
    }

    #[test]
    fn lenient_is_said_of_a_route_that_is_open_to_anyone_and_of_no_other() {
        let lenient = Matrix::parse("[routes]\n\"POST /x\" = [\"anyone\", \"lenient\"]").expect("a matrix");
        let plain = Matrix::parse("[routes]\n\"POST /x\" = [\"anyone\"]").expect("a matrix");
        assert!(lenient.rows()[0].lenient && !plain.rows()[0].lenient);
        assert_eq!(lenient.rows()[0].grants, plain.rows()[0].grants);
        assert!(Matrix::parse("[routes]\n\"POST /x\" = [\"reader\", \"lenient\"]").is_err());
    }

    #[test]
    fn a_list_is_costly_however_its_query_spells_that_it_wants_content() {
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
    fn costly_is_said_of_a_route_and_lets_nobody_in() {
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
