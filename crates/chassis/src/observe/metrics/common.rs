//! What every process counts, as far as it has what is counted.

use super::{Counter, Described, Gauge, Histogram, Kind};

/// Requests over HTTP.
pub static HTTP: Histogram<4> = Histogram::new(
    "http_server_request_duration_seconds",
    ["service", "route", "method", "status"],
    "How long requests took; the route is its template, `-` where no route answered.",
    "The share of answers with 5xx and the time of the slowest hundredth: what readers feel.",
);
/// Calls over gRPC, at the server.
pub static GRPC: Histogram<3> = Histogram::new(
    "grpc_server_request_duration_seconds",
    ["service", "method", "code"],
    "How long gRPC calls took at the server, by the code of their end.",
    "A callee that grows slow before its callers give up: their deadline is 250 to 400 ms.",
);
/// What was refused so that the rest can be served.
pub static SHED: Counter<1> = Counter::new(
    "shed_total",
    ["class"],
    "Requests refused: `overloaded` (too many in flight, or too many bytes waiting), `throttled` (too many of one client or account), \
     `share` (too many of one client at once).",
    "`overloaded` says that more replicas are needed; `throttled` that somebody scrapes, guesses or retries without end.",
);
/// What reached a bound of a listener.
pub static BOUND: Counter<1> = Counter::new(
    "listener_bound_total",
    ["bound"],
    "How often a bound of a listener was reached: `connections`, `connections_per_address`, `in_flight_per_address`, \
     `receiving_per_address`, `streams_per_address`, `unsent_bytes`, `unsent_bytes_per_address`, `stalled` (an answer that its client \
     did not take, whose connection was closed).",
    "Any rate: one client takes more than its share, or a proxy is missing in `edge.trusted_proxies`.",
);
/// How the breaker before a dependency stands.
pub static BREAKER: Gauge<1> = Gauge::new(
    "breaker_state",
    ["dependency"],
    "How the circuit breaker before a dependency stands: 0 closed, 1 a probe is out, 2 open; shown from its first call on.",
    "Above 0 for longer than a minute: the dependency is gone and its callers go without.",
);
/// What was tried again.
pub static RETRY: Counter<1> = Counter::new(
    "retry_total",
    ["dependency"],
    "Calls that failed and were made once more.",
    "A rate near a tenth of the calls: the budget of retries is used up, and further failures reach the clients.",
);
/// The connections of a pool.
pub static POOL: Gauge<2> = Gauge::new(
    "db_pool_connections",
    ["pool", "state"],
    "Connections to a database, `idle` or `used`, when the metrics were fetched.",
    "`used` at `db_pool_max_connections` for long: requests wait for a connection and run into their deadlines.",
);
/// The most connections of a pool.
pub static POOL_MOST: Gauge<1> = Gauge::new(
    "db_pool_max_connections",
    ["pool"],
    "The most connections that a pool may have.",
    "The sum over all replicas, which must stay under what the server allows.",
);
/// Lines of the log that are missing.
pub static LOG_LOST: Counter<0> = Counter::new(
    "log_lines_lost_total",
    [],
    "Lines of the log that were lost: its reader was too slow, or standard error could not be written.",
    "Any increase: the log has gaps; what collects it is too slow, has stopped reading, or its disk is full.",
);
/// Which build runs.
pub static BUILD: Gauge<2> = Gauge::new(
    "build_info",
    ["version", "config"],
    "Always 1; the labels say which version and configuration run.",
    "More than one version or fingerprint of a service at once: a roll-out that got stuck.",
);

/// What every process counts about its work.
pub fn of_every_process() -> Vec<Described> {
    vec![
        HTTP.described(),
        GRPC.described(),
        SHED.described(),
        BOUND.described(),
        BREAKER.described(),
        RETRY.described(),
        POOL.described(),
        POOL_MOST.described(),
        LOG_LOST.described(),
        BUILD.described(),
    ]
}

/// What the operating system knows of every process.
pub fn of_the_operating_system() -> Vec<Described> {
    let described =
        |name, kind, help, watch| Described { name, kind, labels: &[], help, watch, buckets: None };
    vec![
        described(
            "process_cpu_seconds_total",
            Kind::Counter,
            "CPU time spent, in user mode and in the system.",
            "A rate near the number of cores: the process has reached its limit.",
        ),
        described(
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Memory that lies in RAM.",
            "Growth that does not end after the load has: a leak.",
        ),
        described(
            "process_virtual_memory_bytes",
            Kind::Gauge,
            "Address space in use.",
            "Nothing by itself; it explains a limit that was hit.",
        ),
        described(
            "process_virtual_memory_max_bytes",
            Kind::Gauge,
            "The most address space that the process may use.",
            "Nothing by itself; it explains a limit that was hit.",
        ),
        described(
            "process_open_fds",
            Kind::Gauge,
            "Open file descriptors.",
            "Near `process_max_fds`: no connection can be accepted any more.",
        ),
        described(
            "process_max_fds",
            Kind::Gauge,
            "The most file descriptors that the process may have.",
            "A value below 20,000 in production: half of them are for connections, at most 10,000.",
        ),
        described(
            "process_threads",
            Kind::Gauge,
            "Threads of the process.",
            "Growth without end: a driver that leaves threads behind.",
        ),
        described(
            "process_start_time_seconds",
            Kind::Gauge,
            "When the process started, in seconds since 1970.",
            "Changes that nobody made: the process crashes and is started again.",
        ),
    ]
}
