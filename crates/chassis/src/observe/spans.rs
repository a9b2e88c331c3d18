//! Spans for a collector of traces (OpenTelemetry, OTLP over HTTP).
//!
//! The portal carries its trace in the [`Context`](crate::Context) over every boundary. At each boundary a
//! span of `tracing` records when the work began and ended, and `tracing-opentelemetry` exports it. The
//! standard `OTEL_*` variables say what is exported, and where. Without an endpoint no span is created.
//!
//! `OTEL_TRACES_SAMPLER` may be `always_on`, `always_off` or `traceidratio` (with the share in
//! `OTEL_TRACES_SAMPLER_ARG`), each also as `parentbased_…`, which is the same here. A trace is exported if
//! its id falls into the share, so that all processes decide alike without asking each other. It is never
//! exported if the caller says that it is not recorded. A caller's wish to record it does not count: anyone
//! can send one.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;

use kernel::Trace;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, SdkTracer, SdkTracerProvider, ShouldSample,
};
use tracing::{Metadata, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::values::TraceExport;

/// The target of the spans that are exported. No log line has it.
pub(super) const TARGET: &str = "trace_export";
/// The longest time that the export of the last spans may take.
const LAST_SPANS: Duration = Duration::from_secs(2);

static EXPORT: OnceLock<Export> = OnceLock::new();

/// The running export of this process.
struct Export {
    provider: SdkTracerProvider,
    sampler: Sampler,
}

impl Export {
    fn includes(&self, trace: Trace) -> bool {
        let id = TraceId::from_bytes(trace.ids().0);
        let result = self.sampler.should_sample(None, id, "", &SpanKind::Internal, &[], &[]);
        trace.is_sampled() && result.decision == SamplingDecision::RecordAndSample
    }
}

/// True if spans of this trace are exported. Code that composes names for spans checks it first.
pub fn is_exported(trace: Trace) -> bool {
    EXPORT.get().is_some_and(|export| export.includes(trace))
}

/// One part of a trace, from its beginning to its end. If it is dropped before its end, it counts as given
/// up.
#[derive(Debug)]
pub struct Span {
    span: tracing::Span,
    is_open: bool,
}

impl Span {
    /// Begins the span of a request that arrived: `trace` is its own, `parent` the one that the caller sent.
    pub fn server(name: impl Into<Cow<'static, str>>, trace: Trace, parent: Option<Trace>) -> Self {
        Self::begin("server", &name.into(), trace, parent)
    }

    /// Begins the span of an outgoing call: `trace` is sent to the callee, `parent` is the caller's own.
    pub fn client(name: impl Into<Cow<'static, str>>, trace: Trace, parent: Trace) -> Self {
        Self::begin("client", &name.into(), trace, Some(parent))
    }

    /// Begins the span of a publication: `trace` is sent to the consumers, `parent` is that of the published
    /// effect.
    pub fn producer(name: impl Into<Cow<'static, str>>, trace: Trace, parent: Trace) -> Self {
        Self::begin("producer", &name.into(), trace, Some(parent))
    }

    /// Begins the span of a message that is handled: `trace` is the handler's own, `parent` the one in the
    /// message.
    pub fn consumer(name: impl Into<Cow<'static, str>>, trace: Trace, parent: Trace) -> Self {
        Self::begin("consumer", &name.into(), trace, Some(parent))
    }

    /// A span that is not exported, in place of one that has ended.
    pub const fn none() -> Self {
        Self { span: tracing::Span::none(), is_open: false }
    }

    fn begin(kind: &'static str, name: &str, trace: Trace, parent: Option<Trace>) -> Self {
        if !is_exported(trace) {
            return Self::none();
        }
        let span =
            tracing::info_span!(target: TARGET, parent: None, "boundary", otel.name = name, otel.kind = kind);
        if let Some(parent) = parent {
            let is_remote = matches!(kind, "server" | "consumer");
            let parent =
                opentelemetry::Context::new().with_remote_span_context(context_of(parent, is_remote));
            // It fails only if another subscriber than ours runs, and then nothing is exported.
            let _ = span.set_parent(parent);
        }
        IdsOfContext::during(trace, || drop(span.context()));
        Self { span, is_open: true }
    }

    /// True if the span is exported.
    pub const fn is_recording(&self) -> bool {
        self.is_open
    }

    /// Adds an attribute, by the names of OpenTelemetry's semantic conventions.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets an attribute, by the names of OpenTelemetry's semantic conventions.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if self.is_open {
            self.span.set_attribute(name, value);
        }
    }

    /// Replaces the name, once a better one is known.
    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        if self.is_open {
            self.span.context().span().update_name(name);
        }
    }

    /// Ends the span.
    pub fn end(mut self) {
        self.is_open = false;
    }

    /// Ends the span as a failure of ours; `why` is a code and never the text of a driver.
    pub fn fail(mut self, why: impl Into<Cow<'static, str>>) {
        if std::mem::take(&mut self.is_open) {
            self.span.set_status(Status::error(why));
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if self.is_open {
            self.span.set_status(Status::error("given up"));
        }
    }
}

