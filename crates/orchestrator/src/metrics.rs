//! The metrics of this service.

use chassis::metrics::{Counter, Described};

/// The requests to the read cache.
pub(crate) static CACHE_REQUESTS: Counter<2> = Counter::new(
    "cache_requests_total",
    ["cache", "outcome"],
    "Requests to the read cache for `article`, `list` or `home`: `hit` (a stored answer), `renewal` (a stored answer that is no longer fresh; a \
     new one is made behind this request), `stale` (a stored answer, because no new one can be made) or `miss` (the section was called, \
     with any result).",
    "`stale`: a section is unavailable and readers see stored answers. A growing share of `miss` and `renewal`: the sections do work that the \
     cache saved before.",
);
/// The readings that were dropped before they were published.
pub(crate) static ARTICLE_READ_DROPPED: Counter<0> = Counter::new(
    "article_read_dropped_total",
    [],
    "Readings that were dropped because too many waited for the bus (`readings.queue`).",
    "Any increase: recommendations miss readings, because the bus is down or too slow.",
);

/// Returns the descriptions of all metrics.
pub fn described() -> Vec<Described> {
    vec![CACHE_REQUESTS.described(), ARTICLE_READ_DROPPED.described()]
}
