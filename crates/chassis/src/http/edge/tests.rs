use axum::body::Body;
use axum::routing::get;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::http::{Caller, ThrottleConfig};

async fn ask(router: Router, config: EdgeConfig, request: http::request::Builder) -> (Response<()>, Value) {
    let request = request.body(Body::empty()).expect("a request");
    let response = edge("test", router, config).oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    (Response::from_parts(parts, ()), serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn router() -> Router {
    Router::new()
        .route("/ok", get(|| async { "fine" }))
        .route(
            "/panic",
            get(|| async {
                if true {
                    panic!("on purpose")
                }
            }),
        )
        .route("/slow", get(std::future::pending::<()>))
}

#[tokio::test]
async fn a_refusal_of_axum_is_a_problem_too() {
    let config = EdgeConfig { public_base: "/users/v1".to_owned(), ..EdgeConfig::default() };
    let (answer, body) =
        ask(router(), config.clone(), Request::get("/nowhere").header("x-request-id", "r-1")).await;
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!((&body["code"], &body["request_id"]), (&"not_found".into(), &"r-1".into()));
    assert_eq!(body["instance"], "/users/v1/nowhere");
    let (answer, body) = ask(router(), config, Request::post("/ok")).await;
    assert_eq!((answer.status().as_u16(), &body["code"]), (405, &"method_not_allowed".into()));
    assert_eq!(answer.headers()["allow"], "GET,HEAD");
}

#[tokio::test]
async fn an_unknown_path_is_a_problem_even_if_another_router_is_merged() {
    let beside = Router::new().route("/livez", get(|| async { "live" }));
    let app = edge("test", router(), EdgeConfig::default()).merge(beside);
    let answer = app.oneshot(Request::get("/nowhere").body(Body::empty()).expect("a request")).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn a_panic_is_a_500_without_its_message() {
    let (answer, body) = ask(router(), EdgeConfig::default(), Request::get("/panic")).await;
    assert_eq!((answer.status().as_u16(), &body["code"]), (500, &"internal".into()));
    assert!(!body.to_string().contains("on purpose"));
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_a_504() {
    let config = EdgeConfig { read_budget_ms: 10, ..EdgeConfig::default() };
    let (answer, body) = ask(router(), config, Request::get("/slow")).await;
    assert_eq!((answer.status().as_u16(), &body["code"]), (504, &"deadline_exceeded".into()));
}

#[tokio::test]
async fn a_write_is_completed_although_its_client_disconnects_and_a_read_is_not() {
    use tokio::sync::Notify;

    let (begun, go, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let work = {
        let (begun, go, done) = (begun.clone(), go.clone(), done.clone());
        move || async move {
            begun.notify_one();
            go.notified().await;
            done.notify_one();
        }
    };
    let router = edge("test", Router::new().route("/", get(work.clone()).post(work)), EdgeConfig::default());
    for (method, finishes) in [(Method::POST, true), (Method::GET, false)] {
        let request = Request::builder().method(method).uri("/").body(Body::empty()).expect("a request");
        tokio::select! {
            _ = router.clone().oneshot(request) => panic!("answered before the handler was released"),
            () = begun.notified() => {}
        }
        go.notify_one();
        if finishes {
            done.notified().await;
        } else {
            assert_eq!(Arc::strong_count(&done), 3, "the handler of the read is gone");
        }
    }
}

#[tokio::test]
async fn headers_over_32_kib_are_431_and_an_announced_large_body_413() {
    let long = "x".repeat(40_000);
    let (answer, body) =
        ask(router(), EdgeConfig::default(), Request::get("/ok").header("x-long", long)).await;
    assert_eq!((answer.status().as_u16(), &body["code"]), (431, &"headers_too_large".into()));
    let large = Request::get("/ok").header("content-length", "3145729").header("expect", "100-continue");
    let (answer, body) = ask(router(), EdgeConfig::default(), large).await;
    assert_eq!((answer.status().as_u16(), &body["code"]), (413, &"body_too_large".into()));
}

#[tokio::test]
async fn bodies_that_never_arrive_do_not_block_readers_and_are_408() {
    let config = EdgeConfig { in_flight: 1, write_budget_ms: 50, ..EdgeConfig::default() };
    let router = edge("test", router().route("/write", axum::routing::post(|| async {})), config);
    let never = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let write = router.clone().oneshot(Request::post("/write").body(never).expect("a request"));
    let read = router.oneshot(Request::get("/ok").body(Body::empty()).expect("a request"));
    let (write, read) = tokio::join!(write, read);
    assert_eq!(write.expect("an answer").status(), 408);
    assert_eq!(read.expect("an answer").status(), 200);
}

#[tokio::test]
async fn requests_beyond_the_limit_in_flight_are_shed() {
    let config = EdgeConfig { in_flight: 0, ..EdgeConfig::default() };
    let (answer, _) = ask(router(), config, Request::get("/ok")).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "1");
}

#[tokio::test]
async fn a_trace_is_continued_and_a_dangerous_request_id_is_replaced() {
    let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = Request::get("/ok").header("traceparent", given).header("x-request-id", "a b\tc");
    let (answer, _) = ask(router(), EdgeConfig::default(), request).await;
    assert_eq!(answer.headers()["x-request-id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    let trace = answer.headers()["traceparent"].to_str().expect("text");
    assert!(trace.contains("4bf92f3577b34da6a3ce929d0e0e4736") && trace != given);
}

#[tokio::test]
async fn a_handler_gets_the_address_that_a_trusted_proxy_names_and_ignores_other_proxies() {
    async fn address_of(caller: Caller) -> String {
        caller.address.to_string()
    }
    let trusted_proxies = serde_json::from_str("\"10.0.0.7\"").expect("a proxy");
    let config = EdgeConfig { trusted_proxies, ..EdgeConfig::default() };
    let router = edge("test", Router::new().route("/", get(address_of)), config);
    for (peer, client) in [("10.0.0.7:1", "203.0.113.9"), ("198.51.100.1:1", "198.51.100.1")] {
        let mut request = Request::get("/").header("x-forwarded-for", "192.0.2.1, 203.0.113.9");
        let peer: std::net::SocketAddr = peer.parse().expect("an address");
        request = request.extension(axum::extract::ConnectInfo(peer));
        let answer = router.clone().oneshot(request.body(Body::empty()).expect("a request")).await;
        let bytes = answer.expect("an answer").into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(bytes, client.as_bytes());
    }
}

/// A request that came over a connection from this address.
fn from(peer: &str, request: http::request::Builder) -> Request {
    let peer: std::net::SocketAddr = peer.parse().expect("an address");
    request.extension(axum::extract::ConnectInfo(peer)).body(Body::empty()).expect("a request")
}

/// A route whose handlers count themselves and wait forever.
fn stuck(begun: &Arc<std::sync::atomic::AtomicUsize>) -> Router {
    let begun = begun.clone();
    let handler = move || {
        begun.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        std::future::pending::<()>()
    };
    Router::new().route("/stuck", get(handler))
}

#[tokio::test]
async fn of_many_parallel_requests_for_one_address_only_the_burst_is_handled() {
    let begun = Arc::default();
    let throttle = ThrottleConfig {
        same_address: vec!["1/day burst 20".parse().expect("a limit")],
        ..ThrottleConfig::none()
    };
    let config =
        EdgeConfig { throttle, read_budget_ms: 100, in_flight_per_address: 0, ..EdgeConfig::default() };
    let router = edge("test", stuck(&begun), config);
    let all = (0..150).map(|_| router.clone().oneshot(from("192.0.2.1:1", Request::get("/stuck"))));
    let answers = futures::future::join_all(all).await;
    let statuses = answers.into_iter().map(|answer| answer.expect("an answer").status());
    let refused = statuses.filter(|status| *status == StatusCode::TOO_MANY_REQUESTS).count();
    assert_eq!((begun.load(std::sync::atomic::Ordering::SeqCst), refused), (20, 130));
}

#[tokio::test]
async fn one_client_has_a_share_of_the_requests_in_flight_until_it_has_received_the_responses() {
    let config = EdgeConfig { in_flight_per_address: 2, ..EdgeConfig::default() };
    let trusted_proxies = serde_json::from_str("\"10.0.0.7\"").expect("a proxy");
    let router = edge("test", router(), EdgeConfig { trusted_proxies, ..config });
    let ask = |peer: &'static str| router.clone().oneshot(from(peer, Request::get("/ok")));
    let held = [ask("192.0.2.1:1").await.expect("an answer"), ask("192.0.2.1:2").await.expect("an answer")];
    assert!(held.iter().all(|answer| answer.status() == 200));
    let refused = ask("192.0.2.1:3").await.expect("an answer");
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &HeaderValue::from(1)));
    assert_eq!(ask("192.0.2.2:1").await.expect("an answer").status(), 200, "others have their own");
    drop(held);
    assert_eq!(ask("192.0.2.1:3").await.expect("an answer").status(), 200);
    let proxied: Vec<_> = futures::future::join_all((0..5).map(|_| ask("10.0.0.7:1"))).await;
    assert!(proxied.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status() == 200)));
}

#[tokio::test]
async fn one_client_has_a_share_of_the_bodies_that_are_received() {
    let config = EdgeConfig { receiving_per_address: 1, write_budget_ms: 100, ..EdgeConfig::default() };
    let router = edge("test", router().route("/write", axum::routing::post(|| async {})), config);
    let write = |peer: &'static str| {
        let never = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
        let mut request = from(peer, Request::post("/write"));
        *request.body_mut() = never;
        router.clone().oneshot(request)
    };
    let (first, second, other) =
        tokio::join!(write("192.0.2.1:1"), write("192.0.2.1:2"), write("192.0.2.2:1"));
    let status = |answer: Result<Response, _>| -> u16 {
        let answer: Result<Response, std::convert::Infallible> = answer;
        answer.expect("an answer").status().as_u16()
    };
    assert_eq!((status(first), status(second), status(other)), (408, 429, 408));
}

#[tokio::test]
async fn preflights_are_counted_like_every_request() {
    let throttle =
        ThrottleConfig { client: vec!["3/day".parse().expect("a limit")], ..ThrottleConfig::none() };
    let router = edge("test", router(), EdgeConfig { throttle, ..EdgeConfig::default() });
    let ask = || {
        let request = Request::options("/ok").header("origin", "https://other.example");
        router.clone().oneshot(from("192.0.2.1:1", request.header("access-control-request-method", "GET")))
    };
    for _ in 0..3 {
        assert_eq!(ask().await.expect("an answer").status(), 204);
    }
    assert_eq!(ask().await.expect("an answer").status(), 429);
}

#[tokio::test]
async fn probes_have_a_separate_limit() {
    let throttle = ThrottleConfig {
        client: vec!["1/day".parse().expect("a limit")],
        probes: vec!["3/day".parse().expect("a limit")],
        ..ThrottleConfig::none()
    };
    let config = EdgeConfig { throttle, ..EdgeConfig::default() };
    let beside = probes(Router::new().route("/livez", get(|| async { "live" })), &config);
    let app = edge("test", router(), config).merge(beside);
    let ask = |path: &str| app.clone().oneshot(from("192.0.2.1:1", Request::get(path)));
    assert_eq!(ask("/ok").await.expect("an answer").status(), 200);
    assert_eq!(ask("/ok").await.expect("an answer").status(), 429);
    for _ in 0..3 {
        assert_eq!(ask("/livez").await.expect("an answer").status(), 200);
    }
    let refused = ask("/livez").await.expect("an answer");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    assert_eq!(
        ask("/nowhere").await.expect("an answer").headers()["content-type"],
        "application/problem+json"
    );
}

#[tokio::test]
async fn cookies_of_a_client_that_reached_a_trusted_proxy_by_https_are_secure() {
    let cookies = || async {
        let set = |text| (header::SET_COOKIE, HeaderValue::from_static(text));
        axum::response::AppendHeaders([set("a=1; HttpOnly"), set("b=2; secure")])
    };
    let trusted_proxies = serde_json::from_str("\"10.0.0.7\"").expect("a proxy");
    let config = EdgeConfig { trusted_proxies, ..EdgeConfig::default() };
    let router = edge("test", Router::new().route("/", get(cookies)), config);
    for (peer, scheme, expected) in [
        ("10.0.0.7:1", "https", ["a=1; HttpOnly; Secure", "b=2; secure"]),
        ("10.0.0.7:1", "http", ["a=1; HttpOnly", "b=2; secure"]),
        ("192.0.2.1:1", "https", ["a=1; HttpOnly", "b=2; secure"]),
    ] {
        let request = Request::get("/").header("x-forwarded-proto", scheme);
        let answer = router.clone().oneshot(from(peer, request)).await.expect("an answer");
        let set: Vec<_> = answer.headers().get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(set, expected, "{peer} {scheme}");
    }
}
