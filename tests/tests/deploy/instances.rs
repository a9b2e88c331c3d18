//! Several instances of a service: the gateway's choice when one of them fails.

use crate::gateway::{Gateway, Settings, UNREACHABLE};
use crate::upstream::{Breaking, Upstream, answer};

/// The two kinds of reads (cached and with a token) and the two kinds of writes.
const METHODS: [&str; 3] = ["GET", "PUT", "DELETE"];

fn two(first: &str, second: &Upstream) -> Settings {
    // A backup is only used if the first instance fails, so the test decides the order and not the balancer.
    Settings::new().with("GATEWAY_USERS", &format!("{first} {}", second.server("backup")))
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn instances_take_turns() {
    let (one, two) = (Upstream::plain().await, Upstream::plain().await);
    let both = format!("{} {}", one.server(""), two.server(""));
    let gateway =
        Gateway::start(Settings::new().with("GATEWAY_USERS", &both).with("GATEWAY_WORKERS", "1")).await;
    for _ in 0..10 {
        gateway.client().get("/users/v1/x").token("t").send().await.expect_status(200);
    }
    assert_eq!((one.count(), two.count()), (5, 5));
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn an_instance_that_has_ended_costs_no_request_not_even_a_write() {
    let other = Upstream::plain().await;
    let gateway = Gateway::start(two(UNREACHABLE, &other)).await;
    // The instance that is down has received nothing, so asking the other one repeats no request.
    for method in METHODS.into_iter().chain(["POST", "PATCH"]) {
        let call = gateway.client().request(method.parse().expect("a method"), "/users/v1/x");
        call.send().await.expect_status(200);
    }
    assert_eq!(other.count(), 5);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_broken_request_is_retried_at_the_next_instance_only_if_a_repetition_is_harmless() {
    let (breaking, other) = (Breaking::start().await, Upstream::plain().await);
    let gateway = Gateway::start(two(&breaking.server("max_fails=0"), &other)).await;
    for method in METHODS {
        let call = gateway.client().request(method.parse().expect("a method"), "/users/v1/x");
        call.send().await.expect_status(200);
    }
    assert_eq!((breaking.connections(), other.count()), (3, 3));
    for method in ["POST", "PATCH"] {
        let call = gateway.client().request(method.parse().expect("a method"), "/users/v1/x").body("{}");
        call.send().await.expect_problem(502, "bad_gateway");
    }
    assert_eq!((breaking.connections(), other.count()), (5, 3), "a write was sent once and never again");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn only_reads_move_on_from_an_instance_whose_dependencies_are_unavailable() {
    let empty = Upstream::start(|_| async { answer(502, "no-store", "{}") }).await;
    let other = Upstream::plain().await;
    let gateway = Gateway::start(two(&empty.server("max_fails=0"), &other)).await;
    gateway.client().get("/users/v1/x").send().await.expect_status(200);
    gateway.client().get("/users/v1/x").token("t").send().await.expect_status(200);
    gateway.client().post("/users/v1/x").send().await.expect_status(502);
    assert_eq!((empty.count(), other.count()), (3, 2));
}

/// Load shedding is not a failure of the service. When it was counted as one, a short overload shut out every
/// healthy instance.
#[tokio::test]
#[ignore = "needs nginx"]
async fn an_instance_that_sheds_load_stays_in_use_and_its_refusal_reaches_the_client() {
    let shedding = Upstream::start(|request| async move {
        if request.number > 10 {
            return answer(200, "", "{}");
        }
        let mut answer = answer(503, "no-store", "{\"code\":\"overloaded\"}");
        answer.headers_mut().insert("content-type", "application/problem+json".parse().expect("a header"));
        answer.headers_mut().insert("retry-after", "7".parse().expect("a header"));
        answer
    })
    .await;
    let other = Upstream::plain().await;
    let gateway = Gateway::start(two(&shedding.server("max_fails=1 fail_timeout=60s"), &other)).await;
    for method in ["GET", "GET", "GET", "GET", "PUT", "PUT", "DELETE", "POST", "POST", "PATCH"] {
        let call = gateway.client().request(method.parse().expect("a method"), "/users/v1/x").token("t");
        let answer = call.send().await.expect_problem(503, "overloaded");
        assert_eq!(answer.header("retry-after"), Some("7"), "{method}");
    }
    gateway.client().get("/users/v1/x").token("t").send().await.expect_status(200);
    assert_eq!((shedding.count(), other.count()), (11, 0));
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_failure_response_is_not_retried() {
    let failing = Upstream::start(|_| async { answer(500, "no-store", "{}") }).await;
    let other = Upstream::plain().await;
    let gateway = Gateway::start(two(&failing.server("max_fails=0"), &other)).await;
    gateway.client().get("/users/v1/x").send().await.expect_status(500);
    assert_eq!((failing.count(), other.count()), (1, 0));
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_read_moves_on_from_an_instance_that_hangs_and_a_write_times_out() {
    let (silent, other) = (Upstream::silent().await, Upstream::plain().await);
    let settings = two(&silent.server("max_fails=0"), &other);
    let settings = settings.with("GATEWAY_READ_TIMEOUT", "200ms").with("GATEWAY_WRITE_TIMEOUT", "200ms");
    let gateway = Gateway::start(settings).await;
    gateway.client().get("/users/v1/x").send().await.expect_status(200);
    gateway.client().post("/users/v1/x").send().await.expect_problem(504, "deadline_exceeded");
    assert_eq!((silent.count(), other.count()), (2, 1));
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn an_instance_that_failed_gets_no_requests_for_a_while() {
    let (breaking, other) = (Breaking::start().await, Upstream::plain().await);
    let gateway = Gateway::start(two(&breaking.server("max_fails=1 fail_timeout=60s"), &other)).await;
    for _ in 0..5 {
        gateway.client().get("/users/v1/x").token("t").send().await.expect_status(200);
    }
    // A write that was sent to it would have been lost.
    gateway.client().post("/users/v1/x").send().await.expect_status(200);
    assert_eq!((breaking.connections(), other.count()), (1, 6));
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_service_that_is_unavailable_does_not_affect_the_others() {
    let news = Upstream::plain().await;
    let gateway = Gateway::start(Settings::new().with("GATEWAY_NEWS", &news.server(""))).await;
    gateway.client().get("/users/v1/x").send().await.expect_problem(502, "bad_gateway");
    gateway.client().get("/news/v1/all/1/10").send().await.expect_status(200);
}
