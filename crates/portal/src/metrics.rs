//! `portal metrics`: what every process counts, as `docs/metrics.md` keeps it.

use std::fmt::Write as _;

use chassis::metrics::{Described, of_every_process, of_the_operating_system};

const BEGINNING: &str = "\
# Metrics

What the processes of the portal count about themselves. This page is made from the code, by
`cargo run -p portal -- metrics > docs/metrics.md`; a test compares.

`/metrics` answers in Prometheus' text format on the port of each service in a fleet, which the gateway closes, and in one process
on `process.internal_listen`. Where it is not served nothing is kept. A counter goes up only and begins at zero with its process: look
at `rate()` and `increase()`. A histogram counts durations in seconds as `…_bucket`, `…_sum` and `…_count`. A metric appears once
there is something to say: that of a queue with its first message, that of a breaker with its first call.
";

/// The page.
pub fn document() -> String {
    let parts = [
        ("Every process", "as far as it has what is counted", of_every_process()),
        ("The bus", "every service", bus::metrics::described()),
        ("Users", "", users::metrics::described()),
        ("A section's news", "", news::metrics::described()),
        ("The orchestrator", "", orchestrator::metrics::described()),
        ("The operating system", "every process", of_the_operating_system()),
    ];
    let mut page = BEGINNING.to_owned();
    for (title, whose, metrics) in parts {
        let whose = if whose.is_empty() { String::new() } else { format!(" ({whose})") };
        // Writing to a text can't fail.
        let _ = write!(
            page,
            "\n## {title}{whose}\n\n| metric | kind | what it says | watch it for |\n|---|---|---|---|\n"
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
    fn the_page_is_what_the_code_says() {
        assert!(
            include_str!("../../../docs/metrics.md") == document(),
            "docs/metrics.md is not what the code says any more; to renew it: cargo run -p portal -- metrics > docs/metrics.md"
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
