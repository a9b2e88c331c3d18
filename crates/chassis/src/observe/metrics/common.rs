//! The metrics of every process.

use super::{Counter, Described, Gauge, Histogram, Kind};

/// Requests over HTTP.
pub static HTTP: Histogram<4> = Histogram::new(
    "http_server_request_duration_seconds",
    ["service", "route", "method", "status"],
    "The duration of requests; `route` is a template, and `-` if no route matched.",
    "The share of answers with 5xx and the time of the slowest hundredth: readers notice both.",
);
/// Calls over gRPC, at the server.
pub static GRPC: Histogram<3> = Histogram::new(
    "grpc_server_request_duration_seconds",
    ["service", "method", "code"],
    "The duration of gRPC calls at the server, by the code of their end.",
    "A growing duration, before callers give up: their deadline is 250 to 400 ms.",
);
/// Requests that were refused so that the others can be served.
pub static SHED: Counter<1> = Counter::new(
    "shed_total",
    ["class"],
    "Requests refused: `overloaded` (too many in flight, or too many bytes waiting), `throttled` (too many of one client or account), \
     `share` (too many of one client at once).",
    "`overloaded` means that more replicas are needed; `throttled` that a client scrapes, guesses or retries without end.",
);
/// Reached bounds of a listener.
pub static BOUND: Counter<1> = Counter::new(
    "listener_bound_total",
    ["bound"],
    "The number of times that a bound of a listener was reached: `connections`, `connections_per_address`, `in_flight_per_address`, \
     `receiving_per_address`, `streams_per_address`, `unsent_bytes`, `unsent_bytes_per_address`, `stalled` (a client did not \
     read its answer, and its connection was closed).",
    "Any rate: one client takes more than its share, or a proxy is missing in `edge.trusted_proxies`.",
);
/// The state of the breaker in front of a dependency.
pub static BREAKER: Gauge<1> = Gauge::new(
    "breaker_state",
    ["dependency"],
    "The state of the circuit breaker in front of a dependency: 0 closed, 1 probing, 2 open; shown from its first call on.",
    "Above 0 for longer than a minute: the dependency is down and its callers do without it.",
);
/// Repeated calls.
pub static RETRY: Counter<1> = Counter::new(
    "retry_total",
    ["dependency"],
    "Calls that failed and were repeated.",
    "A rate near a tenth of the calls: the retry budget is exhausted, and further failures reach the clients.",
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
    "The sum over all replicas: it must stay below the limit of the server.",
);
/// Lines of the log that are missing.
pub static LOG_LOST: Counter<0> = Counter::new(
    "log_lines_lost_total",
    [],
    "Lines of the log that were lost because its reader was too slow or standard error could not be written.",
    "Any increase: the log has gaps. Its collector is too slow, has stopped reading, or its disk is full.",
);
/// The running build.
pub static BUILD: Gauge<2> = Gauge::new(
    "build_info",
    ["version", "config"],
    "Always 1; the labels say which version and configuration run.",
    "More than one version or fingerprint of a service at once: a roll-out that got stuck.",
);

/// Returns the metrics of the work of every process.
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

/// Returns the metrics of every process that the operating system knows.
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
            "Memory in RAM.",
            "Growth that goes on after the load has ended: a leak.",
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
            "A value near `process_max_fds`: then no connection can be accepted.",
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
            "The start time of the process, in seconds since 1970.",
            "Changes without a deployment: the process crashes and is restarted.",
        ),
    ]
}
