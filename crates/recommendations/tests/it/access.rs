//! Every cell of the matrix of roles and routes, requested.

use chassis::http::Matrix;
use kernel::Role;

use crate::service::{TestService, user};

/// The callers: role, and true if the path names the caller's own account. `None` is an anonymous caller.
const CALLERS: [Option<(Role, bool)>; 9] = [
    None,
    Some((Role::Reader, true)),
    Some((Role::Reader, false)),
    Some((Role::Author, true)),
    Some((Role::Author, false)),
    Some((Role::Editor, true)),
    Some((Role::Editor, false)),
    Some((Role::Admin, true)),
    Some((Role::Admin, false)),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_the_matrix_is_enforced() {
    let service = TestService::new().await;
    let matrix = Matrix::parse(recommendations::ACCESS).expect("a matrix");
    let mut cells = Vec::new();
    for row in matrix.rows() {
        for caller in CALLERS {
            let (account, about) =
                (user(1), if caller.is_some_and(|(_, own)| own) { user(1) } else { user(2) });
            let path = row.path.replace("{user_id}", &about.to_string()).replace("{label}", "budget");
            let token = caller.map(|(role, _)| service.token(account, role));
            let answer = service.request(row.method.clone(), &path, token.as_deref()).await;
            let name = caller.map_or("anonymous".to_owned(), |(role, own)| {
                format!("{role}, {}", if own { "own" } else { "another's" })
            });
            let code = answer.body["code"].as_str().unwrap_or("ok").to_owned();
            cells.push(format!("{} {} · {name} · {} {code}", row.method, row.path, answer.status.as_u16()));
        }
    }
    // The table is written by hand, so that a mistake in access.toml is seen.
    let expected = [
        "GET /label/{label} · anonymous · 401 unauthenticated",
        "GET /label/{label} · reader, own · 403 role_required",
        "GET /label/{label} · reader, another's · 403 role_required",
        "GET /label/{label} · author, own · 403 role_required",
        "GET /label/{label} · author, another's · 403 role_required",
        "GET /label/{label} · editor, own · 403 role_required",
        "GET /label/{label} · editor, another's · 403 role_required",
        "GET /label/{label} · admin, own · 200 ok",
        "GET /label/{label} · admin, another's · 200 ok",
        "GET /user/{user_id} · anonymous · 401 unauthenticated",
        "GET /user/{user_id} · reader, own · 200 ok",
        "GET /user/{user_id} · reader, another's · 403 role_required",
        "GET /user/{user_id} · author, own · 200 ok",
        "GET /user/{user_id} · author, another's · 403 role_required",
        "GET /user/{user_id} · editor, own · 200 ok",
        "GET /user/{user_id} · editor, another's · 403 role_required",
        "GET /user/{user_id} · admin, own · 200 ok",
        "GET /user/{user_id} · admin, another's · 200 ok",
    ];
    assert_eq!(cells, expected);
}
