//! Metrics: what a process counts about itself, in Prometheus' text format, on its internal port.
//!
//! A metric is a static value that names itself, its labels, its meaning and what to watch it for; a service has its own in a file
//! `metrics.rs` and hands them over in [`Service::metrics`](crate::Service). `docs/metrics.md` is made from them. Names and units
//! follow Prometheus' conventions. Labels have few values: a route's template and never an address, a queue and never a message.

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

/// The value of a label: a static text costs nothing, a shared one (`Arc<str>`) hardly more.
pub type Value = metrics::SharedString;

/// What is common to all kinds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Described {
    /// The name, with its unit.
    pub name: &'static str,
    /// Which kind it is.
    pub kind: Kind,
    /// The names of its labels, in the order of their values.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence.
    pub help: &'static str,
    /// What to watch it for, in a sentence.
    pub watch: &'static str,
    /// The buckets of a histogram that has others than the usual ones, in seconds.
    pub buckets: Option<&'static [f64]>,
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

impl Kind {
    /// As Prometheus calls it.
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
            /// A metric by its name, the names of its labels, a sentence that says what it means, and one that says what to
            /// watch it for.
            pub const fn new(
                name: &'static str,
                labels: [&'static str; LABELS],
                help: &'static str,
                watch: &'static str,
            ) -> Self {
                Self { name, labels, help, watch, buckets: None }
            }

            /// What it says of itself.
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
    pub fn count(&self, labels: [Value; LABELS]) {
        self.of(labels).count();
    }

    /// Takes over a number that is counted elsewhere since the start of the process.
    pub(crate) fn stands_at(&self, labels: [Value; LABELS], number: u64) {
        metrics::counter!(self.name, self.labels(labels)).absolute(number);
    }

    /// The counter with these labels, for whoever counts often: it is found once. From here on it is there, with zero. To be
    /// asked for once the process runs: what is found before its [`Host`](crate::Host) has started is told to nobody.
    pub fn of(&self, labels: [Value; LABELS]) -> Counting {
        Counting(metrics::counter!(self.name, self.labels(labels)))
    }
}

impl<const LABELS: usize> Gauge<LABELS> {
    /// Says what it is now.
    pub fn set(&self, labels: [Value; LABELS], value: f64) {
        metrics::gauge!(self.name, self.labels(labels)).set(value);
    }
}

impl<const LABELS: usize> Histogram<LABELS> {
    /// The same with other buckets than the usual ones, in seconds.
    pub const fn in_buckets(self, buckets: &'static [f64]) -> Self {
        Self { buckets: Some(buckets), ..self }
    }

    /// Says how long one took.
    pub fn took(&self, labels: [Value; LABELS], duration: Duration) {
        self.of(labels).took(duration);
    }

    /// The histogram with these labels, as [`Counter::of`].
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
    /// Says how long one took.
    pub fn took(&self, duration: Duration) {
        self.0.record(duration.as_secs_f64());
    }
}
