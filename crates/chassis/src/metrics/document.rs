use std::fmt::Write;

use super::{Described, Kind};

/// The text of `docs/metrics.md`.
pub fn document(metrics: &[Described]) -> String {
    let mut all = metrics.to_vec();
    all.sort_by_key(|metric| metric.name);
    all.dedup();
    let mut text = HEAD.to_owned();
    for metric in all {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(text, "| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.help);
    }
    text
}

const HEAD: &str = "\
# Metrics

Made from the code by `cargo run -p portal -- describe metrics > docs/metrics.md`; a test compares.

Each process answers `GET /metrics` on its internal address (`process.internal_listen`), never through the gateway, in Prometheus' text format. Histograms
are in seconds. Beside these there are the process's own (`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`,
`process_start_time_seconds` and so on).

| name | kind | labels | what it says |
|---|---|---|---|
";
