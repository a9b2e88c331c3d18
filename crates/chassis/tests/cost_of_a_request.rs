//! The cost of one request through the edge, with its access line and its span. It is a measurement for a
//! person. Decision 27 says how its figures were made.
//!
//! ```sh
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9 \
//!     cargo test --release -p chassis --test cost_of_a_request -- --ignored --nocapture 2>/dev/null
//! ```

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use chassis::config::LogFormat;
use chassis::http::{EdgeConfig, edge};
use tower::ServiceExt;

const ROUNDS: usize = 30;
const REQUESTS: u32 = 2_000;

/// Returns the time that the threads of this process have spent on a processor, so that neither the wait for
/// one nor the work of other processes counts. The threads that write the log and export spans are among
/// them.
fn cpu_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the measurement needs Linux");
    let times = tasks.filter_map(|task| {
        // A thread may have ended since the folder was read.
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    });
    times.sum()
}

#[tokio::test]
#[ignore = "a measurement, which needs optimised code"]
async fn cost_of_a_request() {
    // The exporter needs the TLS provider of a process.
    chassis::prepare();
    let _log = chassis::telemetry::start("test", "info", LogFormat::Json).expect("a log");
    let router = Router::new().route("/articles/{id}", get(|| async { "an article" }));
    let config = EdgeConfig::default();
    let app = edge("test", router, config);
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = cpu_time();
        for _ in 0..REQUESTS {
            let request = axum::http::Request::get("/articles/1").body(Body::empty()).expect("a request");
            let response = app.clone().oneshot(request).await.expect("an answer");
            assert!(response.status().is_success());
            let body = axum::body::to_bytes(response.into_body(), 1_024).await.expect("a body");
            assert_eq!(&body[..], b"an article");
        }
        rounds.push((cpu_time() - begun) / REQUESTS);
    }
    rounds.sort_unstable();
    let (median, least) = (rounds[ROUNDS / 2].as_nanos(), rounds[0].as_nanos());
    chassis::say(format_args!("{median} ns of CPU for a request (median), {least} ns (least)"));
}
