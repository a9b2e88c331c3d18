//! The micro-cache keeps public responses to anonymous requests for a second, and nothing else.

use std::sync::Arc;

use testkit::{PATIENCE, at_once, wait_until};
use tokio::sync::Semaphore;

use crate::gateway::{Gateway, Settings, in_front_of};
use crate::upstream::{Upstream, answer};

const PUBLIC: &str = "public, max-age=5, stale-while-revalidate=30, stale-if-error=3600";

/// A service whose answers contain the number of the request, with the Cache-Control that the query names.
async fn counting() -> Upstream {
    Upstream::start(|request| async move {
        let control = match request.path.split_once('?').map(|(_, query)| query).unwrap_or_default() {
            "private" => "private, no-cache",
            "no-store" => "no-store",
            "public-but-not-stored" => "public, no-store",
            "nothing" => "",
            "max-age" => "max-age=60",
            _ => PUBLIC,
        };
        let mut answer = answer(200, control, &request.number.to_string());
        let headers = answer.headers_mut();
        headers.insert("etag", "\"v1\"".parse().expect("a header"));
        headers.insert("vary", "authorization".parse().expect("a header"));
        headers.insert("x-request-id", "of-the-first".parse().expect("a header"));
        if request.path.ends_with("?cookie") {
            headers.insert("set-cookie", "refresh=1".parse().expect("a header"));
        }
        answer
    })
    .await
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn an_anonymous_read_of_what_is_public_comes_from_the_cache() {
    let users = counting().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    let client = gateway.client();
    let first = client.get("/users/v1/x").send().await.expect_status(200);
    let second = client.get("/users/v1/x").send().await.expect_status(200);
    assert_eq!((first.text(), second.text(), users.count()), ("1".to_owned(), "1".to_owned(), 1));
    // The service's headers are passed on. The ids are those of this request, not those of the one that
    // filled the cache.
    assert_eq!(second.header("cache-control"), Some(PUBLIC));
    assert!(first.header("x-request-id") != second.header("x-request-id"));
    assert_ne!(second.header("x-request-id"), Some("of-the-first"));
    // The older prefix is the same resource, HEAD has the same response, and a client that has it gets 304.
    client.get("/v1/users/x").send().await.expect_status(200);
    client.request("HEAD".parse().expect("a method"), "/users/v1/x").send().await.expect_status(200);
    client.get("/users/v1/x").header("if-none-match", "\"v1\"").send().await.expect_status(304);
    assert_eq!(users.count(), 1);
    // Another query is another resource.
    assert_eq!(client.get("/users/v1/x?min_version=8").send().await.text(), "2");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn parameters_of_trackers_are_not_part_of_the_key() {
    let users = counting().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    let get = |query: &str| gateway.client().get(&format!("/users/v1/x{query}")).send();
    assert_eq!(get("").await.text(), "1");
    let eight = "?utm_source=1&utm_medium=2&utm_campaign=3&utm_term=4&utm_content=5&utm_id=6&_=7&_y=8";
    for query in ["?_=1764280000", "?_", "?utm_source=mail", "?_=1&_=2", "?%5F=1&utm%5fid=2", eight, "?"] {
        assert_eq!(get(query).await.text(), "1", "{query}");
    }
    assert_eq!(get("?min_version=8").await.text(), "2");
    for query in ["?utm_source=a&min_version=8", "?min_version=8&_=5", "?_=1&min_version=8&utm_id=2&"] {
        assert_eq!(get(query).await.text(), "2", "{query}");
    }
    // Names that only contain such letters are different parameters.
    for (query, number) in [("?x_=1", "3"), ("?min_version=_", "4"), ("?autm_=1", "5")] {
        assert_eq!(get(query).await.text(), number, "{query}");
    }
    // The gateway removes a limited number of them. An address with more is not cached.
    for number in ["6", "7"] {
        assert_eq!(get(&format!("{eight}&_z=9")).await.text(), number);
    }
    assert_eq!(
        users.last().path,
        format!("/x{eight}&_z=9"),
        "the service gets the address as it was written"
    );
    // An address that is too long for a key is not cached either, and is answered all the same.
    assert_eq!(get(&format!("?label={}", "x".repeat(20_000))).await.text(), "8");
    assert_eq!(get("").await.text(), "1");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_read_with_a_token_or_a_cookie_never_uses_the_cache() {
    let users = counting().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    let client = gateway.client();
    // Its response is not cached, and it gets no cached response, even if the service says "public".
    let token = || client.get("/users/v1/x").token("t");
    assert_eq!(token().send().await.text(), "1");
    assert_eq!(client.get("/users/v1/x").send().await.text(), "2");
    assert_eq!(token().send().await.text(), "3");
    assert_eq!(client.get("/users/v1/x").header("cookie", "refresh=1").send().await.text(), "4");
    let sent = async |text: &str| client.get("/users/v1/x").header("authorization", text).send().await.text();
    for (number, token) in ["bearer t", "Bearer", "Bearer\tt"].into_iter().enumerate() {
        assert_eq!(sent(token).await, (number + 5).to_string(), "{token}");
    }
    // Its conditions reach the service, because only the service knows which answer this person gets.
    let answer = token().header("if-none-match", "\"v1\"").send().await;
    assert_eq!(users.last().header("if-none-match"), Some("\"v1\""));
    assert_eq!(answer.status, 200);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_read_with_another_scheme_than_bearer_is_anonymous_and_its_response_is_cached() {
    let users = counting().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    // The services answer with `Vary: Authorization`, so the cache has an answer for each value.
    for (number, scheme) in ["Basic eDp5", "Bearerx t", "Negotiate", "Digest bearer"].into_iter().enumerate()
    {
        for _ in 0..2 {
            let call = gateway.client().get("/users/v1/x").header("authorization", scheme);
            let answer = call.send().await.expect_status(200).text();
            assert_eq!(answer, (number + 1).to_string(), "{scheme}");
        }
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn the_anonymous_front_page_is_cached_and_the_page_of_a_reader_is_not() {
    // As the orchestrator responds: one page for all anonymous readers, and a page of their own for signed-in
    // readers.
    let news = Upstream::start(|request| async move {
        match request.header("authorization") {
            None => answer(200, PUBLIC, &format!("the shared page {}", request.number)),
            Some(who) => answer(200, "private, no-cache", &format!("{who} {}", request.number)),
        }
    })
    .await;
    let gateway = Gateway::start(Settings::new().with("GATEWAY_NEWS", &news.server("max_fails=0"))).await;
    let home = |token: Option<&str>| {
        let call = gateway.client().get("/news/v1/home");
        let call = token.iter().fold(call, |call, token| call.token(token));
        async move { call.send().await.expect_status(200) }
    };
    // A reader comes first: their answer must not be stored in an empty cache.
    assert_eq!(home(Some("anna")).await.text(), "Bearer anna 1");
    assert_eq!(home(None).await.text(), "the shared page 2");
    assert_eq!(home(None).await.text(), "the shared page 2");
    assert_eq!(home(Some("anna")).await.text(), "Bearer anna 3");
    let ben = home(Some("ben")).await;
    assert_eq!(
        (ben.text().as_str(), ben.header("cache-control")),
        ("Bearer ben 4", Some("private, no-cache"))
    );
    assert_eq!(news.last().path, "/home");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn only_public_responses_are_cached() {
    let users = counting().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    for word in ["private", "no-store", "public-but-not-stored", "nothing", "max-age", "cookie"] {
        let path = format!("/users/v1/x?{word}");
        let before = users.count();
        for _ in 0..2 {
            gateway.client().get(&path).send().await.expect_status(200);
        }
        assert_eq!(users.count(), before + 2, "{word}");
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn errors_and_writes_are_never_cached() {
    let users = Upstream::start(|request| async move {
        let status = if request.path.starts_with("/missing") { 404 } else { 200 };
        answer(status, PUBLIC, &request.number.to_string())
    })
    .await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    for path in ["/users/v1/missing", "/users/v1/missing"] {
        gateway.client().get(path).send().await.expect_status(404);
    }
    for _ in 0..2 {
        gateway.client().post("/users/v1/x").send().await.expect_status(200);
    }
    assert_eq!(users.count(), 4);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn the_host_header_of_a_client_affects_no_other() {
    let users = counting().await;
    let gateway = Gateway::start(in_front_of(&users)).await;
    let poison = "GET /users/v1/x HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n";
    assert!(gateway.raw(poison.as_bytes()).await.ends_with("\r\n\r\n1"));
    assert_eq!(users.last().header("host"), Some("users"));
    assert_eq!(gateway.client().get("/users/v1/x").send().await.text(), "1");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx"]
async fn of_twenty_parallel_requests_for_the_same_address_one_reaches_the_service() {
    let users = counting().await;
    // A long time-out, so that no request gives up waiting on a slow machine.
    let gateway = Gateway::start(in_front_of(&users).with("GATEWAY_CACHE_LOCK", "60s")).await;
    let answers = at_once(20, |_| {
        let call = gateway.client().get("/users/v1/x");
        async move { call.send().await.expect_status(200).text() }
    });
    assert_eq!(answers.await, vec!["1"; 20]);
    assert_eq!(users.count(), 1);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn while_one_fetches_what_is_new_the_others_get_what_was() {
    let gate = Arc::new(Semaphore::new(0));
    let users = {
        let gate = Arc::clone(&gate);
        // The first response is immediate. The others wait for a signal of the test.
        Upstream::start(move |request| {
            let gate = Arc::clone(&gate);
            async move {
                if request.number > 1 {
                    gate.acquire().await.expect("the gate stays").forget();
                }
                answer(200, PUBLIC, &request.number.to_string())
            }
        })
        .await
    };
    let gateway = Gateway::start(in_front_of(&users).with("GATEWAY_READ_TIMEOUT", "60s")).await;
    let ask = || async { gateway.client().get("/users/v1/x").send().await.expect_status(200).text() };
    assert_eq!(ask().await, "1");

    // Requests until the second has passed. The request that finds the answer too old fetches a new one and
    // waits for it.
    let fetch = wait_until("what is new", PATIENCE, || async { (ask().await != "1").then_some(()) });
    let others = async {
        wait_until("the request for what is new", PATIENCE, || {
            std::future::ready((users.count() == 2).then_some(()))
        })
        .await;
        for _ in 0..5 {
            assert_eq!(ask().await, "1", "what was is given while the new one is fetched");
        }
        assert_eq!(users.count(), 2);
        gate.add_permits(1);
    };
    tokio::join!(fetch, others);
    assert_eq!(ask().await, "2");
}
