//! Metrics of a process in the text format of Prometheus, on its internal port.
//!
//! A metric is a static value with its name, its labels, its meaning, and the reason to watch it. A service
//! has its own in a file `metrics.rs` and lists them in [`Service::metrics`](crate::Service).
//! `docs/metrics.md` is generated from them. Names and units follow the conventions of Prometheus. Labels
//! have few values: the template of a route and never an address, a queue and never a message.

mod common;
mod pools;
mod recorder;

use std::time::Duration;

pub use common::{
    BOUND, BREAKER, BUILD, GRPC, HTTP, LOG_LOST, POOL, POOL_MOST, RETRY, SHED, of_every_process,
    of_the_operating_system,
};
pub use pools::{Pool, WatchedPool, watch_pool};
pub(crate) use recorder::Recorder;

/// The value of a label. A static text costs nothing, and a shared one (`Arc<str>`) hardly more.
pub type Value = metrics::SharedString;

/// The description of a metric of any kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Described {
    /// The name, with its unit.
    pub name: &'static str,
    /// The kind.
    pub kind: Kind,
    /// The names of the labels, in the order of their values.
    pub labels: &'static [&'static str],
    /// The meaning, in a sentence.
    pub help: &'static str,
    /// The reason to watch it, in a sentence.
    pub watch: &'static str,
    /// The buckets of a histogram in seconds, if they differ from the usual ones.
    pub buckets: Option<&'static [f64]>,
}

/// The kinds of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows. A restart begins at zero.
    Counter,
    /// The value at the moment.
    Gauge,
    /// The distribution of durations, in buckets of seconds.
    Histogram,
}

impl Kind {
    /// Returns the name that Prometheus uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

macro_rules! metric {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<const LABELS: usize> {
            name: &'static str,
            labels: [&'static str; LABELS],
            help: &'static str,
            watch: &'static str,
            buckets: Option<&'static [f64]>,
        }

        impl<const LABELS: usize> $name<LABELS> {
            /// Creates a metric from its name, the names of its labels, a sentence about its meaning, and one
            /// about the reason to watch it.
            pub const fn new(
                name: &'static str,
                labels: [&'static str; LABELS],
                help: &'static str,
                watch: &'static str,
            ) -> Self {
                Self { name, labels, help, watch, buckets: None }
            }

            /// Returns its description.
            pub const fn described(&'static self) -> Described {
                let Self { name, labels, help, watch, buckets } = self;
                Described { name, kind: Kind::$name, labels, help, watch, buckets: *buckets }
            }

            fn labels(&self, values: [Value; LABELS]) -> Vec<metrics::Label> {
                self.labels.into_iter().zip(values).map(|(name, value)| metrics::Label::new(name, value)).collect()
            }
        }
    };
}

metric!(
    /// A counter.
    Counter
);
metric!(
    /// A value that goes up and down.
    Gauge
);
metric!(
    /// A distribution of durations.
    Histogram
);

impl<const LABELS: usize> Counter<LABELS> {
    /// Counts one.
    pub fn count(&self, labels: [Value; LABELS]) {
        self.of(labels).count();
    }

    /// Sets the number, which is counted elsewhere since the start of the process.
    pub(crate) fn set_total(&self, labels: [Value; LABELS], number: u64) {
        metrics::counter!(self.name, self.labels(labels)).absolute(number);
    }

    /// Returns the counter with these labels, for code that counts often. From now on it is shown, with zero.
    ///
    /// Call it when the process runs: a counter that is looked up before its [`Host`](crate::Host) has
    /// started is never shown.
    pub fn of(&self, labels: [Value; LABELS]) -> Counting {
        Counting(metrics::counter!(self.name, self.labels(labels)))
    }
}

impl<const LABELS: usize> Gauge<LABELS> {
    /// Sets the value.
    pub fn set(&self, labels: [Value; LABELS], value: f64) {
        metrics::gauge!(self.name, self.labels(labels)).set(value);
    }

    /// Changes the value by `difference`.
    pub fn change(&self, labels: [Value; LABELS], difference: f64) {
        metrics::gauge!(self.name, self.labels(labels)).increment(difference);
    }
}

impl<const LABELS: usize> Histogram<LABELS> {
    /// Sets other buckets than the usual ones, in seconds.
    pub const fn in_buckets(self, buckets: &'static [f64]) -> Self {
        Self { buckets: Some(buckets), ..self }
    }

    /// Records a duration.
    pub fn record(&self, labels: [Value; LABELS], duration: Duration) {
        self.of(labels).record(duration);
    }

    /// Returns the histogram with these labels, as [`Counter::of`] does.
    pub fn of(&self, labels: [Value; LABELS]) -> Timing {
        Timing(metrics::histogram!(self.name, self.labels(labels)))
    }
}

/// A counter with its labels.
#[derive(Clone)]
pub struct Counting(metrics::Counter);

impl Counting {
    /// Counts one.
    pub fn count(&self) {
        self.0.increment(1);
    }
}

/// A histogram with its labels.
#[derive(Clone)]
pub struct Timing(metrics::Histogram);

impl Timing {
    /// Records a duration.
    pub fn record(&self, duration: Duration) {
        self.0.record(duration.as_secs_f64());
    }
}
