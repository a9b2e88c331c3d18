//! HEAD, OPTIONS and methods that an address does not have. The expected methods come from the OpenAPI
//! document, so the test shows from outside that routes and document agree.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testkit::{Request, Response};

use system_tests::{Account, Shape, World, scenarios};

scenarios! {
    on both shapes:
        every_address_of_the_document_has_exactly_the_documented_methods,
        head_returns_the_same_as_get_without_a_body,
        an_address_that_does_not_exist_has_no_methods;
}

/// Every method that an address of the portal may have.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/// Headers that differ between two requests, or between two moments of a cache. A HEAD has all other headers
/// of its GET.
const OF_ONE_REQUEST: [&str; 8] =
    ["age", "cache-status", "connection", "date", "ratelimit", "set-cookie", "traceparent", "x-request-id"];

/// Returns the paths of the document, each with its methods.
async fn described(world: &World) -> BTreeMap<String, BTreeSet<String>> {
    let document = world.client().get("/openapi.json").send().await.expect_status(200).json();
    let methods = |item: &Value| -> BTreeSet<String> {
        let names = item.as_object().expect("a path has operations").keys().map(|name| name.to_uppercase());
        names.filter(|name| METHODS.contains(&name.as_str())).collect()
    };
    let paths = document["paths"].as_object().expect("paths");
    paths.iter().map(|(path, item)| (path.clone(), methods(item))).collect()
}

fn filled(path: &str, user: &Account, article: &str) -> String {
    let id = if path.starts_with("/news/") { article } else { &user.id };
    let pairs = [
        ("{id}", id),
        ("{user_id}", &user.id),
        ("{author_id}", &user.id),
        ("{session_id}", "0190b2c4-0000-7000-8000-000000000000"),
        ("{type}", "sports"),
        ("{label}", "tennis"),
        ("{page}", "1"),
        ("{limit}", "10"),
        ("{version}", "2"),
    ];
    let path = pairs.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value));
    assert!(!path.contains('{'), "{path} has a part that this test does not know");
    // These two versions exist.
    if path.ends_with("/diff") { path + "?from=1&to=2" } else { path }
}

fn allowed(answer: &Response) -> BTreeSet<String> {
    let allow = answer.header("allow").unwrap_or_else(|| panic!("{answer} has no Allow"));
    allow.split(',').map(|method| method.trim().to_owned()).collect()
}

fn request(world: &World, method: &str, path: &str) -> Request {
    world.client().request(method.parse().expect("a method"), path)
}

async fn every_address_of_the_document_has_exactly_the_documented_methods(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let described = described(&world).await;
    let mut seen = 0;
    for (path, methods) in &described {
        let address = filled(path, &admin, "0190b2c4-0000-7000-8000-000000000000");
        let mut expected = methods.clone();
        if methods.contains("GET") {
            expected.insert("HEAD".to_owned());
        }
        // A client needs no token to request the methods.
        let options = request(&world, "OPTIONS", &address).send().await.expect_status(204);
        assert_eq!(allowed(&options), expected, "{path}");
        assert!(options.body.is_empty(), "{options}");
        for method in METHODS.iter().filter(|method| !methods.contains(**method)) {
            let answer = request(&world, method, &address).token(&admin.token).send().await;
            assert_eq!(
                allowed(&answer.expect_problem(405, "method_not_allowed")),
                expected,
                "{method} {path}"
            );
        }
        seen += methods.len();
    }
    assert!(seen >= 39, "only {seen} operations: the document was hardly read");
}

async fn head_returns_the_same_as_get_without_a_body(shape: Shape) {
    // No other portal runs meanwhile: otherwise a section could miss its deadline in one of the two answers.
    let world = World::alone(shape).await;
    let admin = world.admin().await;
    let article = world.published("sports", "A final", &["tennis"], &admin).await;
    let path = format!("/news/v1/sports/{article}?min_version=2");
    world.client().get(&path).send().await.expect_status(200);
    let readable = described(&world).await.into_iter().filter(|(_, methods)| methods.contains("GET"));
    let mut answered = 0;
    for (path, _) in readable.collect::<Vec<_>>() {
        let address = filled(&path, &admin, &article);
        for token in [None, Some(admin.token.as_str())] {
            // Without compression, so that the lengths can be compared too.
            let ask = |method| {
                let call = request(&world, method, &address).header("accept-encoding", "identity");
                token.iter().fold(call, |call, token| call.token(token))
            };
            let (get, head) = (ask("GET").send().await, ask("HEAD").send().await);
            assert_eq!(get.status, head.status, "{path}: {get} and {head}");
            assert!(head.body.is_empty(), "{head}");
            let names = |answer: &Response| -> BTreeSet<String> {
                let names = answer.headers.keys().map(|name| name.as_str().to_owned());
                // A response to HEAD may name the encoding that the body would have (RFC 9112, section 6.1).
                let names = names.filter(|name| name != "transfer-encoding");
                names.filter(|name| !OF_ONE_REQUEST.contains(&name.as_str())).collect()
            };
            assert_eq!(names(&get), names(&head), "{path}");
            for name in names(&get) {
                // Two answers may differ in length: a problem contains the id of its request, and an export
                // the entries of the audit about the exports before it.
                let has_one_length = get.status == 200 && !path.ends_with("/export");
                if name != "content-length" || has_one_length {
                    assert_eq!(get.header(&name), head.header(&name), "{path}: {name}");
                }
            }
            answered += usize::from(get.status == 200);
        }
    }
    assert!(answered >= 20, "only {answered} answers of 200");
}

async fn an_address_that_does_not_exist_has_no_methods(shape: Shape) {
    let world = World::new(shape).await;
    for path in ["/nowhere", "/users/v1/x/y/z", "/news/v1/sports/1/2/3"] {
        for method in ["OPTIONS", "HEAD", "GET", "POST", "DELETE"] {
            let answer = request(&world, method, path).send().await.expect_status(404);
            assert!(answer.header("allow").is_none(), "{answer}");
        }
    }
}
