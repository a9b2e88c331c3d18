//! Pages of other origins (the Fetch standard, "CORS protocol"): all pages may read, the configured ones may
//! write, and cookies are never sent.

use serde_json::json;
use testkit::{Request, Response};

use system_tests::{Shape, World, scenarios};

scenarios! {
    on both shapes:
        a_page_of_any_origin_may_read_responses_and_the_headers_that_it_needs,
        only_a_page_of_an_allowed_origin_may_write,
        a_shared_cache_keeps_the_same_response_for_every_origin;
}

const EDITORS: &str = "https://editors.example.org";
const EVIL: &str = "https://evil.example";
/// A public address that needs no other service, so it is fast even on a busy machine.
const KEYS: &str = "/users/v1/.well-known/jwks.json";

async fn world(shape: Shape) -> World {
    World::with(shape, &[("PROCESS__EDGE__WRITING_ORIGINS", "[\"https://editors.example.org\"]")]).await
}

fn from(origin: &str, call: Request) -> Request {
    call.header("origin", origin)
}

/// Returns the origin that may read the response. Credentials are never allowed, with or without a wildcard.
fn open_to(answer: &Response) -> Option<&str> {
    assert!(answer.header("access-control-allow-credentials").is_none(), "{answer}");
    let all: Vec<_> = answer.headers.get_all("access-control-allow-origin").iter().collect();
    assert!(all.len() <= 1, "a browser takes one and no more: {all:?}");
    answer.header("access-control-allow-origin")
}

fn varies_by_origin(answer: &Response) -> bool {
    let lines = answer.headers.get_all("vary").iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|name| name.trim().eq_ignore_ascii_case("origin"))
}

fn names(answer: &Response, header: &str) -> Vec<String> {
    let text = answer.header(header).unwrap_or_else(|| panic!("{answer} has no {header}"));
    text.split(',').map(|name| name.trim().to_ascii_lowercase()).collect()
}

async fn preflight(world: &World, origin: &str, method: &str, path: &str) -> Response {
    let call = world.client().request("OPTIONS".parse().expect("a method"), path);
    let call = from(origin, call).header("access-control-request-method", method);
    let call = call.header("access-control-request-headers", "authorization, content-type, if-match");
    call.send().await.expect_status(204)
}

async fn a_page_of_any_origin_may_read_responses_and_the_headers_that_it_needs(shape: Shape) {
    let world = world(shape).await;
    let client = world.client();
    let admin = world.admin().await;
    for (call, status) in [
        (client.get(KEYS), 200),
        (client.get("/users/v1/me").token(&admin.token), 200),
        (client.get("/users/v1/me"), 401),
        (client.get("/news/v1/weather/1/10"), 404),
        (client.get("/nowhere"), 404),
        (client.get("/openapi.json"), 200),
        (client.get("/problems/not_found"), 200),
        (client.request("HEAD".parse().expect("a method"), KEYS), 200),
    ] {
        let answer = from("https://any.example", call).send().await.expect_status(status);
        assert_eq!(open_to(&answer), Some("*"), "{answer}");
        assert!(!varies_by_origin(&answer), "one answer for all: {:?}", answer.headers);
        let seen = names(&answer, "access-control-expose-headers");
        for name in
            ["etag", "link", "location", "ratelimit", "ratelimit-policy", "retry-after", "x-request-id"]
        {
            assert!(seen.iter().any(|seen| seen == name), "{answer} hides {name}");
        }
    }
    let response = preflight(&world, "https://any.example", "GET", "/users/v1/me").await;
    assert_eq!(open_to(&response), Some("*"));
    let sent = names(&response, "access-control-allow-headers");
    for name in ["authorization", "content-type", "if-match", "if-none-match", "idempotency-key"] {
        assert!(sent.iter().any(|sent| sent == name), "{sent:?} lacks {name}");
    }
    assert!(response.header("access-control-max-age").is_some());
}

async fn only_a_page_of_an_allowed_origin_may_write(shape: Shape) {
    let world = world(shape).await;
    let admin = world.admin().await;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let path = "/news/v1/sports/0190b2c4-0000-7000-8000-000000000000";
        let response = preflight(&world, EDITORS, method, path).await;
        assert_eq!(open_to(&response), Some(EDITORS));
        assert!(varies_by_origin(&response), "{:?}", response.headers);
        let methods = names(&response, "access-control-allow-methods");
        assert!(methods.contains(&method.to_ascii_lowercase()), "{methods:?}");
        // A foreign page, pages whose names begin or end like the allowed one, and a page without an origin.
        for origin in [EVIL, "https://editors.example.org.evil.example", "http://editors.example.org", "null"]
        {
            assert_eq!(open_to(&preflight(&world, origin, method, path).await), None, "{origin}");
        }
    }
    let story = json!({"title": "A final", "content": "What happened, and why."});
    let write = || world.client().post("/news/v1/sports").token(&admin.token).json(&story);
    let written = from(EDITORS, write()).send().await.expect_status(201);
    assert_eq!(open_to(&written), Some(EDITORS));
    assert!(names(&written, "access-control-expose-headers").contains(&"location".to_owned()));
    // The same pages may read a refusal.
    let refused = from(EDITORS, world.client().post("/news/v1/sports").json(&story)).send().await;
    assert_eq!(open_to(&refused.expect_problem(401, "unauthenticated")), Some(EDITORS));
    // A browser would have sent a preflight and then not this request. If it comes anyway, the page can't
    // read the answer.
    assert_eq!(open_to(&from(EVIL, write()).send().await), None);
    assert_eq!(open_to(&write().send().await.expect_status(201)), None);
}

async fn a_shared_cache_keeps_the_same_response_for_every_origin(shape: Shape) {
    let world = World::as_documented(shape).await;
    let mut tags = Vec::new();
    for origin in [Some(EVIL), None, Some(EDITORS)] {
        let call = world.client().get(KEYS);
        let call = origin.iter().fold(call, |call, origin| from(origin, call));
        let answer = call.send().await.expect_status(200);
        assert_eq!(open_to(&answer), Some("*"), "{origin:?}");
        assert!(!varies_by_origin(&answer), "{:?}", answer.headers);
        tags.push(answer.header("etag").map(str::to_owned));
    }
    assert!(tags.iter().all(|tag| tag.is_some() && *tag == tags[0]), "{tags:?}");
}
