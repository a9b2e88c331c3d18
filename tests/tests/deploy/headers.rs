//! The headers that the gateway passes from the client to a service, and those that it drops.

use crate::gateway::{Gateway, in_front_of};
use crate::upstream::{Upstream, answer};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// All headers in which a proxy may pass an identity on, or which may make a service read another request
/// than the one that was checked.
const FORGED: [&str; 30] = [
    "X-User-Id",
    "X-User",
    "X-User-Name",
    "X-User-Email",
    "X-User-Role",
    "X-User-Roles",
    "X-Role",
    "X-Roles",
    "X-Account-Id",
    "X-Session-Id",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Authenticated-User",
    "X-Remote-User",
    "Remote-User",
    "X-Real-IP",
    "X-Client-IP",
    "True-Client-IP",
    "Forwarded",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Original-URL",
    "X-Rewrite-URL",
    "Proxy",
];

#[tokio::test]
#[ignore = "needs nginx"]
async fn an_identity_that_a_client_claims_in_a_header_reaches_no_service() {
    let users = Upstream::plain().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    for method in ["GET", "POST"] {
        for token in [false, true] {
            let mut call = gateway.client().request(method.parse().expect("a method"), "/users/v1/x");
            for name in FORGED {
                call = call.header(name, "forged");
            }
            // Some servers treat an underscore in a name like a hyphen.
            call = call.header("X_User_Id", "forged");
            call = if token { call.token("t") } else { call };
            call.send().await.expect_status(200);
            let request = users.last();
            let forged: Vec<_> = request.headers.iter().filter(|(_, value)| *value == "forged").collect();
            assert!(forged.is_empty(), "{method}: {forged:?}");
            assert_eq!(request.header("authorization"), token.then_some("Bearer t"));
        }
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_service_receives_the_address_of_the_connection_and_not_one_that_the_client_claims() {
    let users = Upstream::plain().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    gateway
        .client()
        .get("/users/v1/x")
        .header("x-forwarded-for", "203.0.113.9")
        .send()
        .await
        .expect_status(200);
    assert_eq!(users.last().header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(users.last().header("x-forwarded-proto"), Some("http"));
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn addresses_from_a_trusted_proxy_count_up_to_the_first_untrusted_one() {
    let users = Upstream::plain().await;
    let settings = in_front_of(&users).with("GATEWAY_TRUSTED_PROXIES", "set_real_ip_from 127.0.0.1;");
    let gateway = Gateway::start(settings).await;
    let call = gateway.client().get("/users/v1/x").header("x-forwarded-for", "10.9.9.9, 203.0.113.9");
    call.send().await.expect_status(200);
    assert_eq!(users.last().header("x-forwarded-for"), Some("203.0.113.9"));
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_request_has_one_id_for_the_client_the_service_and_the_log() {
    let users = Upstream::plain().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    let answer = gateway.client().get("/users/v1/x").header("x-request-id", "order-7.a:b_c").send().await;
    assert_eq!(answer.header("x-request-id"), Some("order-7.a:b_c"));
    assert_eq!(users.last().header("x-request-id"), Some("order-7.a:b_c"));

    // A new id is that of the trace, which begins at the gateway too.
    let answer = gateway.client().get("/users/v1/x").send().await;
    let id = answer.header("x-request-id").expect("every answer has an id").to_owned();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert_eq!(users.last().header("x-request-id"), Some(id.as_str()));
    let trace = users.last().header("traceparent").map(str::to_owned).expect("a trace begins here");
    assert!(trace.starts_with(&format!("00-{id}-")) && trace.len() == 55, "{trace}");
    assert_eq!(answer.header("traceparent"), Some(trace.as_str()));

    testkit::wait_until("the line of the request", testkit::PATIENCE, || {
        let line = gateway.output().into_iter().find(|line| line.starts_with('{') && line.contains(&id));
        std::future::ready(line.map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line).expect("a line of the log is JSON");
            assert_eq!((&line["path"], &line["status"]), (&"/users/v1/x".into(), &200.into()));
            assert_eq!((&line["service"], &line["trace_id"]), (&"gateway".into(), &id.as_str().into()));
        }))
    })
    .await;
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_dangerous_id_is_replaced_and_a_broken_trace_too() {
    let users = Upstream::plain().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    let long = "x".repeat(129);
    for id in ["a b", "a\"b", "a{b}", long.as_str()] {
        let answer = gateway.client().get("/users/v1/x").header("x-request-id", id).send().await;
        assert_eq!(answer.header("x-request-id").map(str::len), Some(32), "{id}");
    }
    let zero = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
    for trace in ["no trace", zero.as_str(), "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"] {
        gateway.client().get("/users/v1/x").header("traceparent", trace).send().await.expect_status(200);
        assert_ne!(users.last().header("traceparent"), Some(trace));
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn an_incoming_trace_continues_and_gives_the_request_its_id() {
    let users = Upstream::plain().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let answer = gateway.client().get("/users/v1/x").header("traceparent", &traceparent).send().await;
    assert_eq!(users.last().header("traceparent"), Some(traceparent.as_str()));
    assert_eq!(answer.header("x-request-id"), Some(TRACE));
    assert!(answer.header("traceparent").is_some_and(|trace| trace.contains(TRACE)));
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_body_a_condition_and_a_cookie_arrive_as_they_were_sent() {
    let users = Upstream::plain().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    let body = vec![0x1f_u8; 1 << 20];
    let call =
        gateway.client().put("/users/v1/x").header("if-match", "W/\"v7\"").header("idempotency-key", "k");
    let call = call.header("cookie", "refresh=1").header("content-encoding", "gzip").body(body.clone());
    call.send().await.expect_status(200);
    let request = users.last();
    assert_eq!(
        (request.header("if-match"), request.header("idempotency-key")),
        (Some("W/\"v7\""), Some("k"))
    );
    assert_eq!(
        (request.header("cookie"), request.header("content-encoding")),
        (Some("refresh=1"), Some("gzip"))
    );
    assert_eq!(request.body, body, "1 MiB is just allowed");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn the_gateway_compresses_a_large_response_and_weakens_its_entity_tag() {
    let users = Upstream::start(|request| async move {
        assert_eq!(request.header("accept-encoding"), None, "services do not compress");
        let mut answer = answer(200, "private", &format!("\"{}\"", "news ".repeat(1_000)));
        answer.headers_mut().insert("etag", "\"v7\"".parse().expect("a header"));
        answer
    })
    .await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    let plain = "GET /users/v1/x HTTP/1.1\r\nHost: portal\r\nConnection: close\r\n";
    let answer = gateway.raw(format!("{plain}Accept-Encoding: gzip\r\n\r\n").as_bytes()).await;
    for header in ["Content-Encoding: gzip", "Vary: Accept-Encoding", "W/\"v7\""] {
        assert!(answer.contains(header), "{header} in {answer}");
    }
    let answer = gateway.raw(format!("{plain}\r\n").as_bytes()).await;
    assert!(answer.contains("news news") && !answer.contains("W/\"v7\""), "{answer}");
}