fn context_of(trace: Trace, is_remote: bool) -> SpanContext {
    let (id, span) = trace.ids();
    let flags = if trace.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    SpanContext::new(TraceId::from_bytes(id), SpanId::from_bytes(span), flags, is_remote, TraceState::NONE)
}

/// Gives a span the ids that its trace already has. They are in log lines, headers and stored messages too,
/// whether anything is exported or not, so they can't come from the exporter.
#[derive(Debug, Default)]
struct IdsOfContext(RandomIdGenerator);

thread_local! {
    /// The trace of the span that this thread is creating.
    static CREATED: Cell<Option<Trace>> = const { Cell::new(None) };
}

impl IdsOfContext {
    fn during(trace: Trace, create: impl FnOnce()) {
        CREATED.set(Some(trace));
        create();
        CREATED.set(None);
    }
}

impl IdGenerator for IdsOfContext {
    fn new_trace_id(&self) -> TraceId {
        CREATED.get().map_or_else(|| self.0.new_trace_id(), |trace| TraceId::from_bytes(trace.ids().0))
    }

    fn new_span_id(&self) -> SpanId {
        CREATED.get().map_or_else(|| self.0.new_span_id(), |trace| SpanId::from_bytes(trace.ids().1))
    }
}

/// Starts the export. Returns the tracer that [`layer`] records to.
///
/// # Errors
/// If the exporter can't be built.
pub(super) fn start(wish: &TraceExport, service: &'static str) -> anyhow::Result<SdkTracer> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build()?;
    let name = wish.service.clone().unwrap_or_else(|| service.to_owned());
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_attribute(version).with_service_name(name).build())
        .with_id_generator(IdsOfContext::default())
        // The decision has been made when a span is created.
        .with_sampler(Sampler::AlwaysOn)
        .build();
    // A second service of the same process shares the export of the first one.
    let export = EXPORT.get_or_init(|| Export { provider, sampler: Sampler::TraceIdRatioBased(wish.share) });
    Ok(export.provider.tracer("portal"))
}

/// Returns the layer of the subscriber that exports spans. Nothing else reaches it, so no text of the log is
/// exported.
pub(super) fn layer<S>(tracer: SdkTracer) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_level(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(filter_fn(|metadata: &Metadata<'_>| metadata.is_span() && metadata.target() == TARGET))
}

/// Exports the last spans and waits for the collector. It blocks its thread.
pub(crate) fn flush() {
    if let Some(Export { provider, .. }) = EXPORT.get()
        && let Err(error) = provider.shutdown_with_timeout(LAST_SPANS)
    {
        tracing::warn!(%error, "the last spans were not exported");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SpanData, SpanExporter};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Collector(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Collector {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().expect("no test panics in between").extend(batch);
            Ok(())
        }
    }

    fn export(share: f64, exporter: Collector) -> Export {
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter)
            .with_id_generator(IdsOfContext::default())
            .build();
        Export { provider, sampler: Sampler::TraceIdRatioBased(share) }
    }

    #[test]
    fn a_tenth_of_all_traces_is_exported_and_every_span_of_them() {
        let export = export(0.1, Collector::default());
        let traces: Vec<Trace> = (0..10_000).map(|_| Trace::start()).collect();
        let exported: Vec<&Trace> = traces.iter().filter(|trace| export.includes(**trace)).collect();
        assert!((800..1200).contains(&exported.len()), "{}", exported.len());
        assert!(exported.iter().all(|trace| export.includes(trace.child())), "every process decides alike");
    }

    #[test]
    fn a_trace_that_its_caller_does_not_record_is_not_exported() {
        let export = export(1.0, Collector::default());
        let not_recorded = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        assert!(!export.includes(not_recorded.parse().expect("a trace")));
        assert!(export.includes(Trace::start()));
    }

    #[test]
    fn an_exported_span_has_the_ids_of_its_context() {
        let collector = Collector::default();
        // The other tests of this process run with the same export.
        let export = EXPORT.get_or_init(|| export(1.0, collector.clone()));
        let subscriber = tracing_subscriber::registry().with(layer(export.provider.tracer("portal")));
        let parent = Trace::start();
        let trace = parent.child();
        tracing::subscriber::with_default(subscriber, || {
            let mut span = Span::server("first name", trace, Some(parent)).with("http.route", "/x");
            span.rename("GET /x");
            span.fail("internal");
            drop(Span::client("call", trace.child(), trace));
        });
        let spans = collector.0.lock().expect("no test panics in between");
        let [server, client] = spans.as_slice() else { panic!("two spans: {spans:?}") };
        assert_eq!(server.span_context.trace_id(), TraceId::from_bytes(trace.ids().0));
        assert_eq!(server.span_context.span_id(), SpanId::from_bytes(trace.ids().1));
        assert_eq!(server.parent_span_id, SpanId::from_bytes(parent.ids().1));
        assert_eq!((&*server.name, &server.span_kind), ("GET /x", &SpanKind::Server));
        assert_eq!(server.attributes, [KeyValue::new("http.route", "/x")]);
        assert_eq!(server.status, Status::error("internal"));
        assert!(server.parent_span_is_remote && !client.parent_span_is_remote);
        assert_eq!(
            (client.parent_span_id, &client.status),
            (server.span_context.span_id(), &Status::error("given up"))
        );
    }
}
