//! Metrics: what a process counts about itself, in Prometheus' text format, on its internal port.
//!
//! A metric is a static value that names itself, its labels and its meaning; a service has its own in a file `metrics.rs` and hands
//! them over in [`Service::metrics`](crate::Service). Names and units follow Prometheus' conventions.
//! Labels have few values: a route's template and never an address, a queue and never a message.

mod recorder;

pub(crate) use recorder::Recorder;

/// What is common to all kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Described {
    /// The name, with its unit.
    pub name: &'static str,
    /// Which kind it is.
    pub kind: Kind,
    /// The names of its labels, in the order of their values.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence.
    pub help: &'static str,
}

/// The kinds of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up only; a restart begins at zero.
    Counter,
    /// The value of this moment.
    Gauge,
    /// How often something took how long, in buckets of seconds.
    Histogram,
}

macro_rules! metric {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<const LABELS: usize>(&'static str, [&'static str; LABELS], &'static str);

        impl<const LABELS: usize> $name<LABELS> {
            /// A metric by its name, the names of its labels, and a sentence that says what it means.
            pub const fn new(name: &'static str, labels: [&'static str; LABELS], help: &'static str) -> Self {
                Self(name, labels, help)
            }

            /// What it says of itself.
            pub const fn described(&'static self) -> Described {
                Described { name: self.0, kind: Kind::$name, labels: &self.1, help: self.2 }
            }

            fn labels(&self, values: [&str; LABELS]) -> Vec<metrics::Label> {
                let pairs = self.1.into_iter().zip(values);
                pairs.map(|(name, value)| metrics::Label::new(name, value.to_owned())).collect()
            }
        }
    };
}

metric!(
    /// Something that is counted.
    Counter
);
metric!(
    /// Something that has a value now.
    Gauge
);
metric!(
    /// Something that takes time.
    Histogram
);

impl<const LABELS: usize> Counter<LABELS> {
    /// Counts one.
    pub fn count(&self, labels: [&str; LABELS]) {
        metrics::counter!(self.0, self.labels(labels)).increment(1);
    }
}

impl<const LABELS: usize> Gauge<LABELS> {
    /// Says what it is now.
    pub fn set(&self, labels: [&str; LABELS], value: f64) {
        metrics::gauge!(self.0, self.labels(labels)).set(value);
    }
}

impl<const LABELS: usize> Histogram<LABELS> {
    /// Says how long one took.
    pub fn took(&self, labels: [&str; LABELS], duration: std::time::Duration) {
        metrics::histogram!(self.0, self.labels(labels)).record(duration.as_secs_f64());
    }
}

/// Requests over HTTP.
pub static HTTP: Histogram<4> = Histogram::new(
    "http_server_request_duration_seconds",
    ["service", "route", "method", "status"],
    "How long requests took; the route is its template, `-` where no route answered.",
);
/// Calls over gRPC, at the server.
pub static GRPC: Histogram<3> = Histogram::new(
    "grpc_server_request_duration_seconds",
    ["service", "method", "code"],
    "How long gRPC calls took at the server, by the code of their end.",
);
/// What was refused so that the rest can be served.
pub static SHED: Counter<1> = Counter::new(
    "shed_total",
    ["class"],
    "Requests refused: `overloaded` (too many in flight), `throttled` (too many of one client or account).",
);
/// Which build runs.
pub static BUILD: Gauge<2> = Gauge::new(
    "build_info",
    ["version", "config"],
    "Always 1; the labels say which version and configuration run.",
);

/// The metrics that every process has.
pub fn of_every_process() -> Vec<Described> {
    vec![HTTP.described(), GRPC.described(), SHED.described(), BUILD.described()]
}
