//! The metrics of a section.

use chassis::metrics::{Described, Histogram};

/// The delay after which readers see a change.
pub(crate) static PROJECTION_LAG: Histogram<1> = Histogram::new(
    "projection_lag_seconds",
    ["section"],
    "How long after a change of an article readers saw it, at the moment when it was put into the view.",
    "A share above 1 that grows: writers who wait for their own writes get 503 `not_yet_projected`, readers see old news.",
)
.in_buckets(&[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0]);

/// The delay after which a scheduled article was published.
pub(crate) static PUBLICATION_LAG: Histogram<1> = Histogram::new(
    "scheduled_publication_lag_seconds",
    ["section"],
    "How long after its scheduled time an article was published.",
    "A share above 1: the section was down at the scheduled time, or its event store is slow.",
)
.in_buckets(&[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0]);

/// Returns the descriptions of all metrics.
pub fn described() -> Vec<Described> {
    vec![PROJECTION_LAG.described(), PUBLICATION_LAG.described()]
}
