//! What this service counts about itself.

use chassis::metrics::{Counter, Described};

/// Requests that the read cache had a part in.
pub(crate) static CACHE_REQUESTS: Counter<2> = Counter::new(
    "cache_requests_total",
    ["cache", "outcome"],
    "Requests to the read cache of `article`, `list` or `home`: `hit` (kept), `renewal` (kept, no longer fresh, and a new one is made \
     behind this request), `stale` (kept, while no new answer can be made) or `miss` (its section was asked, with whatever end).",
    "`stale`: a section is away and readers see what was kept; a share of `miss` and `renewal` that grows: the sections do work that the \
     cache spared.",
);
/// Readings that nobody will be told of.
pub(crate) static ARTICLE_READ_DROPPED: Counter<0> = Counter::new(
    "article_read_dropped_total",
    [],
    "Readings that were dropped because too many waited for the bus (`readings.queue`).",
    "Any increase: recommendations learn less than readers read; the bus is away or too slow.",
);

/// All of them.
pub fn described() -> Vec<Described> {
    vec![CACHE_REQUESTS.described(), ARTICLE_READ_DROPPED.described()]
}
