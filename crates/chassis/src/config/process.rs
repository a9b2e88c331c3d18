use serde::{Deserialize, Serialize};

use super::address::path_fault;

/// What every process can be told, whatever it holds: the table `[process]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// For what it runs: `development`, or `production`, which refuses what is good for development alone.
    pub profile: Profile,
    /// Where HTTP is served.
    pub listen: String,
    /// Where gRPC is served, if the service has any.
    pub grpc_listen: String,
    /// Where `/metrics` is served, with `/livez` and `/readyz` once more; empty for nowhere but where the port above is an internal one,
    /// as that of a service in a fleet is.
    pub internal_listen: String,
    /// Which lines are logged, as `info` or `info,sqlx=warn`.
    pub log: String,
    /// How they look: `text`, `json`, or `auto` (text on a terminal).
    pub log_format: LogFormat,
    /// How long a stop waits for requests in flight, and again for workers to run dry, in milliseconds.
    pub grace_ms: u64,
    /// The limits of the listener.
    pub edge: crate::http::EdgeConfig,
}

/// For what a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// A laptop, a demo, a test, a small site in one process: whatever works is allowed.
    Development,
    /// Refuses at the start passwords that everybody knows, debug switches, and `local:` and `inproc:` addresses, which hold
    /// one process together and no fleet.
    Production,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Process {
    /// Every fault that types alone can't rule out.
    pub(super) fn validate(&self) -> Vec<String> {
        const TEN_MINUTES: u64 = 600_000;
        let mut faults = Vec::new();
        let mut within = |key: &str, value: u64, range: std::ops::RangeInclusive<u64>| {
            if !range.contains(&value) {
                faults.push(format!("process.{key} must be {} to {}", range.start(), range.end()));
            }
        };
        within("grace_ms", self.grace_ms, 0..=TEN_MINUTES);
        within("edge.read_budget_ms", self.edge.read_budget_ms, 1..=TEN_MINUTES);
        within("edge.write_budget_ms", self.edge.write_budget_ms, 1..=TEN_MINUTES);
        within("edge.in_flight", self.edge.in_flight as u64, 1..=1_000_000);
        for (key, address) in [("listen", &self.listen), ("grpc_listen", &self.grpc_listen)] {
            if address.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
                faults.push(format!("process.{key} must be an address with a port, as 127.0.0.1:8080"));
            }
        }
        faults.extend(path_fault("process.edge.public_base", &self.edge.public_base));
        if let Err(fault) = crate::telemetry::filter(&self.log) {
            faults.push(format!("process.log: {fault}"));
        }
        if self.profile == Profile::Production && logs_all_details(&self.log) {
            faults.push(
                "process.log must be info or less in production; a module may have debug of its own, as info,users=debug"
                    .to_owned(),
            );
        }
        faults
    }
}

impl Default for Process {
    fn default() -> Self {
        Self {
            profile: Profile::Development,
            listen: "127.0.0.1:8080".to_owned(),
            grpc_listen: "127.0.0.1:50051".to_owned(),
            internal_listen: String::new(),
            log: "info".to_owned(),
            log_format: LogFormat::Auto,
            grace_ms: 8_000, // containers are killed after 10 s
            edge: crate::http::EdgeConfig::default(),
        }
    }
}

/// True where the level of everything is one for debugging.
fn logs_all_details(filter: &str) -> bool {
    filter
        .split(',')
        .map(str::trim)
        .any(|part| ["debug", "trace"].iter().any(|level| part.eq_ignore_ascii_case(level)))
}
