//! What this service can be told; `config.default.toml` names and explains every key.

use chassis::IdentityConfig;
use chassis::config::Settings;
use serde::{Deserialize, Serialize};

/// The whole configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where tastes are kept.
    pub store: Address,
    /// Where messages come from.
    pub bus: Address,
    /// Whom to ask about consent.
    pub users: UsersConfig,
    /// Where identities come from.
    pub identity: IdentityConfig,
}

/// Where something is; the scheme chooses the adapter.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The URL.
    pub url: String,
}

/// How users is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersConfig {
    /// Its address for gRPC.
    pub url: String,
    /// The most time for one question, in milliseconds.
    pub budget_ms: u64,
}

impl Settings for Config {
    const DEFAULTS: &'static str = include_str!("../config.default.toml");

    fn validate(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.store.url.starts_with("sqlite:") {
            faults.push("store.url must begin with sqlite: (neo4j: comes with the fleet)".to_owned());
        }
        if !(1..=10_000).contains(&self.users.budget_ms) {
            faults.push("users.budget_ms must be 1 to 10000".to_owned());
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use chassis::config::{environment, layers, over, read};

    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables: Vec<_> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let figment = layers(&[Config::DEFAULTS], None).expect("the defaults are TOML");
        let layer = environment("RECOMMENDATIONS", &variables).expect("plain values");
        read::<Config>(&over(figment, layer))
            .map(|loaded| loaded.service)
            .map_err(|faults| faults.to_string())
    }

    #[test]
    fn the_defaults_are_a_good_configuration() {
        assert_eq!(with(&[]).expect("good").users.budget_ms, 250);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let faults = with(&[
            ("RECOMMENDATIONS__STORE__URL", "neo4j://graph"),
            ("RECOMMENDATIONS__USERS__BUDGET_MS", "0"),
        ]);
        let faults = faults.expect_err("two faults");
        assert!(faults.contains("store.url") && faults.contains("users.budget_ms"), "{faults}");
    }
}
