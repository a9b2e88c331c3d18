//! The gateway's own errors: each is a problem (RFC 9457) with a stable code.

use serde_json::Value;
use system_tests::access::every_row;

use crate::gateway::{Gateway, Settings, in_front_of, problem, status};
use crate::upstream::{Upstream, answer};

/// Asserts that this is a complete problem.
#[track_caller]
fn whole(found: &Value, status: u16, code: &str, instance: &str) {
    assert_eq!((&found["status"], &found["code"]), (&status.into(), &code.into()), "{found}");
    assert_eq!((&found["instance"], &found["type"]), (&instance.into(), &format!("/problems/{code}").into()));
    for member in ["title", "detail", "request_id"] {
        assert!(found[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {found}");
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn what_is_nowhere_is_a_problem_with_the_ids_of_the_request() {
    let gateway = Gateway::start(Settings::new()).await;
    let answer = gateway.client().get("/nowhere?q=1").header("x-request-id", "r-1").send().await;
    let answer = answer.expect_problem(404, "not_found");
    whole(&answer.json(), 404, "not_found", "/nowhere");
    assert_eq!(answer.json()["request_id"], "r-1");
    assert_eq!(
        (answer.header("x-request-id"), answer.header("cache-control")),
        (Some("r-1"), Some("no-store"))
    );
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_method_that_no_route_has_is_405_with_allow() {
    let users = Upstream::plain().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    for method in ["TRACE", "PROPFIND", "get", "BREW"] {
        let request = format!("{method} /users/v1/x HTTP/1.1\r\nHost: portal\r\nConnection: close\r\n\r\n");
        let answer = gateway.raw(request.as_bytes()).await;
        // nginx accepts only capital letters as a method.
        if method == "get" {
            whole(&problem(&answer), 400, "bad_request", "/");
        } else {
            whole(&problem(&answer), 405, "method_not_allowed", "/users/v1/x");
            assert!(answer.contains("Allow: GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"), "{answer}");
        }
    }
    gateway.client().post("/openapi.json").send().await.expect_problem(405, "method_not_allowed");
    assert_eq!(users.count(), 0);
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] {
        let call = gateway.client().request(method.parse().expect("a method"), "/users/v1/x");
        call.send().await.expect_status(200);
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_body_over_1_mib_is_413_announced_or_not() {
    let users = Upstream::plain().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    let announced = gateway.client().post("/users/v1/").body(vec![b'x'; (1 << 20) + 1]).send().await;
    whole(&announced.expect_problem(413, "body_too_large").json(), 413, "body_too_large", "/users/v1/");
    let mut chunked = b"POST /users/v1/ HTTP/1.1\r\nHost: portal\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..17 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&[b'x'; 0x10000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    whole(&problem(&gateway.raw(&chunked).await), 413, "body_too_large", "/users/v1/");
    assert_eq!(users.count(), 0);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_body_may_have_3_mib_exactly_if_its_service_says_that_it_carries_a_text() {
    let service = Upstream::plain().await;
    let settings = ["GATEWAY_USERS", "GATEWAY_NEWS", "GATEWAY_RECOMMENDATIONS"]
        .into_iter()
        .fold(Settings::new(), |settings, name| settings.with(name, &service.server("max_fails=0")));
    let gateway = Gateway::start(settings).await;
    let rows = every_row();
    assert!(rows.iter().any(|row| row.text));
    for row in rows.iter().filter(|row| row.method != "GET") {
        let path = row.filled("0190b2c4-0000-7000-8000-000000000000");
        let (_, rest) = path.split_once('/').expect("a path begins so");
        let (prefix, rest) = rest.split_once("/v1").expect("a version");
        for path in [format!("{path}?x=1"), format!("/v1/{prefix}{rest}")] {
            for (size, fits) in
                [(1 << 20, true), ((1 << 20) + 1, row.text), (3 << 20, row.text), ((3 << 20) + 1, false)]
            {
                let method = row.method.parse().expect("a method");
                let call = gateway.client().request(method, &path).body(vec![b'x'; size]);
                call.send().await.expect_status(if fits { 200 } else { 413 });
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_problem_of_the_gateway_does_not_grow_with_the_address() {
    let gateway = Gateway::start(Settings::new()).await;
    for (path, shown) in [
        (format!("/{}", "x".repeat(499)), format!("/{}", "x".repeat(499))),
        (format!("/{}", "x".repeat(500)), format!("/{}…", "x".repeat(498))),
        (format!("/v1/nowhere/{}", "x".repeat(20_000)), format!("/v1/nowhere/{}…", "x".repeat(487))),
        (format!("/{}%41{}", "x".repeat(496), "y".repeat(9)), format!("/{}…", "x".repeat(496))),
        (format!("/{}%41{}", "x".repeat(497), "y".repeat(9)), format!("/{}…", "x".repeat(497))),
    ] {
        let answer = gateway.client().get(&path).send().await.expect_problem(404, "not_found");
        assert_eq!(answer.json()["instance"], shown);
        assert!(answer.body.len() < 1_000);
    }
    let older = gateway.client().get(&format!("/v1/users/{}", "x".repeat(20_000))).send().await;
    assert_eq!(older.header("link"), None);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn headers_over_32_kib_together_are_431_and_a_longer_address_is_414() {
    let users = Upstream::plain().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    let client = gateway.client();
    // One long header, and many short ones.
    client.get("/users/v1/x").header("x-long", "x".repeat(31_000)).send().await.expect_status(200);
    let answer = client.get("/users/v1/x").header("x-long", "x".repeat(34_000)).send().await;
    whole(&answer.expect_problem(431, "headers_too_large").json(), 431, "headers_too_large", "/users/v1/x");
    let many: String = (0..40).map(|n| format!("x-{n}: {}\r\n", "x".repeat(1_000))).collect();
    let request = format!("GET /users/v1/x HTTP/1.1\r\nHost: portal\r\nConnection: close\r\n{many}\r\n");
    whole(&problem(&gateway.raw(request.as_bytes()).await), 431, "headers_too_large", "/users/v1/x");

    client.get(&format!("/users/v1/{}", "x".repeat(30_000))).send().await.expect_status(200);
    let answer = gateway.raw_get(&format!("/users/v1/{}", "x".repeat(40_000))).await;
    whole(&problem(&answer), 414, "uri_too_long", "/");
    assert_eq!(users.count(), 2);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn requests_that_are_not_http_or_ambiguous_reach_no_service() {
    let users = Upstream::plain().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    let head = "POST /users/v1/ HTTP/1.1\r\nHost: portal\r\nConnection: close\r\n";
    for (request, code) in [
        ("nonsense\r\n\r\n".to_owned(), "bad_request"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03".to_owned(), "bad_request"),
        ("GET /users/v1/ HTTP/7.1\r\nHost: portal\r\n\r\n".to_owned(), "http_version_not_supported"),
        ("GET /users/v1/ HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), "bad_request"),
        ("GET /users/v1/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), "bad_request"),
        // With two lengths, the gateway and the service could read the bytes as different requests.
        (format!("{head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "bad_request"),
        (format!("{head}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd"), "bad_request"),
        (format!("{head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), "not_implemented"),
        (format!("{head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"), "not_implemented"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\nXYZ\r\n\r\n"), "bad_request"),
    ] {
        let answer = gateway.raw(request.as_bytes()).await;
        assert_eq!(problem(&answer)["code"], code, "{request:?} got {answer}");
    }
    assert_eq!(users.count(), 0);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_service_that_is_unavailable_is_502_and_one_that_does_not_answer_is_504() {
    let silent = Upstream::silent().await;
    let settings = in_front_of(&silent);
    let settings = settings.with("GATEWAY_READ_TIMEOUT", "200ms").with("GATEWAY_WRITE_TIMEOUT", "200ms");
    let gateway = Gateway::start(settings).await;
    let client = gateway.client();
    let away = client.get("/recommendation/v1/trending").send().await.expect_problem(502, "bad_gateway");
    whole(&away.json(), 502, "bad_gateway", "/recommendation/v1/trending");
    assert_eq!(away.header("retry-after"), Some("1"));
    for call in [client.get("/users/v1/x"), client.get("/users/v1/x").token("t"), client.post("/users/v1/")] {
        call.send().await.expect_problem(504, "deadline_exceeded");
    }
    assert_eq!(silent.count(), 3);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn the_problems_of_a_service_pass_unchanged() {
    let users = Upstream::start(|request| async move {
        let status = request.path.trim_start_matches('/').parse().expect("the test asks for a status");
        let mut answer = answer(status, "no-store", r#"{"code":"its_own"}"#);
        answer.headers_mut().insert("content-type", "application/problem+json".parse().expect("a header"));
        answer
    })
    .await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    for status in [400, 401, 403, 404, 405, 409, 410, 412, 413, 415, 422, 428, 429, 431, 500, 502, 503, 504] {
        let answer = gateway.client().get(&format!("/users/v1/{status}")).send().await;
        answer.expect_problem(status, "its_own");
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_page_of_another_origin_can_read_the_gateways_refusal_if_it_could_read_the_response() {
    let editors = "https://editors.example.org";
    let users = Upstream::plain().await;
    let settings = in_front_of(&users).with("GATEWAY_WRITING_ORIGINS", &format!("{editors} {editors};"));
    let gateway = Gateway::start(settings).await;
    let client = gateway.client();
    for (origin, reads, writes) in [
        (editors, Some("*"), Some(editors)),
        ("https://evil.example", Some("*"), None),
        ("null", Some("*"), None),
    ] {
        let large = client.post("/users/v1/").body(vec![b'x'; (1 << 20) + 1]);
        for (call, status, expected) in [(client.get("/nowhere"), 404, reads), (large, 413, writes)] {
            let answer = call.header("origin", origin).send().await.expect_status(status);
            assert_eq!(answer.header("access-control-allow-origin"), expected, "{origin}: {answer}");
            assert_eq!(answer.header("access-control-expose-headers").is_some(), expected.is_some());
            assert!(answer.header("access-control-allow-credentials").is_none(), "{answer}");
            let varies = answer.headers.get_all("vary").iter().any(|it| it == "Origin");
            assert_eq!(varies, status == 413, "{origin}: {answer}");
        }
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn an_address_cannot_inject_text_into_the_problem() {
    let gateway = Gateway::start(Settings::new()).await;
    for path in ["/x\",\"code\":\"mine", "/x\\", "/x%22,%22code%22:%22mine", "/x$status"] {
        let answer = gateway.raw_get(path).await;
        let code = problem(&answer)["code"].clone();
        assert!(matches!(status(&answer), 400 | 404) && code != "mine", "{answer}");
    }
}
