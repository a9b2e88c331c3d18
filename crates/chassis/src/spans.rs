//! Spans for a collector of traces (OpenTelemetry, OTLP over HTTP).
//!
//! The portal carries its trace in [`Context`](crate::Context) over every seam; here each seam says when its part began and ended.
//! What is exported, and where, follows the standard `OTEL_*` variables: without an endpoint a span costs nothing and goes nowhere.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use kernel::Trace;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanProcessor};

static PROCESSOR: OnceLock<BatchSpanProcessor> = OnceLock::new();

/// How long the last spans may take on their way out.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// One part of a trace, from its beginning to its end. Dropped before its end it counts as given up.
#[derive(Debug)]
pub struct Span(Option<Box<Open>>);

#[derive(Debug)]
struct Open {
    trace: Trace,
    parent: Option<Trace>,
    kind: SpanKind,
    name: Cow<'static, str>,
    started: SystemTime,
    attributes: Vec<KeyValue>,
}

impl Span {
    /// A request that arrived: `trace` is its own, `parent` what the caller sent.
    pub fn server(name: impl Into<Cow<'static, str>>, trace: Trace, parent: Option<Trace>) -> Self {
        Self::begin(SpanKind::Server, name.into(), trace, parent)
    }

    /// A call that goes out: `trace` is what the callee gets, `parent` the caller's own.
    pub fn client(name: impl Into<Cow<'static, str>>, trace: Trace, parent: Trace) -> Self {
        Self::begin(SpanKind::Client, name.into(), trace, Some(parent))
    }

    /// One that is not told: in place of one that has ended.
    pub const fn none() -> Self {
        Self(None)
    }

    fn begin(kind: SpanKind, name: Cow<'static, str>, trace: Trace, parent: Option<Trace>) -> Self {
        if PROCESSOR.get().is_none() || !trace.is_sampled() {
            return Self(None);
        }
        let open = Open { trace, parent, kind, name, started: now(), attributes: Vec::new() };
        Self(Some(Box::new(open)))
    }

    /// Says something about it, by the names of OpenTelemetry's semantic conventions.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// The same, later.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.attributes.push(KeyValue::new(name, value));
        }
    }

    /// Gives it a better name, once that is known.
    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        if let Some(open) = &mut self.0 {
            open.name = name.into();
        }
    }

    /// Ends it.
    pub fn end(mut self) {
        self.finish(Status::Unset);
    }

    /// Ends it as a failure that is ours; `why` is a code and never a text of a driver.
    pub fn fail(mut self, why: impl Into<Cow<'static, str>>) {
        self.finish(Status::error(why));
    }

    fn finish(&mut self, status: Status) {
        let (Some(open), Some(processor)) = (self.0.take(), PROCESSOR.get()) else { return };
        processor.on_end(open.data(status));
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.finish(Status::error("given up"));
    }
}

impl Open {
    fn data(self, status: Status) -> SpanData {
        let (trace, span) = self.trace.ids();
        let flags = if self.trace.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        let (trace, span) = (TraceId::from_bytes(trace), SpanId::from_bytes(span));
        let remote = self.kind == SpanKind::Server;
        SpanData {
            span_context: SpanContext::new(trace, span, flags, false, TraceState::NONE),
            parent_span_id: self.parent.map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.ids().1)),
            parent_span_is_remote: remote && self.parent.is_some(),
            span_kind: self.kind,
            name: self.name,
            start_time: self.started,
            end_time: now(),
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status,
            instrumentation_scope: InstrumentationScope::builder("portal").build(),
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a span is not stored by us: the collector wants the wall clock"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Begins to export, where the `OTEL_*` variables name an endpoint.
///
/// # Errors
/// Where they can't be used.
pub(crate) fn install(service: &'static str) -> anyhow::Result<()> {
    let variables = crate::config::variables();
    let is = |name: &str| variables.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
    let endpoint =
        is("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| is("OTEL_EXPORTER_OTLP_ENDPOINT")).unwrap_or("");
    let off = is("OTEL_SDK_DISABLED") == Some("true") || is("OTEL_TRACES_EXPORTER") == Some("none");
    if endpoint.is_empty() || off {
        return Ok(());
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build()?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    // OTEL_SERVICE_NAME goes over it.
    let resource =
        Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let resource = match is("OTEL_SERVICE_NAME") {
        Some(name) => resource.with_service_name(name.to_owned()),
        None => resource.with_service_name(service),
    };
    processor.set_resource(&resource.build());
    // Once in a process; a second service of the same process shares it.
    let _ = PROCESSOR.set(processor);
    tracing::info!(endpoint, "traces are exported");
    Ok(())
}

/// Sends what is left, and waits for it: at the end of the process, where a thread may wait.
pub(crate) fn flush() {
    if let Some(processor) = PROCESSOR.get()
        && let Err(error) = processor.shutdown_with_timeout(LAST_SPANS)
    {
        tracing::warn!(%error, "the last spans were not exported");
    }
}
