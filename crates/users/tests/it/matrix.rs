//! Requests every cell of `access.toml`: each route by each role, on one's own account and on another one.

use chassis::http::{Matrix, Row};
use http::Method;
use kernel::{Identity, Sections, SessionId};

use crate::people::{Person, Users};

const ROLES: [&str; 4] = ["reader", "author", "editor", "admin"];

fn matrix() -> Matrix {
    Matrix::parse(include_str!("../../access.toml")).expect("a matrix")
}

fn identity(person: &Person, role: &str) -> Identity {
    Identity {
        user: person.id.parse().expect("an id"),
        name: String::new(),
        role: role.parse().expect("a role"),
        sections: Sections::All,
        history: false,
        session: SessionId::new(uuid::Uuid::nil()),
    }
}

/// Requests the route and checks whether the guard admits it. The request has no body, so an admitted one
/// changes nothing; a DELETE needs no body, so it gets an account that is not needed any more.
async fn try_cell(users: &Users, row: &Row, caller: Option<(&Person, &str)>, subject: &Person) {
    let path =
        row.path.replace("{id}", &subject.id).replace("{session_id}", "01901640-0000-7000-8000-000000000000");
    let mut ask = users.ask(row.method.as_str(), &path);
    if let Some((person, _)) = caller {
        ask = ask.by(person);
    }
    let answer = ask.send().await;
    let known = caller.map(|(person, role)| identity(person, role));
    let subject = row.path.contains("{id}").then(|| subject.id.parse().expect("an id"));
    let cell = format!("{} {} by {:?}", row.method, row.path, caller.map(|(_, role)| role));
    let code = answer.json["code"].as_str().unwrap_or_default();
    let refused = matches!(code, "unauthenticated" | "role_required");
    assert_eq!(!refused, row.admits(known.as_ref(), subject), "{cell}: {} {code}", answer.status);
    if refused {
        assert_eq!(answer.status.as_u16(), if known.is_some() { 403 } else { 401 }, "{cell}");
    }
    assert!(!answer.status.is_server_error(), "{cell}: {}", answer.status);
}

#[tokio::test]
async fn every_cell_of_the_matrix_is_enforced() {
    let users = Users::new().await;
    crate::exports::serve_every_part(&users).await;
    let other = users.reader("other@example.org").await;
    let mut people = Vec::new();
    for role in ROLES {
        people.push((users.with_role(&format!("{role}@example.net"), role).await, role));
    }
    let matrix = matrix();
    for row in matrix.rows().iter().filter(|row| row.method != Method::DELETE) {
        try_cell(&users, row, None, &other).await;
        for (person, role) in &people {
            try_cell(&users, row, Some((person, role)), person).await;
            try_cell(&users, row, Some((person, role)), &other).await;
        }
    }
    for row in matrix.rows().iter().filter(|row| row.method == Method::DELETE) {
        try_cell(&users, row, None, &other).await;
        for (person, role) in &people {
            try_cell(&users, row, Some((person, role)), &other).await;
        }
        for (person, role) in &people {
            try_cell(&users, row, Some((person, role)), person).await;
        }
    }
}

#[tokio::test]
async fn a_foreign_account_and_an_unknown_one_are_refused_with_the_same_words() {
    let users = Users::new().await;
    let (ann, bob) = (users.reader("ann@example.org").await, users.reader("bob@example.org").await);
    let refused = async |id: &str| {
        let mut answer = users.ask("DELETE", &format!("/{id}")).by(&ann).send().await.is(403);
        answer.json["request_id"].take();
        answer.json["instance"].take();
        answer.json
    };
    assert_eq!(refused(&bob.id).await, refused("01901640-0000-7000-8000-000000000000").await);
}

#[tokio::test]
async fn the_openapi_document_has_not_changed() {
    let users = Users::new().await;
    insta::with_settings!({ snapshot_path => "../golden", prepend_module_to_snapshot => false }, {
        insta::assert_json_snapshot!("openapi", users.service.doc);
    });
}

#[tokio::test]
async fn routes_and_document_agree() {
    let users = Users::new().await;
    let document = serde_json::to_value(&users.service.doc).expect("JSON");
    for row in matrix().rows() {
        let method = row.method.as_str().to_lowercase();
        let operation = &document["paths"][&row.path][&method];
        assert!(operation.is_object(), "{method} {}", row.path);
        // A public route has an empty security requirement as an alternative.
        let secured =
            operation["security"].as_array().is_some_and(|ways| !ways.contains(&serde_json::json!({})));
        assert_eq!(secured, !row.admits(None, None), "{method} {}", row.path);
    }
    assert!(!document.to_string().contains("argon"));
}
