//! What one data folder of the engines has settled on: ports and passwords.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::place::write_private;

/// Every port that an engine listens on, by the name that `status` shows.
pub const PORTS: [&str; 9] = [
    "amqp",
    "amqp-management",
    "bolt",
    "epmd",
    "erlang",
    "mongodb",
    "postgres",
    "redis-cache",
    "redis-intake",
];

/// The services of the fleet. Each has a user of its own in every engine that it uses.
pub const SERVICES: [&str; 6] =
    ["famous-news", "orchestrator", "politics-news", "recommendations", "sports-news", "users"];

/// Who calls whom over gRPC: each pair has a token of its own.
pub const CALLS: [(&str, &str); 2] = [("orchestrator", "recommendations"), ("recommendations", "users")];

/// Further users: the owner of each engine, the one that the tests work as, and the one by which FerretDB
/// looks around.
pub const OWNER: &str = "owner";
/// See [`OWNER`].
pub const TESTS: &str = "tests";
/// See [`OWNER`].
pub const FERRETDB: &str = "ferretdb";

/// Below the range from which the system takes ports for outgoing connections: one of those could sit on
/// ours.
const RANGE: std::ops::Range<u16> = 21_000..31_000;

/// Ports and passwords, kept in `state.json` for as long as the data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    ports: BTreeMap<String, u16>,
    passwords: BTreeMap<String, String>,
}

impl State {
    /// What the file says; nothing where there is no file.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).with_context(|| format!("the file {}", path.display())).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("the file {}", path.display())),
        }
    }

    /// Writes it down, for its owner's eyes only.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_private(path, &serde_json::to_string_pretty(self).context("the state as JSON")?)
    }

    fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("this is no state of the engines")
    }

    /// The port of this name.
    pub fn port(&self, name: &str) -> u16 {
        self.ports.get(name).copied().unwrap_or_else(|| panic!("`{name}` is not one of PORTS"))
    }

    /// The password of a service, of [`OWNER`], [`TESTS`] or [`FERRETDB`].
    pub fn password(&self, user: &str) -> &str {
        self.passwords.get(user).unwrap_or_else(|| panic!("`{user}` has no password"))
    }

    /// What a service proves itself with at another one over gRPC.
    pub fn token(&self, caller: &str, server: &str) -> &str {
        self.password(&at(caller, server))
    }

    /// Adds what is missing. `wanted` says of a port whether it may stay: one that somebody else took is
    /// given up.
    pub fn complete(&mut self, wanted: impl Fn(&str, u16) -> bool) -> Result<()> {
        self.ports.retain(|name, port| PORTS.contains(&name.as_str()) && wanted(name, *port));
        for name in PORTS {
            if !self.ports.contains_key(name) {
                let port = free_port(|port| self.ports.values().any(|taken| *taken == port))?;
                self.ports.insert(name.to_owned(), port);
            }
        }
        let users = SERVICES.into_iter().chain([OWNER, TESTS, FERRETDB]).map(str::to_owned);
        for user in users.chain(CALLS.map(|(caller, server)| at(caller, server))) {
            if let Entry::Vacant(place) = self.passwords.entry(user) {
                place.insert(password()?);
            }
        }
        Ok(())
    }
}

fn at(caller: &str, server: &str) -> String {
    format!("{caller} at {server}")
}

/// True where nobody listens on this port of the loopback address.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A free port that is not `taken`, from a random place on.
pub fn free_port(taken: impl Fn(u16) -> bool) -> Result<u16> {
    let mut seed = [0; 2];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("random numbers: {error}"))?;
    let count = RANGE.end - RANGE.start;
    let start = u16::from_le_bytes(seed) % count;
    let mut ports = (0..count).map(|offset| RANGE.start + (start + offset) % count);
    let found = ports.find(|port| !taken(*port) && is_free(*port));
    ensure!(found.is_some(), "no port between {} and {} is free", RANGE.start, RANGE.end);
    found.context("a free port")
}

/// A new password: letters and digits only, so that it fits into every URL and file.
pub fn password() -> Result<String> {
    let mut bytes = [0; 20];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("random numbers: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> State {
        let mut state = State::default();
        state.complete(|_, _| true).expect("ports are free");
        state
    }

    #[test]
    fn every_port_is_another_and_below_those_of_outgoing_connections() {
        let state = complete();
        let mut ports: Vec<_> = PORTS.iter().map(|name| state.port(name)).collect();
        assert!(ports.iter().all(|port| RANGE.contains(port)), "{ports:?}");
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), PORTS.len());
    }

    #[test]
    fn what_was_settled_stays_and_only_a_lost_port_changes() {
        let before = complete();
        let mut after = before.clone();
        after.complete(|name, _| name != "bolt").expect("ports are free");
        assert_eq!(after.passwords, before.passwords);
        for name in PORTS.into_iter().filter(|name| *name != "bolt") {
            assert_eq!(after.port(name), before.port(name));
        }
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        assert!(!is_free(listener.local_addr().expect("has one").port()));
    }

    #[test]
    fn the_state_survives_its_file_and_a_strange_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        assert_eq!(State::load(&path).expect("no file is no fault"), None);
        let state = complete();
        state.save(&path).expect("writes");
        assert_eq!(State::load(&path).expect("reads"), Some(state));
        std::fs::write(&path, r#"{"ports":{},"passwords":{},"extra":1}"#).expect("writes");
        assert!(State::load(&path).is_err());
    }

    #[test]
    fn no_two_users_share_a_password() {
        let state = complete();
        let mut passwords: Vec<_> = state.passwords.values().collect();
        passwords.sort();
        passwords.dedup();
        assert_eq!(passwords.len(), SERVICES.len() + 3 + CALLS.len());
    }
}
