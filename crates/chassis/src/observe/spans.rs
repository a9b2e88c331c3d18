//! Spans for a collector of traces (OpenTelemetry, OTLP over HTTP).
//!
//! The portal carries its trace in [`Context`](crate::Context) over every seam; here each seam says when its part began and ended.
//! What is exported, and where, follows the standard `OTEL_*` variables: without an endpoint a span costs nothing and goes nowhere.
//!
//! `OTEL_TRACES_SAMPLER` may be `always_on`, `always_off` or `traceidratio` (with the share in `OTEL_TRACES_SAMPLER_ARG`), each also as
//! `parentbased_…`, which is the same here: a trace is told where its id falls into the share, so that all processes agree without
//! a word, and never where its caller says that it is not recorded. That a caller wants it recorded is no claim to it: anybody can.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use kernel::Trace;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanProcessor};

static EXPORT: OnceLock<Export> = OnceLock::new();

/// How long the last spans may take on their way out.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Where spans go, and which.
struct Export {
    processor: BatchSpanProcessor,
    /// Of traces by the last 63 bits of their ids, those below.
    below: u64,
}

impl Export {
    fn wants(&self, trace: Trace) -> bool {
        trace.is_sampled() && place(trace) < self.below
    }
}

/// Where a trace lies among all, as OpenTelemetry's own sampler places it.
fn place(trace: Trace) -> u64 {
    let [_, _, _, _, _, _, _, _, last @ ..] = trace.ids().0;
    u64::from_be_bytes(last) >> 1
}

/// The place below which lies this share of all traces.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of some"
)]
fn below(share: f64) -> u64 {
    if share >= 1.0 { u64::MAX } else { (share.max(0.0) * (1u64 << 63) as f64) as u64 }
}

/// Whether spans of this trace are told to anybody: who makes up names for them asks first.
pub fn wanted(trace: Trace) -> bool {
    EXPORT.get().is_some_and(|export| export.wants(trace))
}

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

    /// Messages that go out: `trace` is what their consumers get, `parent` that of the effect that they tell of.
    pub fn producer(name: impl Into<Cow<'static, str>>, trace: Trace, parent: Trace) -> Self {
        Self::begin(SpanKind::Producer, name.into(), trace, Some(parent))
    }

    /// A message that is handled: `trace` is the handler's own, `parent` what came with the message.
    pub fn consumer(name: impl Into<Cow<'static, str>>, trace: Trace, parent: Trace) -> Self {
        Self::begin(SpanKind::Consumer, name.into(), trace, Some(parent))
    }

    /// One that is not told: in place of one that has ended.
    pub const fn none() -> Self {
        Self(None)
    }

    fn begin(kind: SpanKind, name: Cow<'static, str>, trace: Trace, parent: Option<Trace>) -> Self {
        if !wanted(trace) {
            return Self(None);
        }
        let open = Open { trace, parent, kind, name, started: now(), attributes: Vec::new() };
        Self(Some(Box::new(open)))
    }

    /// Whether it is told to anybody.
    pub const fn is_told(&self) -> bool {
        self.0.is_some()
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
        let (Some(open), Some(export)) = (self.0.take(), EXPORT.get()) else { return };
        export.processor.on_end(open.data(status));
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
        let remote = matches!(self.kind, SpanKind::Server | SpanKind::Consumer);
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
    let Some(Wish { endpoint, share }) = wish(&variables).map_err(anyhow::Error::msg)? else { return Ok(()) };
    let below = below(share);
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build()?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    // OTEL_SERVICE_NAME goes over it.
    let resource =
        Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let resource = match said(&variables, "OTEL_SERVICE_NAME") {
        Some(name) => resource.with_service_name(name.to_owned()),
        None => resource.with_service_name(service),
    };
    processor.set_resource(&resource.build());
    // Once in a process; a second service of the same process shares it.
    let _ = EXPORT.set(Export { processor, below });
    tracing::info!(endpoint, "traces are exported");
    Ok(())
}

/// What the variables ask for.
struct Wish<'a> {
    endpoint: &'a str,
    share: f64,
}

/// The value of a variable; an empty one says nothing.
fn said<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = variables.iter().find(|(given, _)| given == name);
    found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}

