//! The cost of one request through the edge, with its access line and its span. It is a measurement for a
//! person:
//!
//! ```sh
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9 \
//!     cargo test --release -p chassis --test cost_of_a_request -- --ignored --nocapture 2>/dev/null
//! ```

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use chassis::config::LogFormat;
use chassis::http::{EdgeConfig, edge};
use tower::ServiceExt;

const ROUNDS: usize = 30;
const REQUESTS: u32 = 2_000;

#[tokio::test]
#[ignore = "a measurement, which needs a release build and a quiet machine"]
async fn cost_of_a_request() {
    let _log = chassis::telemetry::start("test", "info", LogFormat::Json).expect("a log");
    let router = Router::new().route("/articles/{id}", get(|| async { "an article" }));
    let config = EdgeConfig::default();
    let app = edge("test", router, config);
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..REQUESTS {
            let request = axum::http::Request::get("/articles/1").body(Body::empty()).expect("a request");
            let response = app.clone().oneshot(request).await.expect("an answer");
            assert!(response.status().is_success());
            let body = axum::body::to_bytes(response.into_body(), 1_024).await.expect("a body");
            assert_eq!(&body[..], b"an article");
        }
        best = best.min(begun.elapsed() / REQUESTS);
    }
    chassis::say(format_args!("{} ns for a request", best.as_nanos()));
}
