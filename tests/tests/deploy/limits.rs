//! The limits of one client.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{Method, Response};
use futures::{StreamExt, stream};
use system_tests::access::every_row;
use testkit::{PATIENCE, wait_until};

use crate::gateway::{Gateway, Settings, in_front_of};
use crate::upstream::Upstream;

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_burst_is_served_without_delay_and_a_client_over_its_rate_gets_429_with_retry_after() {
    let users = Upstream::plain().await;
    // One request a minute, so that a slow test does not get a request back.
    let settings = in_front_of(&users).with("GATEWAY_RATE", "1r/m").with("GATEWAY_BURST", "3");
    let gateway = Gateway::start(settings).await;
    for _ in 0..4 {
        gateway.client().get("/users/v1/x").send().await.expect_status(200);
    }
    let answer = gateway.client().get("/users/v1/x").send().await.expect_problem(429, "too_many_requests");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.json()["instance"], "/users/v1/x");
    // An address that the client claims does not make it another client.
    let call = gateway.client().get("/users/v1/x").header("x-forwarded-for", "203.0.113.9");
    call.send().await.expect_problem(429, "too_many_requests");
    // Preflights count too.
    let preflight =
        gateway.client().request(Method::OPTIONS, "/users/v1/x").header("origin", "https://a.example");
    let preflight = preflight.header("access-control-request-method", "GET").send().await;
    assert_eq!(preflight.expect_status(429).header("retry-after"), Some("1"));
    assert_eq!(users.count(), 4);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn writes_have_a_limit_of_their_own_and_leave_reads_alone() {
    let users = Upstream::plain().await;
    let settings = in_front_of(&users).with("GATEWAY_WRITE_RATE", "1r/m").with("GATEWAY_WRITE_BURST", "3");
    let gateway = Gateway::start(settings).await;
    let client = gateway.client();
    for call in [client.post("/users/v1/"), client.put("/users/v1/x"), client.patch("/users/v1/x")] {
        call.send().await.expect_status(200);
    }
    client.delete("/users/v1/x").send().await.expect_status(200);
    client.delete("/users/v1/x").send().await.expect_problem(429, "too_many_requests");
    for _ in 0..10 {
        client.get("/users/v1/x").send().await.expect_status(200);
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn exactly_the_costly_routes_of_the_services_have_the_limit_of_costly_routes() {
    let service = Upstream::plain().await;
    let settings = ["GATEWAY_USERS", "GATEWAY_NEWS", "GATEWAY_RECOMMENDATIONS"]
        .into_iter()
        .fold(Settings::new(), |settings, name| settings.with(name, &service.server("max_fails=0")));
    let settings = settings.with("GATEWAY_COSTLY_RATE", "1r/m").with("GATEWAY_COSTLY_BURST", "1");
    let gateway = Gateway::start(settings).await;
    let costly = gateway.client().get("/news/v1/sports/x/diff?from=1&to=2");
    costly.send().await.expect_status(200);
    gateway.client().get("/v1/news/famous/y/diff").send().await.expect_status(200);
    let rows = every_row();
    assert!(rows.iter().any(|row| row.costly) && rows.iter().any(|row| row.costly_with_content));
    for row in rows {
        let path = row.filled("0190b2c4-0000-7000-8000-000000000000");
        // The older prefix of `/news/v1/x` is `/v1/news/x`.
        let (_, rest) = path.split_once('/').expect("a path begins so");
        let (prefix, rest) = rest.split_once("/v1").expect("a version");
        for path in [format!("{path}?from=1&to=2"), format!("/v1/{prefix}{rest}")] {
            let method = row.method.parse().expect("a method");
            let call = gateway.client().request(method, &path).send().await;
            call.expect_status(if row.costly { 429 } else { 200 });
        }
        let costly = row.costly || row.costly_with_content;
        for query in
            ["include=content", "limit=9&fields=id%2Ccontent", "a=b&fields=content,id", "include=%63ontent"]
        {
            let method = row.method.parse().expect("a method");
            let call = gateway.client().request(method, &format!("{path}?{query}")).send().await;
            call.expect_status(if costly { 429 } else { 200 });
        }
        for query in ["limit=9&fields=id%2Ctitle", "label=content", "label=%C3%B6l&include="] {
            let method = row.method.parse().expect("a method");
            let call = gateway.client().request(method, &format!("{path}?{query}")).send().await;
            call.expect_status(if row.costly { 429 } else { 200 });
        }
    }
    let head = gateway.client().request(Method::HEAD, "/news/v1/sports/x/diff").send().await;
    assert_eq!(head.expect_status(429).header("retry-after"), Some("1"));
    // An OPTIONS request is not costly.
    let options = gateway.client().request(Method::OPTIONS, "/news/v1/sports/x/diff").send().await;
    options.expect_status(200);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn the_clients_of_a_trusted_proxy_are_counted_one_by_one() {
    let users = Upstream::plain().await;
    let settings = in_front_of(&users).with("GATEWAY_RATE", "1r/m").with("GATEWAY_BURST", "1");
    let settings = settings.with("GATEWAY_TRUSTED_PROXIES", "set_real_ip_from 127.0.0.1;");
    let gateway = Gateway::start(settings).await;
    for (client, status) in
        [("203.0.113.1", 200), ("203.0.113.1", 200), ("203.0.113.1", 429), ("203.0.113.2", 200)]
    {
        let call = gateway.client().get("/users/v1/x").header("x-forwarded-for", client);
        call.send().await.expect_status(status);
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn every_client_has_its_own_share_of_the_requests_in_progress() {
    let users = Upstream::silent().await;
    let settings = in_front_of(&users)
        .with("GATEWAY_IN_HAND", "2")
        .with("GATEWAY_READ_TIMEOUT", "60s")
        .with("GATEWAY_TRUSTED_PROXIES", "set_real_ip_from 127.0.0.1;");
    let gateway = Gateway::start(settings).await;
    let ask = |client: &str| gateway.client().get("/users/v1/x").header("x-forwarded-for", client);
    let at_the_service = async |number| {
        wait_until("the requests at the service", PATIENCE, async || (users.count() == number).then_some(()))
            .await;
    };
    // Two addresses of one /64 are one client.
    let in_progress = futures::future::join(ask("2001:db8::1").try_send(), ask("2001:db8::2").try_send());
    let others = async {
        at_the_service(2).await;
        let refused = ask("2001:db8::3").send().await.expect_problem(429, "too_many_requests");
        assert_eq!(refused.header("retry-after"), Some("1"));
        tokio::select! {
            _ = ask("2001:db8:0:1::1").try_send() => panic!("the service never responds"),
            () = at_the_service(3) => {}
        }
    };
    tokio::select! {
        _ = in_progress => panic!("the service never responds"),
        () = others => {}
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn live_events_pass_one_by_one_and_are_counted_apart_from_other_requests() {
    let news = Upstream::start(|_| async {
        let first = stream::once(async { Ok::<_, Infallible>("event: published\n\n") });
        let body = Body::from_stream(first.chain(stream::pending()));
        Response::builder().header("content-type", "text/event-stream").body(body).expect("a response")
    });
    let news = news.await;
    let settings = Settings::new()
        .with("GATEWAY_NEWS", &news.server("max_fails=0"))
        .with("GATEWAY_IN_HAND", "1")
        .with("GATEWAY_STREAMS", "2");
    let gateway = Gateway::start(settings).await;
    let mut open = Vec::new();
    for path in ["/news/v1/live", "/v1/news/sports/live"] {
        let mut stream = gateway.client().get(path).follow().await;
        assert_eq!(stream.next().await.expect("an event").event.as_deref(), Some("published"));
        open.push(stream);
    }
    let refused = gateway.client().get("/news/v1/live").send().await;
    refused.expect_problem(429, "too_many_requests");
    // The two open streams are no requests in progress.
    gateway.client().get("/news/v1/home").send().await.expect_status(200);
    // Only the routes of live events have no end.
    for path in ["/news/v1/live/x", "/news/v1/sports/live/1", "/users/v1/live"] {
        assert_ne!(gateway.client().get(path).send().await.status, 429, "{path}");
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn http_1_1_without_a_host_with_two_or_with_an_invalid_one_is_400() {
    let users = Upstream::plain().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    for (head, expected) in [
        ("HTTP/1.1\r\nhost: news.example:8080", "200"),
        ("HTTP/1.0", "200"),
        ("HTTP/1.1", "400"),
        ("HTTP/1.1\r\nhost: a\r\nhost: a", "400"),
        ("HTTP/1.1\r\nhost: a b", "400"),
    ] {
        let request = format!("GET /users/v1/x {head}\r\nconnection: close\r\n\r\n");
        let answer = gateway.raw(request.as_bytes()).await;
        assert_eq!(answer.split(' ').nth(1), Some(expected), "{head:?}: {answer}");
    }
    assert_eq!(users.count(), 2);
}
