//! `portal metrics`: the list of all metrics, which is `docs/metrics.md`.

use std::fmt::Write as _;

use chassis::metrics::{Described, of_every_process, of_the_operating_system};

const BEGINNING: &str = "\
# Metrics

The metrics of the portal's processes. This page is generated from the code, by
`cargo run -p portal -- metrics > docs/metrics.md`; a test compares them.

In a fleet, each service serves `/metrics` on its own port, in Prometheus' text format; the gateway refuses
that path. In one process, `/metrics` is served on `process.internal_listen`, and if that is not set, nothing
is counted.

A counter starts at zero when its process starts, and only grows: watch `rate()` and `increase()`. A histogram
measures durations in seconds and has the series `…_bucket`, `…_sum` and `…_count`. A metric appears when it
gets its first value: that of a queue with its first message, that of a breaker with its first call.
";

/// The page.
pub fn document() -> String {
    let parts = [
        ("Every process", "as far as it does what is counted", of_every_process()),
        ("The bus", "every service", bus::metrics::described()),
        ("Users", "", users::metrics::described()),
        ("A section", "", news::metrics::described()),
        ("The orchestrator", "", orchestrator::metrics::described()),
        ("The operating system", "every process", of_the_operating_system()),
    ];
    let mut page = BEGINNING.to_owned();
    for (title, whose, metrics) in parts {
        let whose = if whose.is_empty() { String::new() } else { format!(" ({whose})") };
        // Writing to a text can't fail.
        let _ = write!(
            page,
            "\n## {title}{whose}\n\n| metric | kind | meaning | what to watch for |\n|---|---|---|---|\n"
        );
        for metric in &metrics {
            page.push_str(&row(metric));
        }
    }
    page
}

fn row(metric: &Described) -> String {
    let Described { name, kind, labels, help, watch, .. } = metric;
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(", ")) };
    format!("| `{name}{labels}` | {} | {help} | {watch} |\n", kind.as_str())
}

#[cfg(test)]
mod tests {
    use chassis::metrics::Kind;

    use super::*;

    fn all() -> Vec<Described> {
        [
            of_every_process(),
            bus::metrics::described(),
            users::metrics::described(),
            news::metrics::described(),
            orchestrator::metrics::described(),
            of_the_operating_system(),
        ]
        .concat()
    }

    #[test]
    fn the_page_lists_the_metrics_of_the_code() {
        assert!(
            include_str!("../../../docs/metrics.md") == document(),
            "docs/metrics.md differs from the code. Generate it: cargo run -p portal -- metrics > docs/metrics.md"
        );
    }

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        for Described { name, kind, labels, help, watch, .. } in all() {
            let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(
                plain(name) && labels.iter().all(|label| plain(label)),
                "{name}: lower case and underlines"
            );
            assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}: counters end with _total");
            assert!(
                kind != Kind::Histogram || name.ends_with("_seconds"),
                "{name}: a duration is in seconds"
            );
            assert!(help.ends_with('.') && watch.ends_with('.'), "{name}: sentences");
            assert!(!format!("{help}{watch}").contains('|'), "{name}: a table has no room for a bar");
        }
    }

    #[test]
    fn no_two_metrics_have_one_name() {
        let mut names: Vec<_> = all().iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
