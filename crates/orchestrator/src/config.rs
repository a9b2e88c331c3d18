//! What can be set; `config.default.toml` says what for.

use std::time::Duration;

use chassis::config::{Address, Form, Place, Secret, Settings, path_fault};
use chassis::{IdentityConfig, token_fault};
use serde::{Deserialize, Serialize};

use crate::app::{TextBudget, Times};
use crate::clients::RetryRule;

/// The orchestrator's configuration.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The path under which readers see these routes.
    pub public_base: String,
    /// Where identities come from.
    pub identity: IdentityConfig,
    /// The way to the other services.
    pub bus: Address,
    /// How the news sections are asked.
    pub desks: DesksConfig,
    /// How readings are told.
    pub readings: ReadingsConfig,
    /// How it is asked what readers like.
    pub recommendations: RecommendationsConfig,
    /// What is kept of answers that everybody gets.
    pub cache: CacheConfig,
    /// What lists may take.
    pub lists: ListsConfig,
}

/// What lists may take.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ListsConfig {
    /// Memory for lists with content that are being made or sent, in bytes.
    pub content_bytes: u32,
}

/// What is kept of answers that everybody gets.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CacheConfig {
    /// How many bytes; 0 keeps nothing.
    pub bytes: u64,
    /// How long an answer serves without asking again.
    pub fresh_ms: u64,
    /// How long after that it serves while a new one is made.
    pub renewing_ms: u64,
    /// How long it serves while its section is away.
    pub stale_ms: u64,
    /// How long lists are not kept after their section has announced a change.
    pub settling_ms: u64,
}

impl CacheConfig {
    /// How long answers serve.
    pub fn times(&self) -> Times {
        Times {
            fresh: Duration::from_millis(self.fresh_ms),
            renewing: Duration::from_millis(self.renewing_ms),
            stale: Duration::from_millis(self.stale_ms),
            settling: Duration::from_millis(self.settling_ms),
        }
    }
}

/// How the news sections are asked.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DesksConfig {
    /// How long a section is waited for if another one has answered the same question, in milliseconds.
    pub section_deadline_ms: u64,
    /// How often a call that failed is tried again.
    pub retries: u32,
    /// The longest pause before the first of them.
    pub retry_pause_ms: u64,
}

impl DesksConfig {
    /// How long a section is waited for if another one has answered the same question.
    pub fn section_deadline(&self) -> Duration {
        Duration::from_millis(self.section_deadline_ms)
    }

    /// When calls are tried again.
    pub fn retry_rule(&self) -> RetryRule {
        RetryRule { retries: self.retries, pause: Duration::from_millis(self.retry_pause_ms) }
    }
}

/// How readings are told.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ReadingsConfig {
    /// How many may wait.
    pub queue: usize,
    /// How long the bus may take to confirm a batch.
    pub patience_ms: u64,
}

/// How it is asked what readers like.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RecommendationsConfig {
    /// The address for gRPC.
    pub url: String,
    /// What it knows this service by.
    pub token: Secret,
    /// How long the personal part of a front page may take.
    pub budget_ms: u64,
}

impl Settings for Config {
    const DEFAULTS: &'static str = include_str!("../config.default.toml");

