use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::http::EdgeConfig;
use crate::values::{LogFormat, Profile, log_filter, path_fault};

/// The settings that every process has: the table `[process]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The purpose: `development`, or `production`, which refuses settings that are good for development
    /// only.
    pub profile: Profile,
    /// The address on which HTTP is served.
    pub listen: String,
    /// The address on which gRPC is served, if the service has any.
    pub grpc_listen: String,
    /// The address on which `/metrics`, and `/livez` and `/readyz` again, are served. If it is empty they are
    /// served on the address above, provided that it is an internal one, as that of a service in a fleet.
    pub internal_listen: String,
    /// The filter of the log, as `info` or `info,sqlx=warn`.
    pub log: String,
    /// The format of log lines: `text`, `json`, or `auto` (text on a terminal).
    pub log_format: LogFormat,
    /// The time that a stop allows for requests in flight, and then again for the workers, in milliseconds.
    pub grace_ms: u64,
    /// The limits of the listener.
    pub edge: EdgeConfig,
}

impl Process {
    /// Returns the faults that types can't rule out.
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
                faults.push(format!("process.{key} must be an address with a port, such as 127.0.0.1:8080"));
            }
        }
        let internal = &self.internal_listen;
        if !internal.is_empty() && port_of(internal).is_none() {
            faults.push("process.internal_listen must be an address with a port, or empty".to_owned());
        } else if collide(internal, &self.listen) {
            faults.push("process.internal_listen must be another address than process.listen".to_owned());
        }
        faults.extend(path_fault("process.edge.public_base", &self.edge.public_base));
        if let Err(fault) = log_filter(&self.log) {
            faults.push(format!("process.log: {fault}"));
        }
        if self.profile == Profile::Production && debugs_everything(&self.log) {
            faults.push(
                "process.log must be info or less in production; a single module may have debug, as info,users=debug"
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
            edge: EdgeConfig::default(),
        }
    }
}

fn port_of(address: &str) -> Option<u16> {
    address.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
}

/// True if two listeners can't have these addresses: the port is the same, and so is the address, or one of
/// them means all addresses. Port 0 means a free port, so it is never the same.
fn collide(one: &str, other: &str) -> bool {
    let same_port = port_of(one).is_some_and(|port| port != 0 && port_of(other) == Some(port));
    let of_all = |address: &str| address.parse::<SocketAddr>().is_ok_and(|it| it.ip().is_unspecified());
    same_port && (one == other || of_all(one) || of_all(other))
}

/// True if the level of everything is `debug` or `trace`.
fn debugs_everything(filter: &str) -> bool {
    filter
        .split(',')
        .map(str::trim)
        .any(|part| ["debug", "trace"].iter().any(|level| part.eq_ignore_ascii_case(level)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_internal_address_is_empty_or_differs_from_the_public_one() {
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
