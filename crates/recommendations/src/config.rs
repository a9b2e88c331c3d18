//! What this service can be told; `config.default.toml` names and explains every key.

use chassis::config::{Address, Form, Place, Secret, Settings};
use chassis::{GrpcConfig, IdentityConfig, Url, token_fault};
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
    /// Who may call over gRPC.
    pub grpc: GrpcConfig,
    /// Where identities come from.
    pub identity: IdentityConfig,
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
    /// What it knows this service by.
    pub token: Secret,
    /// The most time for one question, in milliseconds.
    pub budget_ms: u64,
}

impl Settings for Config {
    const DEFAULTS: &'static str = include_str!("../config.default.toml");

    fn validate(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let budgets = [("store", self.store.budget_ms), ("users", self.users.budget_ms)];
        for (name, _) in budgets.iter().filter(|(_, budget)| !(1..=10_000).contains(budget)) {
            faults.push(format!("{name}.budget_ms must be 1 to 10000"));
        }
        faults.extend(token_fault("users.token", &self.users.token));
        faults.extend(self.grpc.faults(crate::grpc::METHODS));
        faults
    }

    fn places(&self) -> Vec<Place> {
        let mut places = self.identity.places();
        places.push(
            Place::new("store.url", self.store.url.expose(), &[Form::Sqlite, Form::Neo4j])
                .read_by(crate::store::read),
        );
        places.push(bus::place(&self.bus));
        places.push(Place::new("users.url", &self.users.url, &[Form::InProcess, Form::Grpc]));
        places
    }

    fn unfit_for_production(&self) -> Vec<String> {
        let missing = self.users.token.expose().is_empty();
        let missing = missing.then(|| "users.token must be set in production".to_owned());
        missing.into_iter().chain(self.grpc.unfit_for_production()).collect()
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
    fn an_address_of_another_kind_is_refused_by_the_name_of_its_key() {
        for (variable, key) in [
            ("RECOMMENDATIONS__STORE__URL", "store.url"),
            ("RECOMMENDATIONS__BUS__URL", "bus.url"),
            ("RECOMMENDATIONS__USERS__URL", "users.url"),
            ("RECOMMENDATIONS__IDENTITY__KEYS", "identity.keys"),
            ("RECOMMENDATIONS__IDENTITY__ISSUER", "identity.issuer"),
        ] {
            for bad in
                ["", "s3cret", "mongodb://u:s3cret@graph", "sqlite:", "neo4j://u:s3cret@", "inproc:users"]
            {
                let faults = with(&[(variable, bad)]).expect_err(bad);
                assert!(
                    faults.contains(&format!("{key} must be")) && !faults.contains("s3cret"),
                    "{bad}: {faults}"
                );
            }
        }
        for bad in ["neo4j://s3cret@graph:7687", "neo4j://u:s3cret@graph:7687?tenants=x"] {
            let faults = with(&[("RECOMMENDATIONS__STORE__URL", bad)]).expect_err(bad);
            assert!(faults.contains("store.url") && !faults.contains("s3cret"), "{faults}");
        }
    }

    #[test]
    fn production_wants_a_token_and_no_address_of_one_process() {
        let faults = with(&[("RECOMMENDATIONS__PROCESS__PROFILE", "production")]).expect_err("one process");
        for key in ["users.token", "users.url", "bus.url", "identity.keys"] {
            assert!(faults.contains(&format!("- {key} ")), "{key}: {faults}");
        }
        assert!(!faults.contains("store.url"), "{faults}");
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