    fn validate(&self) -> Vec<String> {
        let mut faults = Vec::new();
        faults.extend(path_fault("public_base", &self.public_base));
        if self.desks.section_deadline_ms == 0 {
            faults.push("desks.section_deadline_ms must be at least 1".to_owned());
        }
        if self.desks.retries > 10 {
            faults.push("desks.retries must be at most 10".to_owned());
        }
        if !(1..=1_000_000).contains(&self.readings.queue) {
            faults.push("readings.queue must be 1 to 1,000,000".to_owned());
        }
        if self.cache.fresh_ms > 60_000 {
            faults.push(
                "cache.fresh_ms must be at most 60,000: so long, and renewing_ms, a missed announcement may go unnoticed"
                    .to_owned(),
            );
        }
        if self.cache.renewing_ms > 30_000 {
            faults.push(
                "cache.renewing_ms must be at most 30,000: so long other caches are told to do the same"
                    .to_owned(),
            );
        }
        if self.cache.stale_ms > 7 * 86_400_000 {
            faults.push("cache.stale_ms must be at most a week".to_owned());
        }
        if self.cache.settling_ms > 60_000 {
            faults.push(
                "cache.settling_ms must be at most 60,000: so long no list is kept after a change".to_owned(),
            );
        }
        if self.lists.content_bytes < TextBudget::LEAST {
            faults.push(format!(
                "lists.content_bytes must be at least {}, got {}: so much one list may take",
                TextBudget::LEAST,
                self.lists.content_bytes
            ));
        }
        if self.readings.patience_ms == 0 {
            faults.push("readings.patience_ms must be at least 1".to_owned());
        }
        if !(1..=2000).contains(&self.recommendations.budget_ms) {
            faults.push("recommendations.budget_ms must be 1 to 2000".to_owned());
        }
        faults.extend(token_fault("recommendations.token", &self.recommendations.token));
        faults
    }

    fn places(&self) -> Vec<Place> {
        let mut places = self.identity.places();
        places.push(bus::place(&self.bus));
        let recommendations = &self.recommendations.url;
        places.push(Place::new("recommendations.url", recommendations, &[Form::InProcess, Form::Grpc]));
        places
    }

    fn unfit_for_production(&self) -> Vec<String> {
        let missing = self.recommendations.token.expose().is_empty();
        missing.then(|| "recommendations.token must be set in production".to_owned()).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use chassis::config::{environment, layers, over, read};

    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables: Vec<_> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let set = environment("ORCHESTRATOR", &variables).expect("variables");
        let defaults = layers(&[Config::DEFAULTS], None).expect("the defaults");
        read::<Config>(&over(defaults, set)).map(|loaded| loaded.service).map_err(|faults| faults.to_string())
    }

    #[test]
    fn the_defaults_are_good_and_the_products() {
        let config = with(&[]).expect("good defaults");
        assert_eq!(config.desks.section_deadline(), Duration::from_millis(300));
        assert_eq!(config.desks.retry_rule().retries, 2);
    }

    #[test]
    fn an_address_of_another_kind_is_refused_by_the_name_of_its_key() {
        for (variable, key) in [
            ("ORCHESTRATOR__BUS__URL", "bus.url"),
            ("ORCHESTRATOR__RECOMMENDATIONS__URL", "recommendations.url"),
            ("ORCHESTRATOR__IDENTITY__KEYS", "identity.keys"),
            ("ORCHESTRATOR__IDENTITY__ISSUER", "identity.issuer"),
        ] {
            for bad in ["", "s3cret", "ftp://u:s3cret@broker", "amqp://u:s3cret@", "sqlite:bus.db"] {
                let faults = with(&[(variable, bad)]).expect_err(bad);
                assert!(
                    faults.contains(&format!("{key} must be")) && !faults.contains("s3cret"),
                    "{bad}: {faults}"
                );
            }
        }
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let faults = with(&[
            ("ORCHESTRATOR__PUBLIC_BASE", "news/"),
            ("ORCHESTRATOR__DESKS__SECTION_DEADLINE_MS", "0"),
            ("ORCHESTRATOR__READINGS__QUEUE", "0"),
            ("ORCHESTRATOR__RECOMMENDATIONS__BUDGET_MS", "2001"),
            ("ORCHESTRATOR__LISTS__CONTENT_BYTES", "8388607"),
        ]);
        let faults = faults.expect_err("five faults");
        for key in [
            "public_base",
            "desks.section_deadline_ms",
            "readings.queue",
            "recommendations.budget_ms",
            "lists.content_bytes",
        ] {
            assert!(faults.contains(key), "{faults}");
        }
    }
}
