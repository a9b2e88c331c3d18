//! The documents of the portal, which are the same in both shapes, and the pages to which the `type` of every
//! refusal leads.

use portal::documents::{Document, POLICY_OF_DOCS, POLICY_OF_PAGES};
use serde_json::json;
use testkit::Response;

use system_tests::{Shape, World, register, scenarios};

scenarios! {
    on both shapes:
        every_document_is_served_as_the_code_generates_it,
        the_type_of_a_refusal_leads_to_a_page_that_explains_it;
}

async fn documents() -> Vec<Document> {
    let api = Box::pin(portal::openapi::document()).await.expect("the document of the API");
    portal::documents::all(&api, portal::documents::ASYNCAPI).expect("all documents")
}

async fn every_document_is_served_as_the_code_generates_it(shape: Shape) {
    let world = World::new(shape).await;
    let client = world.client();
    for document in documents().await {
        let path = document.path.as_str();
        let answer = client.get(path).send().await.expect_status(200);
        assert!(answer.body == document.uncompressed().expect("its bytes"), "{path} is another text");
        let policy = if path.starts_with("/docs/") { POLICY_OF_DOCS } else { POLICY_OF_PAGES };
        for (name, value) in [
            ("content-type", document.kind),
            ("content-security-policy", policy),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("access-control-allow-origin", "*"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}: {name}");
        }
        let kept = if document.is_compressed {
            "public, max-age=3600"
        } else {
            "public, max-age=5, stale-while-revalidate=30, stale-if-error=3600"
        };
        assert_eq!(answer.header("cache-control"), Some(kept), "{path}");
        let etag = answer.header("etag").expect("a tag");
        client.get(path).header("if-none-match", etag).send().await.expect_status(304);
        let options =
            client.request("OPTIONS".parse().expect("a method"), path).send().await.expect_status(204);
        assert_eq!(options.header("allow"), Some("GET,HEAD"), "{path}");
        let refused = client.post(path).send().await.expect_problem(405, "method_not_allowed");
        assert_eq!(refused.header("allow"), Some("GET,HEAD"), "{path}");
    }
    for (path, to) in [("/docs", "/docs/"), ("/problems", "/problems/")] {
        assert_eq!(client.get(path).send().await.expect_status(308).header("location"), Some(to));
    }
    // The bare address redirects to this page until the portal has a site.
    for (method, status) in [("GET", 303), ("HEAD", 303), ("OPTIONS", 204), ("POST", 405), ("DELETE", 405)] {
        let call = client.request(method.parse().expect("a method"), "/");
        let answer = call.send().await.expect_status(status);
        let (to, allow) = (answer.header("location"), answer.header("allow"));
        let expected = if status == 303 { (Some("/docs/"), None) } else { (None, Some("GET,HEAD")) };
        assert_eq!((to, allow), expected, "{method}: {answer}");
    }
    client.post("/?x=1").send().await.expect_problem(405, "method_not_allowed");
    client.get("/problems/no_such_code").send().await.expect_problem(404, "not_found");
}

/// Provokes refusals of many kinds: from the gateway, the edge, the guard, the extractors, the rules and the
/// stores.
async fn refusals(world: &World) -> Vec<Response> {
    let client = world.client();
    let (admin, reader) = (world.admin().await, world.reader("vera").await);
    let id = world.published("sports", "A final", &["tennis"], &admin).await;
    let article = format!("/news/v1/sports/{id}");
    let wrong = json!({"email": reader.email, "password": "not the password"});
    let publish = format!("{article}/publish");
    let calls = [
        client.get("/nowhere"),
        client.get("/news/v1/weather/1/10"),
        client.get("/news/v1/all/x/10"),
        client.get("/news/v1/all/1/1000"),
        client.get("/news/v1/all?cursor=nonsense"),
        client.get("/users/v1/all"),
        client.get("/users/v1/all").token("nonsense"),
        client.get("/users/v1/all").token(&reader.token),
        client.request("PATCH".parse().expect("a method"), "/news/v1/home"),
        client.post("/users/v1/").body("{").header("content-type", "application/json"),
        client.post("/users/v1/").body("{}").header("content-type", "text/plain"),
        client.post("/users/v1/").json(&json!({"name": ""})),
        client.post("/users/v1/").body(vec![b'x'; (1 << 20) + 1]).header("content-type", "application/json"),
        client.post("/users/v1/sessions").json(&wrong),
        client.post("/users/v1/sessions/refresh"),
        client.delete(&article).token(&admin.token),
        client.delete(&article).token(&admin.token).header("if-match", "\"v1\""),
        client.post(&publish).token(&admin.token).header("if-match", "\"v2\""),
    ];
    let mut all = vec![register(client, "another", &reader.email).await];
    for call in calls {
        all.push(call.send().await);
    }
    all
}

async fn the_type_of_a_refusal_leads_to_a_page_that_explains_it(shape: Shape) {
    let world = World::new(shape).await;
    let mut codes = std::collections::BTreeSet::new();
    for answer in refusals(&world).await {
        assert!(answer.status >= 400, "{answer}");
        let kind = answer.json()["type"].as_str().expect("a type").to_owned();
        let page = world.client().get(&kind).send().await.expect_status(200);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        let (text, code) = (page.text(), answer.code());
        assert!(text.contains(&format!("<h1><code>{code}</code></h1>")), "{kind}: {text}");
        assert!(text.contains(&answer.status.to_string()), "{kind} does not say {}", answer.status);
        codes.insert(code);
    }
    assert!(codes.len() >= 15, "{codes:?}");
}
