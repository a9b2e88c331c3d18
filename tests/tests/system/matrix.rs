//! Every cell of the matrix of roles and routes, requested through the gateway.

use serde_json::json;
use testkit::Answer;

use system_tests::{Account, Shape, World, scenarios};

scenarios! {
    on both shapes:
        every_cell_of_role_and_route_is_as_the_matrix_says;
}

const SOME_ID: &str = "0190b2c4-0000-7000-8000-000000000000";

struct Service {
    base: &'static str,
    access: &'static str,
}

const SERVICES: [Service; 3] = [
    Service { base: "/users/v1", access: include_str!("../../../crates/users/access.toml") },
    Service { base: "/news/v1", access: include_str!("../../../crates/orchestrator/access.toml") },
    Service {
        base: "/recommendation/v1",
        access: include_str!("../../../crates/recommendations/access.toml"),
    },
];

/// A row, read by the test's own eyes: `"GET /x" = ["anyone"]`.
struct Row {
    method: String,
    path: String,
    grants: Vec<String>,
}

fn rows(access: &str) -> Vec<Row> {
    let quoted =
        |text: &str| -> Vec<String> { text.split('"').skip(1).step_by(2).map(str::to_owned).collect() };
    let lines = access.lines().map(str::trim).filter(|line| line.starts_with('"'));
    lines
        .map(|line| {
            let words = quoted(line);
            let (method, path) = words[0].split_once(' ').expect("a method and a path");
            Row { method: method.to_owned(), path: path.to_owned(), grants: words[1..].to_vec() }
        })
        .collect()
}

fn may(row: &Row, role: &str, own: bool) -> bool {
    const ROLES: [&str; 5] = ["anonymous", "reader", "author", "editor", "admin"];
    let rank = |role: &str| ROLES.iter().position(|known| *known == role);
    row.grants.iter().any(|grant| match grant.as_str() {
        "anyone" => true,
        "own" => own && role != "anonymous",
        least => rank(role) >= Some(rank(least).expect("a role")),
    })
}

fn filled(path: &str, subject: &str) -> String {
    path.replace("{id}", subject)
        .replace("{user_id}", subject)
        .replace("{type}", "sports")
        .replace("{label}", "tennis")
        .replace("{page}", "1")
        .replace("{limit}", "1")
        .replace("{version}", "1")
}

async fn ask(world: &World, service: &Service, row: &Row, subject: &str, caller: Option<&Account>) -> Answer {
    let method = row.method.parse().expect("a method");
    let call = world.client().request(method, &format!("{}{}", service.base, filled(&row.path, subject)));
    let call = caller.iter().fold(call, |call, account| call.token(&account.token));
    // A body that no route takes: what is let through is refused behind the guard, and changes nothing.
    if row.method == "GET" || row.method == "DELETE" { call } else { call.json(&json!({"no_such_field": 1})) }
        .send()
        .await
}

async fn every_cell_of_role_and_route_is_as_the_matrix_says(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let mut accounts = vec![("anonymous", None)];
    for role in ["reader", "author", "editor"] {
        accounts.push((role, Some(world.staff(role, role, &admin).await)));
    }
    accounts.push(("admin", Some(admin.clone())));
    let mut cells = 0;
    for service in &SERVICES {
        for row in rows(service.access) {
            for (role, account) in &accounts {
                // Deleting one's own account for real is the scenario's affair.
                let subjects: &[&str] = match account {
                    Some(account) if row.method != "DELETE" => &[SOME_ID, &account.id],
                    _ => &[SOME_ID],
                };
                for subject in subjects {
                    let own = account.as_ref().is_some_and(|account| account.id == *subject);
                    let answer = ask(&world, service, &row, subject, account.as_ref()).await;
                    let denied = matches!(answer.code().as_str(), "unauthenticated" | "role_required");
                    assert_eq!(!denied, may(&row, role, own), "{role} (own: {own}): {answer}");
                    let status = if account.is_none() { 401 } else { 403 };
                    assert!(!denied || answer.status == status, "{role}: {answer}");
                    assert!(answer.status < 500, "{role}: {answer}");
                    cells += 1;
                }
            }
        }
    }
    assert!(cells > 100, "only {cells} cells: the matrix was not read");
}
