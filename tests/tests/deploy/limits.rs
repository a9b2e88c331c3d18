//! What one client may ask.

use crate::gateway::{Gateway, in_front_of};
use crate::upstream::Upstream;

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_client_over_its_rate_is_429_with_retry_after_and_the_burst_is_served_at_once() {
    let users = Upstream::plain().await;
    // One a minute: a test that is slow adds nothing.
    let settings = in_front_of(&users).with("GATEWAY_RATE", "1r/m").with("GATEWAY_BURST", "3");
    let gateway = Gateway::start(settings).await;
    for _ in 0..4 {
        gateway.client().get("/users/v1/x").send().await.expect_status(200);
    }
    let answer = gateway.client().get("/users/v1/x").send().await.expect_problem(429, "too_many_requests");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.json()["instance"], "/users/v1/x");
    // Another name is not another client.
    let call = gateway.client().get("/users/v1/x").header("x-forwarded-for", "203.0.113.9");
    call.send().await.expect_problem(429, "too_many_requests");
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
