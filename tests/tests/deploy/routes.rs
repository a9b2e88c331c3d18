//! The table of routes: the service of each address, and the path that the service gets.

use testkit::Client;

use crate::gateway::{Gateway, Settings, documented, problem, status, templates};
use crate::text;
use crate::upstream::Upstream;

/// A gateway with a service behind each prefix.
async fn portal() -> (Gateway, Upstream, Upstream, Upstream) {
    let (users, news, recommendations) =
        (Upstream::plain().await, Upstream::plain().await, Upstream::plain().await);
    let settings = Settings::new()
        .with("GATEWAY_USERS", &users.server(""))
        .with("GATEWAY_NEWS", &news.server(""))
        .with("GATEWAY_RECOMMENDATIONS", &recommendations.server(""));
    (Gateway::start(settings).await, users, news, recommendations)
}

async fn path_seen(client: &Client, path: &str, upstream: &Upstream) -> String {
    client.get(path).send().await.expect_status(200);
    upstream.last().path
}

#[test]
fn every_variable_of_the_templates_is_documented_and_every_documented_one_is_used() {
    let documented = documented();
    let mut used = std::collections::BTreeSet::new();
    for (name, text) in templates() {
        for part in text.split("${").skip(1) {
            let variable = part.split('}').next().unwrap_or_default();
            assert!(documented.contains_key(variable), "{name}: nginx/gateway.env does not say {variable}");
            used.insert(variable.to_owned());
        }
    }
    assert_eq!(used, documented.into_keys().collect());
}

#[test]
fn the_gateway_closes_a_silent_connection_before_a_service_does() {
    let loaded = portal::config::load_without_environment(&portal::config::Flags::default());
    let services_close = loaded.expect("the code's own configuration").process.edge.header_budget_ms;
    let upstreams = text("nginx/templates/upstreams.conf.template");
    let lets_go: Vec<u64> = upstreams
        .lines()
        .filter_map(|line| line.trim().strip_prefix("keepalive_timeout")?.trim().strip_suffix("s;"))
        .map(|seconds| seconds.parse::<u64>().expect("whole seconds") * 1000)
        .collect();
    assert_eq!(lets_go.len(), upstreams.matches("upstream ").count(), "one for each: {lets_go:?}");
    assert!(lets_go.iter().all(|ms| ms + 1000 < services_close), "{lets_go:?} and {services_close} ms");
    for shape in ["docker-compose.yml", "xtask/src/fleet/plan.rs"] {
        assert!(!text(shape).contains("HEADER_BUDGET_MS"), "{shape} says another time");
    }
}

