use std::net::SocketAddr;

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
        within("edge.header_budget_ms", self.edge.header_budget_ms, 1..=TEN_MINUTES);
        within("edge.read_budget_ms", self.edge.read_budget_ms, 1..=TEN_MINUTES);
        within("edge.write_budget_ms", self.edge.write_budget_ms, 1..=TEN_MINUTES);
        within("edge.in_flight", self.edge.in_flight as u64, 1..=1_000_000);
        within("edge.in_flight_per_address", self.edge.in_flight_per_address as u64, 0..=1_000_000);
        within("edge.receiving_per_address", self.edge.receiving_per_address as u64, 0..=1_000_000);
        within("edge.connections_per_address", self.edge.connections_per_address as u64, 0..=1_000_000);
        within("edge.unsent_bytes", self.edge.unsent_bytes as u64, 1..=1 << 40);
        within("edge.unsent_bytes_per_address", self.edge.unsent_bytes_per_address as u64, 0..=1 << 40);
        for (key, address) in [("listen", &self.listen), ("grpc_listen", &self.grpc_listen)] {
            if port_of(address).is_none() {
                faults.push(format!("process.{key} must be an address with a port, as 127.0.0.1:8080"));
            }
        }
        let internal = &self.internal_listen;
        if !internal.is_empty() && port_of(internal).is_none() {
            faults.push("process.internal_listen must be an address with a port, or empty".to_owned());
        } else if are_one_place(internal, &self.listen) {
            faults.push(
                "process.internal_listen must be another address than process.listen, which is taken then"
                    .to_owned(),
            );
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

fn port_of(address: &str) -> Option<u16> {
    address.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
}

/// True where nobody can listen on both: one port of one address, or of one and of all addresses. Port 0 is a free one each time.
fn are_one_place(one: &str, other: &str) -> bool {
    let same_port = port_of(one).is_some_and(|port| port != 0 && port_of(other) == Some(port));
    let of_all = |address: &str| address.parse::<SocketAddr>().is_ok_and(|it| it.ip().is_unspecified());
    same_port && (one == other || of_all(one) || of_all(other))
}

/// True where the level of everything is one for debugging.
fn logs_all_details(filter: &str) -> bool {
    filter
        .split(',')
        .map(str::trim)
        .any(|part| ["debug", "trace"].iter().any(|level| part.eq_ignore_ascii_case(level)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_internal_address_is_empty_or_a_free_place_of_its_own() {
        let faults = |listen: &str, internal: &str| {
            let (listen, internal_listen) = (listen.to_owned(), internal.to_owned());
            Process { listen, internal_listen, ..Process::default() }.validate()
        };
        for (listen, internal) in [
            ("127.0.0.1:8080", ""),
            ("127.0.0.1:8080", "127.0.0.1:9090"),
            ("127.0.0.1:8080", "127.0.0.2:8080"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("portal:8080", "localhost:8081"),
        ] {
            assert_eq!(faults(listen, internal), Vec::<String>::new(), "{listen} and {internal}");
        }
        for (listen, internal) in [
            ("127.0.0.1:8080", "foo"),
            ("127.0.0.1:8080", "127.0.0.1:http"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("127.0.0.1:8080", "[::]:8080"),
        ] {
            let faults = faults(listen, internal);
            assert!(
                faults.len() == 1 && faults[0].starts_with("process.internal_listen must"),
                "{listen} and {internal}: {faults:?}"
            );
        }
    }
}
