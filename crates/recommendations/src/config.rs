//! What this service can be told; `config.default.toml` names and explains every key.

use chassis::config::Settings;
use chassis::{IdentityConfig, Url};
use serde::{Deserialize, Serialize};

/// The whole configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where tastes are kept.
    pub store: StoreConfig,
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
    pub url: Url,
}

/// Where tastes are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// The URL; the scheme chooses the adapter.
    pub url: Url,
    /// The most time for one question to a server, in milliseconds.
    pub budget_ms: u64,
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
        if !matches!(self.store.url.scheme(), "sqlite" | "neo4j" | "bolt") {
            faults.push("store.url must begin with sqlite:, neo4j:// or bolt://".to_owned());
        }
        let budgets = [("store", self.store.budget_ms), ("users", self.users.budget_ms)];
        for (name, _) in budgets.iter().filter(|(_, budget)| !(1..=10_000).contains(budget)) {
            faults.push(format!("{name}.budget_ms must be 1 to 10000"));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use chassis::config::{Loaded, environment, layers, over, read};

    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Loaded<Config>, String> {
        let variables: Vec<_> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let figment = layers(&[Config::DEFAULTS], None).expect("the defaults are TOML");
        let layer = environment("RECOMMENDATIONS", &variables).expect("plain values");
        read::<Config>(&over(figment, layer)).map_err(|faults| faults.to_string())
    }

    #[test]
    fn the_defaults_are_a_good_configuration() {
        let config = with(&[]).expect("good").service;
        assert_eq!((config.store.budget_ms, config.users.budget_ms), (400, 250));
    }

    #[test]
    fn the_password_of_the_store_is_not_shown() {
        let url = ("RECOMMENDATIONS__STORE__URL", "neo4j://neo4j:geheim@graph:7687");
        let loaded = with(&[url]).expect("good");
        assert_eq!(loaded.service.store.url.expose(), url.1);
        assert!(loaded.effective.contains("neo4j://neo4j:***@graph:7687"), "{}", loaded.effective);
        assert!(!format!("{loaded:?}").contains("geheim"));
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let faults = with(&[
            ("RECOMMENDATIONS__STORE__URL", "mongodb://graph"),
            ("RECOMMENDATIONS__USERS__BUDGET_MS", "0"),
        ]);
        let faults = faults.expect_err("two faults");
        assert!(faults.contains("store.url") && faults.contains("users.budget_ms"), "{faults}");
    }
}
