//! The configuration. `config.default.toml` names and explains every key.

use chassis::config::{Address, Form, Place, Secret, Settings};
use chassis::{GrpcConfig, IdentityConfig, Url, token_fault};
use serde::{Deserialize, Serialize};

/// The configuration of the service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The store of tastes.
    pub store: StoreConfig,
    /// The address of the bus.
    pub bus: Address,
    /// The service users, which knows the consents.
    pub users: UsersConfig,
    /// The callers over gRPC and their tokens.
    pub grpc: GrpcConfig,
    /// The issuer and the keys of access tokens.
    pub identity: IdentityConfig,
}

/// The settings of the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// The URL. Its scheme selects the adapter.
    pub url: Url,
    /// The longest time for one query to a server, in milliseconds (1 to 10000).
    pub budget_ms: u64,
}

/// The settings of the client of users.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersConfig {
    /// The address of users for gRPC.
    pub url: String,
    /// The token by which users knows this service.
    pub token: Secret,
    /// The longest time for one call, in milliseconds (1 to 10000).
    pub budget_ms: u64,
}

impl Settings for Config {
    const DEFAULTS: &'static str = include_str!("../config.default.toml");

    fn validate(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let budgets = [("store", self.store.budget_ms), ("users", self.users.budget_ms)];
        for (name, _) in budgets.iter().filter(|(_, budget)| !(1..=10_000).contains(budget)) {
            faults.push(format!("{name}.budget_ms must be between 1 and 10000"));
        }
        faults.extend(token_fault("users.token", &self.users.token));
        faults.extend(self.grpc.faults(crate::grpc::METHODS));
        faults
    }

    fn places(&self) -> Vec<Place> {
        let mut places = self.identity.places();
        places.push(
            Place::new("store.url", self.store.url.expose(), &[Form::Sqlite, Form::Neo4j])
                .read_by(crate::store::check_address)
                .with_drivers(cfg!(feature = "servers")),
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
    fn the_defaults_are_a_valid_configuration() {
        let config = with(&[]).expect("a valid configuration").service;
        assert_eq!((config.store.budget_ms, config.users.budget_ms), (400, 250));
    }

    #[test]
    fn the_password_of_the_store_is_not_shown() {
        let url = ("RECOMMENDATIONS__STORE__URL", "neo4j://neo4j:geheim@graph:7687");
        let loaded = with(&[url]).expect("a valid configuration");
        assert_eq!(loaded.service.store.url.expose(), url.1);
        assert!(loaded.effective.contains("neo4j://neo4j:***@graph:7687"), "{}", loaded.effective);
        assert!(!format!("{loaded:?}").contains("geheim"));
    }

    #[test]
    fn an_address_with_a_wrong_scheme_is_refused_with_the_name_of_its_key() {
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
    fn production_requires_a_token_and_addresses_outside_the_process() {
        let faults = with(&[("RECOMMENDATIONS__PROCESS__PROFILE", "production")]).expect_err("one process");
        for key in ["users.token", "users.url", "bus.url", "identity.keys"] {
            assert!(faults.contains(&format!("- {key} ")), "{key}: {faults}");
        }
        assert!(!faults.contains("store.url"), "{faults}");
    }

    #[test]
    fn all_faults_are_reported_together() {
        let faults = with(&[
            ("RECOMMENDATIONS__STORE__URL", "mongodb://graph"),
            ("RECOMMENDATIONS__USERS__BUDGET_MS", "0"),
        ]);
        let faults = faults.expect_err("two faults");
        assert!(faults.contains("store.url") && faults.contains("users.budget_ms"), "{faults}");
    }
}
