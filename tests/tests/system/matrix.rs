//! Every cell of the matrix of roles and routes, requested through the gateway.

use serde_json::json;
use testkit::Response;

use system_tests::access::{Row, every_row};
use system_tests::{Account, Shape, World, scenarios};

scenarios! {
    on both shapes:
        every_role_has_exactly_the_routes_of_the_matrix,
        a_token_that_is_not_valid_is_refused_by_every_route_that_is_not_lenient;
}

const SOME_ID: &str = "0190b2c4-0000-7000-8000-000000000000";

fn may(row: &Row, role: &str, own: bool) -> bool {
    const ROLES: [&str; 5] = ["anonymous", "reader", "author", "editor", "admin"];
    let rank = |role: &str| ROLES.iter().position(|known| *known == role);
    row.grants.iter().any(|grant| match grant.as_str() {
        "anyone" => true,
        "own" => own && role != "anonymous",
        least => rank(role) >= Some(rank(least).expect("a role")),
    })
}

async fn ask(world: &World, row: &Row, subject: &str, caller: Option<&Account>) -> Response {
    let method = row.method.parse().expect("a method");
    let call = world.client().request(method, &row.filled(subject));
    let call = caller.iter().fold(call, |call, account| call.token(&account.token));
    // No route accepts this body. So a request that the guard admits is refused by the handler and changes
    // nothing.
    if row.method == "GET" || row.method == "DELETE" { call } else { call.json(&json!({"no_such_field": 1})) }
        .send()
        .await
}

/// Returns true if the route ends an account or a session. A token without a session has no roles any more.
fn is_of_accounts(row: &Row) -> bool {
    row.path.starts_with("/users/v1/")
}

async fn every_role_has_exactly_the_routes_of_the_matrix(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let mut accounts = vec![("anonymous", None)];
    for role in ["reader", "author", "editor"] {
        accounts.push((role, Some(world.staff(role, role, &admin).await)));
    }
    accounts.push(("admin", Some(admin.clone())));
    let mut cells = 0;
    for (number, row) in every_row().into_iter().enumerate() {
        for (role, account) in &accounts {
            // A caller that deletes their own account or sessions is logged out afterwards, so each such cell
            // has its own account.
            let account = match account {
                Some(_) if row.method == "DELETE" && is_of_accounts(&row) => {
                    Some(world.staff(&format!("{role}-{number}"), role, &admin).await)
                }
                account => account.clone(),
            };
            let own_id = account.as_ref().map(|account| account.id.as_str());
            for subject in [SOME_ID].into_iter().chain(own_id) {
                let own = own_id == Some(subject);
                let answer = ask(&world, &row, subject, account.as_ref()).await;
                let denied = matches!(answer.code().as_str(), "unauthenticated" | "role_required");
                assert_eq!(!denied, may(&row, role, own), "{role} (own: {own}): {answer}");
                let status = if account.is_none() { 401 } else { 403 };
                assert!(!denied || answer.status == status, "{role}: {answer}");
                assert!(answer.status < 500, "{role}: {answer}");
                cells += 1;
            }
        }
    }
    assert!(cells > 100, "only {cells} cells: the matrix was not read");
}

async fn a_token_that_is_not_valid_is_refused_by_every_route_that_is_not_lenient(shape: Shape) {
    let world = World::new(shape).await;
    let broken = format!("{}x", world.admin().await.token);
    let (mut refused, mut passed) = (0, 0);
    for row in every_row() {
        let send = |authorization: Option<String>| {
            let call = world.client().request(row.method.parse().expect("a method"), &row.filled(SOME_ID));
            let call = authorization.iter().fold(call, |call, text| call.header("authorization", text));
            let is_read = row.method == "GET" || row.method == "DELETE";
            if is_read { call } else { call.json(&json!({"no_such_field": 1})) }.send()
        };
        let answer = send(Some(format!("Bearer {broken}"))).await;
        assert_eq!(answer.code() == "invalid_token", !row.lenient, "{} {}: {answer}", row.method, row.path);
        if row.lenient {
            passed += 1;
        } else {
            let challenge = answer.expect_status(401).header("www-authenticate").map(str::to_owned);
            assert_eq!(
                challenge.as_deref(),
                Some("Bearer error=\"invalid_token\""),
                "{} {}",
                row.method,
                row.path
            );
            refused += 1;
        }
        // Another scheme counts as no token.
        let (basic, nobody) = (send(Some("Basic dXNlcjpwYXNz".to_owned())).await, send(None).await);
        assert_eq!(
            (basic.status, basic.code()),
            (nobody.status, nobody.code()),
            "{} {}",
            row.method,
            row.path
        );
    }
    assert!(refused > 25 && passed == 5, "{refused} and {passed}: the matrix was not read");
}
