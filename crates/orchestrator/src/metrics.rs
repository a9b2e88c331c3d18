//! The metrics of this service.

use chassis::metrics::{Counter, Described, Gauge};

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
/// The open streams of live events.
pub(crate) static LIVE_STREAMS: Gauge<0> = Gauge::new(
    "live_streams",
    [],
    "Open streams of live events.",
    "Near `live.streams`: further clients are refused, so add a replica or raise the limit.",
);
/// The clients that were disconnected because they read live events too slowly.
pub(crate) static LIVE_SLOW_CLIENTS: Counter<0> = Counter::new(
    "live_slow_clients_total",
    [],
    "Streams of live events that were ended because 64 events waited for their client. The client comes back and gets what it missed.",
    "A steady increase while few articles change: the process itself is too busy to send.",
);

/// Returns the descriptions of all metrics.
pub fn described() -> Vec<Described> {
    vec![
        CACHE_REQUESTS.described(),
        ARTICLE_READ_DROPPED.described(),
        LIVE_STREAMS.described(),
        LIVE_SLOW_CLIENTS.described(),
    ]
}
