//! The ports and passwords of one data folder of the engines.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::place::write_private;

/// All ports that an engine listens on, by the names that `status` shows.
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

/// The calls over gRPC: each pair of caller and server has a token of its own.
pub const CALLS: [(&str, &str); 2] = [("orchestrator", "recommendations"), ("recommendations", "users")];

/// The user that owns each engine.
pub const OWNER: &str = "owner";
/// The user of the tests.
pub const TESTS: &str = "tests";
/// The user with which FerretDB reads the catalogue.
pub const FERRETDB: &str = "ferretdb";

/// Below the range from which the system takes ports for outgoing connections, so that none of those takes
/// one of ours.
const RANGE: std::ops::Range<u16> = 21_000..31_000;

/// Ports and passwords, kept in `state.json` as long as the data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    ports: BTreeMap<String, u16>,
    passwords: BTreeMap<String, String>,
}

impl State {
    /// Reads the file. `None`: there is no file.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).with_context(|| format!("the file {}", path.display())).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("the file {}", path.display())),
        }
    }

    /// Writes the file, readable only for its owner.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_private(path, &serde_json::to_string_pretty(self).context("the state as JSON")?)
    }

    fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("this is not a state file of the engines")
    }

    /// Returns the port of this name.
    pub fn port(&self, name: &str) -> u16 {
        self.ports.get(name).copied().unwrap_or_else(|| panic!("`{name}` is not one of PORTS"))
    }

    /// Returns the password of a service, of [`OWNER`], [`TESTS`] or [`FERRETDB`].
    pub fn password(&self, user: &str) -> &str {
        self.passwords.get(user).unwrap_or_else(|| panic!("`{user}` has no password"))
    }

    /// Returns the token with which a service authenticates to another service over gRPC.
    pub fn token(&self, caller: &str, server: &str) -> &str {
        self.password(&at(caller, server))
    }

    /// Adds what is missing. `keeps` decides for each port whether it stays: a port that another process has
    /// taken is replaced.
    pub fn complete(&mut self, keeps: impl Fn(&str, u16) -> bool) -> Result<()> {
        self.ports.retain(|name, port| PORTS.contains(&name.as_str()) && keeps(name, *port));
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

/// Returns true if no process listens on this port of the loopback address.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Returns a free port that is not `taken`, searching from a random one.
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

/// Returns a new password of letters and digits, which fits into every URL and file.
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
    fn all_ports_differ_and_are_below_those_of_outgoing_connections() {
        let state = complete();
        let mut ports: Vec<_> = PORTS.iter().map(|name| state.port(name)).collect();
        assert!(ports.iter().all(|port| RANGE.contains(port)), "{ports:?}");
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), PORTS.len());
    }

    #[test]
    fn ports_and_passwords_stay_and_only_a_lost_port_changes() {
        let before = complete();
        let mut after = before.clone();
        after.complete(|name, _| name != "bolt").expect("ports are free");
        assert_eq!(after.passwords, before.passwords);
        for name in PORTS.into_iter().filter(|name| *name != "bolt") {
            assert_eq!(after.port(name), before.port(name));
        }
    }

    #[test]
    fn a_port_that_a_process_listens_on_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        assert!(!is_free(listener.local_addr().expect("has one").port()));
    }

    #[test]
    fn the_state_survives_its_file_and_another_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        assert_eq!(State::load(&path).expect("a missing file is accepted"), None);
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
