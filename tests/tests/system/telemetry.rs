//! What a portal tells those who watch over it: counts on its internal port, traces to a collector.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use serde_json::Value;
use system_tests::{Shape, World, scenarios};
use testkit::{Client, PATIENCE, wait_until};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

scenarios! {
    on both shapes:
        a_click_is_told_to_the_collector_by_everyone_who_had_a_part_in_it_over_http_and_grpc;
    on one process, because "a service of a fleet counts on its own port, which the gateway closes (tests/deploy)":
        what_is_counted_is_on_the_internal_port_and_not_on_the_gateways;
}

async fn what_is_counted_is_on_the_internal_port_and_not_on_the_gateways(shape: Shape) {
    let world = World::with(shape, &[("PROCESS__INTERNAL_LISTEN", "127.0.0.1:0")]).await;
    world.client().get("/news/v1/all/1/10").send().await.expect_status(200);
    world.client().get("/news/v1/sports/no-such-id").send().await.expect_status(404);
    world.client().get("/metrics").send().await.expect_problem(404, "not_found");
    let lines = world.output();
    let mut lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told = lines.rfind(|line| line["message"] == "metrics are served").expect("a line says where");
    let internal = Client::new(&format!("http://{}", told["address"].as_str().expect("an address")));
    let text = internal.get("/metrics").send().await.expect_status(200).text().to_owned();
    for wanted in [
        r#"http_server_request_duration_seconds_count{service="orchestrator",route="/all/{page}/{limit}",method="GET",status="200"} 1"#,
        r#"http_server_request_duration_seconds_bucket{service="orchestrator",route="/all/{page}/{limit}",method="GET",status="200",le="10"} 1"#,
        r#"cache_requests_total{cache="list",outcome="miss"} 1"#,
        "build_info{version=",
        "process_resident_memory_bytes ",
    ] {
        assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
    }
    // A route is its template: nobody makes a new line by making up an address.
    assert!(!text.contains("no-such-id"), "{text}");
    internal.get("/livez").send().await.expect_status(200);
}

/// Takes what is exported, and keeps it. Dropped, it is gone.
struct Collector {
    url: String,
    taken: Arc<Mutex<Vec<Bytes>>>,
    task: JoinHandle<()>,
}

impl Collector {
    #[allow(clippy::disallowed_methods, reason = "its owner aborts it when it is dropped")]
    async fn start() -> Self {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let keep = taken.clone();
        let take = post(move |body: Bytes| async move { keep.lock().expect("whole").push(body) });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().route("/v1/traces", take);
        let serve = async move { axum::serve(listener, router).await.expect("a bound socket can be served") };
        Self { url, taken, task: tokio::spawn(serve) }
    }

    /// Whether one export speaks of both.
    fn was_told(&self, one: &[u8], other: &[u8]) -> bool {
        let holds = |body: &[u8], needle: &[u8]| body.windows(needle.len()).any(|window| window == needle);
        self.taken.lock().expect("whole").iter().any(|body| holds(body, one) && holds(body, other))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn a_click_is_told_to_the_collector_by_everyone_who_had_a_part_in_it_over_http_and_grpc(shape: Shape) {
    const TRACE: [u8; 16] = *b"0123456789abcdef";
    let collector = Collector::start().await;
    let settings =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let world = World::with(shape, &settings).await;
    let reader = world.consenting_reader("odo").await;
    let hex: String = TRACE.iter().map(|byte| format!("{byte:02x}")).collect();
    let home = world.client().get("/news/v1/home").token(&reader.token);
    home.header("traceparent", &format!("00-{hex}-00f067aa0ba902b7-01")).send().await.expect_status(200);
    // The orchestrator served it, and asked recommendations, which served that.
    let wanted: [&[u8]; 2] = [b"GET /home", b"portal.recommendations.v1.Recommendations/GetTaste"];
    wait_until("the spans of the click", PATIENCE, || async {
        wanted.iter().all(|needle| collector.was_told(&TRACE, needle)).then_some(())
    })
    .await;
}
