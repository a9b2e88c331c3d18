//! The configuration. `config.default.toml` explains every key.

use std::time::Duration;

use chassis::config::{Address, Form, Place, Secret, Settings, path_fault};
use chassis::{IdentityConfig, RetryRule, token_fault};
use serde::{Deserialize, Serialize};

use crate::app::{CacheTimes, TextBudget};

/// The orchestrator's configuration.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The public path of these routes.
    pub public_base: String,
    /// The issuer and the keys of access tokens.
    pub identity: IdentityConfig,
    /// The address of the bus.
    pub bus: Address,
    /// The calls to the news sections.
    pub sections: SectionsConfig,
    /// The queue of readings.
    pub readings: ReadingsConfig,
    /// The client of recommendations.
    pub recommendations: RecommendationsConfig,
    /// The read cache.
    pub cache: CacheConfig,
    /// The limits of lists.
    pub lists: ListsConfig,
    /// The limits of live events.
    pub live: LiveConfig,
    /// The feeds.
    pub feeds: FeedsConfig,
}

/// The settings of the feeds.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FeedsConfig {
    /// The title of the portal, 1 to 100 characters.
    pub title: String,
}

/// The limits of live events.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LiveConfig {
    /// The largest number of open streams (at most 100,000); 0 refuses all.
    pub streams: usize,
    /// The largest number of open streams of one client; 0 means no limit.
    pub streams_per_address: usize,
}

/// The limits of lists.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ListsConfig {
    /// The memory for lists with content that are being made or sent, in bytes; at least 16,777,216.
    pub content_bytes: u32,
}

/// The settings of the read cache.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CacheConfig {
    /// The size of the cache in bytes; 0 stores nothing.
    pub bytes: u64,
    /// The time for which an answer is fresh, in milliseconds (at most 60,000).
    pub fresh_ms: u64,
    /// The time after that in which it is served while a new one is made, in milliseconds (at most 30,000).
    pub renewing_ms: u64,
    /// The time for which it is served while its section is unavailable, in milliseconds (at most a week).
    pub stale_ms: u64,
    /// The time in which lists are not stored after a change in their section, in milliseconds (at most
    /// 60,000).
    pub settling_ms: u64,
}

impl CacheConfig {
    /// Returns the times for which answers are served.
    pub fn times(&self) -> CacheTimes {
        CacheTimes {
            fresh: Duration::from_millis(self.fresh_ms),
            renewing: Duration::from_millis(self.renewing_ms),
            stale: Duration::from_millis(self.stale_ms),
            settling: Duration::from_millis(self.settling_ms),
        }
    }
}

/// The settings of calls to the news sections.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SectionsConfig {
    /// The time to wait for a section if another one has answered the same request, in milliseconds (at least
    /// 1).
    pub section_deadline_ms: u64,
    /// The number of times that a failed call is retried (at most 10).
    pub retries: u32,
    /// The longest pause before the first retry, in milliseconds.
    pub retry_pause_ms: u64,
}

impl SectionsConfig {
    /// Returns the time to wait for a section if another one has answered the same request.
    pub fn section_deadline(&self) -> Duration {
        Duration::from_millis(self.section_deadline_ms)
    }

    /// Returns the rule for retries.
    pub fn retry_rule(&self) -> RetryRule {
        let pause = Duration::from_millis(self.retry_pause_ms);
        RetryRule { retries: self.retries, pause, longest: Duration::MAX }
    }
}

/// The settings of the queue of readings.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ReadingsConfig {
    /// The largest number of waiting readings (1 to 1,000,000).
    pub queue: usize,
    /// The time for the bus to confirm a batch, in milliseconds (at least 1).
    pub patience_ms: u64,
}

/// The settings of the client of recommendations.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RecommendationsConfig {
    /// The address of recommendations for gRPC.
    pub url: String,
    /// The token by which recommendations knows this service.
    pub token: Secret,
    /// The time for the personal part of a front page, in milliseconds (1 to 2000).
    pub budget_ms: u64,
}

impl Settings for Config {
    const DEFAULTS: &'static str = include_str!("../config.default.toml");

    fn validate(&self) -> Vec<String> {
        let mut faults = Vec::new();
        faults.extend(path_fault("public_base", &self.public_base));
        if self.sections.section_deadline_ms == 0 {
            faults.push("sections.section_deadline_ms must be at least 1".to_owned());
        }
        if self.sections.retries > 10 {
            faults.push("sections.retries must be at most 10".to_owned());
        }
        if !(1..=1_000_000).contains(&self.readings.queue) {
            faults.push("readings.queue must be between 1 and 1,000,000".to_owned());
        }
        if self.cache.fresh_ms > 60_000 {
            faults.push(
                "cache.fresh_ms must be at most 60,000, because a missed event goes unnoticed for this time and renewing_ms"
                    .to_owned(),
            );
        }
        if self.cache.renewing_ms > 30_000 {
            faults.push(
                "cache.renewing_ms must be at most 30,000, the time that other caches may do the same"
                    .to_owned(),
            );
        }
        if self.cache.stale_ms > 7 * 86_400_000 {
            faults.push("cache.stale_ms must be at most 604,800,000 (a week)".to_owned());
        }
        if self.cache.settling_ms > 60_000 {
            faults.push(
                "cache.settling_ms must be at most 60,000, because no list is stored for this time after a change".to_owned(),
            );
        }
        if self.lists.content_bytes < TextBudget::MIN {
            faults.push(format!(
                "lists.content_bytes must be at least {}, twice the memory of one list, got {}",
                TextBudget::MIN,
                self.lists.content_bytes
            ));
        }
        if !(1..=100).contains(&self.feeds.title.chars().count()) {
            faults.push("feeds.title must have 1 to 100 characters".to_owned());
        }
        if self.live.streams > 100_000 {
            faults.push("live.streams must be at most 100,000".to_owned());
        }
        if self.readings.patience_ms == 0 {
            faults.push("readings.patience_ms must be at least 1".to_owned());
        }
        if !(1..=2000).contains(&self.recommendations.budget_ms) {
            faults.push("recommendations.budget_ms must be between 1 and 2000".to_owned());
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
    fn the_defaults_are_valid() {
        let config = with(&[]).expect("valid defaults");
        assert_eq!(config.sections.section_deadline(), Duration::from_millis(300));
        assert_eq!(config.sections.retry_rule().retries, 2);
    }

    #[test]
    fn an_address_with_a_wrong_scheme_is_refused_with_the_name_of_its_key() {
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
    fn all_faults_are_reported_together() {
        let faults = with(&[
            ("ORCHESTRATOR__PUBLIC_BASE", "news/"),
            ("ORCHESTRATOR__SECTIONS__SECTION_DEADLINE_MS", "0"),
            ("ORCHESTRATOR__READINGS__QUEUE", "0"),
            ("ORCHESTRATOR__RECOMMENDATIONS__BUDGET_MS", "2001"),
            ("ORCHESTRATOR__LISTS__CONTENT_BYTES", "16777215"),
        ]);
        let faults = faults.expect_err("five faults");
        for key in [
            "public_base",
            "sections.section_deadline_ms",
            "readings.queue",
            "recommendations.budget_ms",
            "lists.content_bytes",
        ] {
            assert!(faults.contains(key), "{faults}");
        }
    }
}