#[test]
fn what_one_client_may_ask_by_default_is_what_the_product_says() {
    let documented = documented();
    let said = |name: &str| documented[name].as_str();
    assert_eq!(
        ["GATEWAY_RATE", "GATEWAY_BURST", "GATEWAY_WRITE_RATE", "GATEWAY_COSTLY_RATE"].map(said),
        ["50r/s", "200", "20r/s", "5r/s"]
    );
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn both_forms_of_every_prefix_reach_their_service_which_sees_the_bare_path() {
    let (gateway, users, news, recommendations) = portal().await;
    let client = gateway.client();
    for (base, older, upstream) in [
        ("/users/v1", "/v1/users", &users),
        ("/news/v1", "/v1/news", &news),
        ("/recommendation/v1", "/v1/recommendation", &recommendations),
    ] {
        for prefix in [base, older] {
            assert_eq!(path_seen(client, prefix, upstream).await, "/");
            assert_eq!(path_seen(client, &format!("{prefix}/"), upstream).await, "/");
            let path = "/all/1/10?include=content&a=%2F";
            assert_eq!(path_seen(client, &format!("{prefix}{path}"), upstream).await, path);
            assert_eq!(path_seen(client, &format!("{prefix}?count=3"), upstream).await, "/?count=3");
        }
        client.get(&format!("{base}2/x")).send().await.expect_problem(404, "not_found");
    }
    let counts = [users.count(), news.count(), recommendations.count()];
    assert_eq!(counts, [8, 8, 8], "each service received only its own requests");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn every_response_under_an_older_prefix_names_its_successor() {
    let (gateway, _users, _news, _recommendations) = portal().await;
    let client = gateway.client();
    // Answers of a service, answers from the cache and the gateway's own errors.
    for (path, status) in
        [("/v1/news/all/1/10?a=b", 200), ("/v1/news/all/1/10?a=b", 200), ("/v1/news/livez", 404)]
    {
        let answer = client.get(path).send().await.expect_status(status);
        assert_eq!(answer.header("deprecation"), Some("@1767225600"), "{path}");
        let link = path.replace("/v1/news", "</news/v1") + ">; rel=\"successor-version\"";
        assert_eq!(answer.header("link"), Some(link.as_str()));
    }
    let answer = client.get("/news/v1/all/1/10").send().await.expect_status(200);
    assert_eq!((answer.header("deprecation"), answer.header("link")), (None, None));
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn the_link_header_of_a_service_is_kept_beside_that_of_the_gateway() {
    let news = Upstream::start(|_| async {
        let mut answer = crate::upstream::answer(200, "", "[]");
        answer.headers_mut().insert("link", "</news/v1/all/2/10>; rel=\"next\"".parse().expect("a header"));
        answer
    });
    let news = news.await;
    let gateway = Gateway::start(Settings::new().with("GATEWAY_NEWS", &news.server(""))).await;
    let answer = gateway.client().get("/v1/news/all/1/10").send().await.expect_status(200);
    let links: Vec<_> = answer.headers.get_all("link").iter().collect();
    assert_eq!(
        links,
        ["</news/v1/all/2/10>; rel=\"next\"", "</news/v1/all/1/10>; rel=\"successor-version\""]
    );
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn what_is_for_operators_is_not_there_in_any_spelling() {
    let (gateway, users, ..) = portal().await;
    for path in [
        "/users/v1/livez",
        "/users/v1/readyz",
        "/users/v1/metrics",
        "/users/v1/metrics/",
        "/users/v1/internal/anything",
        "/users/v1/%6Detrics",
        "/users/v1/METRICS",
        "/users/v1//metrics",
        "/v1/users/readyz?x=1",
        "/metrics",
        "/livez",
        "/readyz",
        "/status",
        "/nginx_status",
        "/-/public",
        "/-/text",
        "/-/write",
        "/-/problem",
    ] {
        let answer = gateway.raw_get(path).await;
        assert_eq!((status(&answer), problem(&answer)["code"].as_str()), (404, Some("not_found")), "{path}");
    }
    assert_eq!(users.count(), 0);
    // Similar words belong to the service.
    gateway.client().get("/users/v1/metricsandmore").send().await.expect_status(200);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn an_encoded_slash_stays_encoded_and_dot_segments_are_refused() {
    let (gateway, users, _, recommendations) = portal().await;
    let seen = path_seen(gateway.client(), "/recommendation/v1/label/AC%2FDC", &recommendations).await;
    assert_eq!(seen, "/label/AC%2FDC");
    for path in [
        "/users/v1/../../metrics",
        "/users/v1/..%2f..%2fmetrics",
        "/users/v1/%2e%2e/metrics",
        "/users/v1/x/.%2E",
        "/users/v1/x%5c..%5cmetrics",
        "/users/v1/./x",
        "/users/v1/x\\y",
        "/users/v1/x%00y",
        "/users/v1/x%zz",
        "/users/v1/<x>",
        "/users/v1/x?q=\"",
        "/users/v1/x#y",
        "/users/v1/é",
        "/nowhere/../users/v1/x",
        "/../x",
    ] {
        let answer = gateway.raw_get(path).await;
        assert_eq!(
            (status(&answer), problem(&answer)["code"].as_str()),
            (400, Some("bad_request")),
            "{path}"
        );
    }
    assert_eq!(users.count(), 0);
    // Dots inside a name or a query have no special meaning.
    assert_eq!(path_seen(gateway.client(), "/users/v1/a..b?next=/../x", &users).await, "/a..b?next=/../x");
    // A prefix in another spelling is not a prefix, so that the gateway and the service always read an
    // address in the same way.
    assert_eq!(status(&gateway.raw_get("/%75sers/v1/x").await), 404);
    assert_eq!(status(&gateway.raw_get("/nowhere/%2e%2e/users/v1/x").await), 400);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn an_absolute_address_is_read_as_its_path() {
    let (gateway, users, ..) = portal().await;
    let answer = gateway.raw_get("http://elsewhere.example/users/v1/x?y").await;
    assert_eq!((status(&answer), users.last().path.as_str()), (200, "/x?y"));
    assert_eq!(
        users.last().header("host"),
        Some("users"),
        "a service never sees a name that the client chose"
    );
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn one_document_describes_all_routes() {
    let gateway = Gateway::start(Settings::new()).await;
    let document = gateway.client().get("/openapi.json").send().await.expect_status(200);
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert!(document.header("etag").is_some() && document.header("x-request-id").is_some());
    assert!(document.json()["paths"]["/users/v1/"].is_object());
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn the_health_of_the_gateway_has_its_own_port() {
    let gateway = Gateway::start(Settings::new()).await;
    gateway.health().get("/livez").send().await.expect_status(200);
    let counters = gateway.health().get("/status").send().await.expect_status(200);
    assert!(counters.text().starts_with("Active connections"));
    gateway.health().get("/users/v1/x").send().await.expect_status(404);
}