/// What is asked for, if anything; or the fault, in a sentence that names the variable.
fn wish(variables: &[(String, String)]) -> Result<Option<Wish<'_>>, String> {
    let is = |name: &str| said(variables, name);
    let found = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]
        .into_iter()
        .find_map(|name| Some((name, is(name)?)));
    let off = is("OTEL_SDK_DISABLED") == Some("true") || is("OTEL_TRACES_EXPORTER") == Some("none");
    let Some((name, endpoint)) = found.filter(|_| !off) else { return Ok(None) };
    let uri = endpoint.parse::<http::Uri>().ok();
    if !uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()) {
        return Err(format!("{name} must be an address such as http://collector:4318"));
    }
    let share = share(is("OTEL_TRACES_SAMPLER"), is("OTEL_TRACES_SAMPLER_ARG"))?;
    Ok(Some(Wish { endpoint, share }))
}

/// What is wrong with the variables, if anything.
pub(crate) fn fault(variables: &[(String, String)]) -> Option<String> {
    wish(variables).err()
}

/// The share of traces that is told, as the variables say.
fn share(sampler: Option<&str>, argument: Option<&str>) -> Result<f64, String> {
    let sampler = sampler.unwrap_or("always_on");
    match sampler.strip_prefix("parentbased_").unwrap_or(sampler) {
        "always_on" => Ok(1.0),
        "always_off" => Ok(0.0),
        "traceidratio" => {
            let share = argument.unwrap_or("1").parse().ok().filter(|share| (0.0..=1.0).contains(share));
            share.ok_or_else(|| "OTEL_TRACES_SAMPLER_ARG must be a share from 0 to 1".to_owned())
        }
        _ => Err("OTEL_TRACES_SAMPLER must be always_on, always_off or traceidratio".to_owned()),
    }
}

/// Sends what is left, and waits for it: at the end of the process, where a thread may wait.
pub(crate) fn flush() {
    if let Some(Export { processor, .. }) = EXPORT.get()
        && let Err(error) = processor.shutdown_with_timeout(LAST_SPANS)
    {
        tracing::warn!(%error, "the last spans were not exported");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_all_traces_is_told_and_every_process_chooses_the_same() {
        let below = below(share(Some("parentbased_traceidratio"), Some("0.1")).expect("a share"));
        let traces: Vec<Trace> = (0..10_000).map(|_| Trace::start()).collect();
        let told: Vec<&Trace> = traces.iter().filter(|trace| place(**trace) < below).collect();
        assert!((800..1200).contains(&told.len()), "{}", told.len());
        assert!(told.iter().all(|trace| place(trace.child()) < below), "a span of it is told too");
    }

    #[test]
    fn without_a_sampler_every_trace_is_told_and_with_a_wrong_one_the_process_does_not_start() {
        assert_eq!(below(share(None, Some("0.1")).expect("a share")), u64::MAX);
        assert_eq!(below(share(Some("always_off"), None).expect("a share")), 0);
        assert_eq!(share(Some("traceidratio"), None).expect("a share"), 1.0);
        for (sampler, argument) in [("jaeger_remote", "1"), ("traceidratio", "10"), ("traceidratio", "often")]
        {
            assert!(share(Some(sampler), Some(argument)).is_err(), "{sampler} {argument}");
        }
    }

    #[test]
    fn an_endpoint_is_an_address_of_http_and_matters_only_where_traces_are_wanted() {
        const OWN: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        const OF_ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let with = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            wish(&pairs).map(|wish| wish.map(|wish| wish.endpoint.to_owned()))
        };
        assert_eq!(with(&[]), Ok(None));
        let found = with(&[(OF_ALL, "https://all:4318/x"), (OWN, "")]);
        assert_eq!(found, Ok(Some("https://all:4318/x".to_owned())));
        for bad in ["nonsense", "collector:4318", "grpc://u:s3cret@collector", "http://"] {
            let fault = with(&[(OF_ALL, "http://all:4318"), (OWN, bad)]).expect_err(bad);
            assert!(fault.starts_with(OWN) && !fault.contains("s3cret"), "{fault}");
            assert_eq!(with(&[(OF_ALL, bad), ("OTEL_SDK_DISABLED", "true")]), Ok(None));
        }
    }

    #[test]
    fn without_an_export_no_span_is_told() {
        let trace = Trace::start();
        assert!(!wanted(trace) && !Span::producer("publish", trace.child(), trace).is_told());
    }
}
