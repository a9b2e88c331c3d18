//! A collector of traces, as OTLP over HTTP knows it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use testkit::{PATIENCE, wait_until};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The expectation for one span: its service, its kind and its name.
pub type ExpectedSpan = (&'static str, SpanKind, &'static str);

/// A span that was exported.
#[derive(Debug, Clone)]
pub struct ExportedSpan {
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    name: String,
    kind: SpanKind,
    pub failed: bool,
    /// Its attributes that are texts.
    pub texts: BTreeMap<String, String>,
}

impl ExportedSpan {
    fn is(&self, (service, kind, name): ExpectedSpan) -> bool {
        let by = self.texts.get("portal.service").map(String::as_str);
        by == Some(service) && self.kind == kind && self.name == name
    }
}

/// A collector that stores the exported spans until it is dropped.
pub struct Collector {
    url: String,
    received: Arc<Mutex<Vec<ExportedSpan>>>,
    task: JoinHandle<()>,
}

impl Collector {
    #[expect(clippy::disallowed_methods, reason = "its owner aborts it when it is dropped")]
    pub async fn start() -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let keep = received.clone();
        let take = post(move |body: Bytes| async move { keep.lock().expect("whole").extend(read(body)) });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().route("/v1/traces", take);
        let serve = async move { axum::serve(listener, router).await.expect("a bound socket can be served") };
        Self { url, received, task: tokio::spawn(serve) }
    }

    /// Returns the settings that make a portal export to this collector soon.
    pub fn settings(&self) -> [(&str, &str); 2] {
        [("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url), ("OTEL_BSP_SCHEDULE_DELAY", "50")]
    }

    /// Returns the spans of a trace that were exported so far.
    pub fn spans_of(&self, trace: &[u8; 16]) -> Vec<ExportedSpan> {
        let received = self.received.lock().expect("whole");
        received.iter().filter(|span| span.trace == trace).cloned().collect()
    }

    /// Waits until these spans of a trace were exported, each the child of the one before it and the first a
    /// child of `parent`. Returns the last.
    pub async fn path(&self, trace: &[u8; 16], parent: &[u8; 8], steps: &[ExpectedSpan]) -> ExportedSpan {
        // This ends before the test's own deadline, so that the failure shows the spans that were exported
        // instead.
        let end = Instant::now() + PATIENCE / 2;
        wait_until("spans of a trace", PATIENCE, || async {
            let spans = self.spans_of(trace);
            let found = path(&spans, parent, steps);
            assert!(found.is_some() || Instant::now() < end, "no {steps:?} in {spans:#?}");
            found
        })
        .await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn path(spans: &[ExportedSpan], parent: &[u8], steps: &[ExpectedSpan]) -> Option<ExportedSpan> {
    let (first, rest) = steps.split_first()?;
    let mut children = spans.iter().filter(|span| span.parent == parent && span.is(*first));
    if rest.is_empty() {
        return children.next().cloned();
    }
    children.find_map(|child| path(spans, &child.id, rest))
}

fn read(body: Bytes) -> Vec<ExportedSpan> {
    let request = ExportTraceServiceRequest::decode(body).expect("an export is OTLP");
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).map(decode_span).collect()
}

fn decode_span(span: Span) -> ExportedSpan {
    let text = |value| match value {
        Some(Value::StringValue(text)) => Some(text),
        _ => None,
    };
    let attribute = |it: opentelemetry_proto::tonic::common::v1::KeyValue| {
        Some((it.key, text(it.value.and_then(|value| value.value))?))
    };
    ExportedSpan {
        kind: span.kind(),
        failed: span.status.is_some_and(|status| status.code() == StatusCode::Error),
        trace: span.trace_id,
        id: span.span_id,
        parent: span.parent_span_id,
        name: span.name,
        texts: span.attributes.into_iter().filter_map(attribute).collect(),
    }
}
