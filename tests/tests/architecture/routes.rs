//! Documents and routes agree. A service's routes are those of its `chassis::http::Api`, which takes each
//! with its row of the matrix and its description; here it is seen that none goes another way, and that what
//! nginx shows is all of it.

use std::collections::BTreeSet;

use serde_json::Value;
use system_tests::access::{PUBLIC_SERVICES, every_row};

use crate::none;
use crate::workspace::{Source, root, sources};

/// Calls that would add a route beside the `Api`, which uses `.routes(`.
const WAYS_ROUND: [&str; 7] = [
    ".route(",
    ".nest(",
    ".nest_service(",
    ".route_service(",
    ".fallback(",
    ".fallback_service(",
    "on_service(",
];

fn beside_the_api(sources: &[Source]) -> Vec<String> {
    let of_a_service = |source: &&Source| {
        PUBLIC_SERVICES.iter().any(|(service, _)| source.path.starts_with(&format!("crates/{service}/src/")))
    };
    let mut found = Vec::new();
    for source in sources.iter().filter(of_a_service) {
        let code = source.text.lines().take_while(|line| line.trim() != "#[cfg(test)]").enumerate();
        for (index, line) in code.filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let ways = WAYS_ROUND.iter().filter(|way| line.contains(**way));
            found.extend(ways.map(|way| format!("{}:{}: {way}", source.path, index + 1)));
        }
    }
    found
}

/// The document that nginx serves. Another test compares it with the code.
fn document() -> Value {
    let path = root().join("nginx/html/openapi.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the document is there")).expect("it is JSON")
}

/// Every operation of the document, as `GET /users/v1/all`.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let paths = document["paths"].as_object().expect("paths").iter();
    paths
        .flat_map(|(path, item)| {
            let item = item.as_object().expect("a path has operations");
            let of = item.iter().filter(|(method, _)| METHODS.contains(&method.as_str()));
            of.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
        })
        .collect()
}

#[test]
fn no_service_has_a_route_beside_those_that_are_described_and_guarded() {
    none(beside_the_api(&sources()));
}

#[test]
fn a_route_that_goes_another_way_is_found() {
    let text = "// .route(\nlet router = Router::new().route(\"/x\", get(x));".to_owned();
    let source = Source { path: "crates/users/src/http/mod.rs".to_owned(), text };
    assert_eq!(beside_the_api(&[source]), ["crates/users/src/http/mod.rs:2: .route("]);
}

#[test]
fn every_row_of_every_matrix_is_an_operation_of_the_document_and_the_other_way_round() {
    let document = document();
    let described: BTreeSet<_> = operations(&document).into_iter().map(|(route, _)| route).collect();
    let granted: BTreeSet<_> = every_row().iter().map(|row| format!("{} {}", row.method, row.path)).collect();
    assert_eq!(described, granted);
    assert!(described.len() >= 39, "the document was hardly read");
}

#[test]
fn every_operation_says_how_it_refuses_and_who_may_call_it() {
    let (document, rows) = (document(), every_row());
    let mut broken = Vec::new();
    for (route, operation) in operations(&document) {
        let row = rows.iter().find(|row| format!("{} {}", row.method, row.path) == route);
        let row = row.expect("the test above");
        let open = row.grants.iter().any(|grant| grant == "anyone");
        // A query that can't be decoded, and a name in it that the route does not know.
        let mut statuses = vec!["400", "401", "422", "default"];
        if !open {
            statuses.push("403");
        }
        if row.costly || row.costly_with_content {
            statuses.push("429");
        }
        if operation["requestBody"].is_object() {
            statuses.extend(["413", "415"]);
        }
        for status in statuses {
            let schema = &operation["responses"][status]["content"]["application/problem+json"]["schema"];
            if schema["$ref"] != "#/components/schemas/ProblemBody" {
                broken.push(format!("{route} does not say {status}"));
            }
        }
        let requirements = operation["security"].as_array().cloned().unwrap_or_default();
        let (token, nothing) = (
            requirements.iter().any(|it| it["bearer"].is_array()),
            requirements.iter().any(|it| it.as_object().is_some_and(serde_json::Map::is_empty)),
        );
        if !token || nothing != open {
            broken.push(format!("{route} says {requirements:?} and is granted to {:?}", row.grants));
        }
        if operation["operationId"].as_str().is_none_or(str::is_empty) || operation["tags"][0].is_null() {
            broken.push(format!("{route} has no name or no place in the page"));
        }
    }
    none(broken);
}
