//! The settings of this service; `config.default.toml` documents them.

use chassis::config::{Address, Form, Place, Secret, Settings, path_fault};
use chassis::{GrpcConfig, IdentityConfig, Url};
use serde::{Deserialize, Serialize};

use std::time::Duration;

use crate::app::{AttemptLimitsConfig, PasswordsConfig};
use crate::domain::{Email, Password, SessionRules};

/// The settings of the users service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml explains every key, and is what an operator reads")]
pub struct Config {
    pub public_base: String,
    pub older_base: String,
    pub identity: IdentityConfig,
    pub store: Address,
    pub intake: Address,
    pub cache: CacheConfig,
    pub bus: Address,
    pub grpc: GrpcConfig,
    pub signing: SigningConfig,
    pub passwords: PasswordsConfig,
    pub sessions: SessionsConfig,
    pub audit: AuditConfig,
    pub throttle: AttemptLimitsConfig,
    pub bootstrap_admin: BootstrapAdminConfig,
}

/// The table `[cache]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheConfig {
    pub url: Url,
    pub capacity: u64,
    pub ttl_seconds: u64,
}

/// The table `[signing]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningConfig {
    pub key_file: String,
}

/// The table `[audit]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditConfig {
    pub days: u32,
}

impl AuditConfig {
    /// Returns the time for which an entry is kept.
    pub(crate) fn life(&self) -> Duration {
        Duration::from_secs(u64::from(self.days) * 24 * 60 * 60)
    }
}

/// The table `[sessions]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionsConfig {
    pub idle_days: u32,
    pub longest_days: u32,
    pub most: u32,
    pub retry_seconds: u32,
    pub grace_seconds: u32,
}

impl SessionsConfig {
    /// Returns the rules that these settings describe.
    pub(crate) fn rules(&self) -> SessionRules {
        let days = |number: u32| Duration::from_secs(u64::from(number) * 24 * 60 * 60);
        SessionRules {
            idle: days(self.idle_days),
            longest: days(self.longest_days),
            retry: Duration::from_secs(u64::from(self.retry_seconds)),
            grace: Duration::from_secs(u64::from(self.grace_seconds)),
            most: self.most,
        }
    }

    fn faults(&self) -> Vec<String> {
        const LONGEST: u32 = 3650;
        let mut faults = Vec::new();
        let mut within = |key: &str, number: u32, most: u32| {
            if !(1..=most).contains(&number) {
                faults.push(format!("sessions.{key} must be between 1 and {most}, got {number}"));
            }
        };
        within("idle_days", self.idle_days, LONGEST);
        within("longest_days", self.longest_days, LONGEST);
        within("most", self.most, 1000);
        if self.retry_seconds > 3600 {
            faults.push(format!("sessions.retry_seconds must be at most 3600, got {}", self.retry_seconds));
        }
        if self.grace_seconds > 60 {
            faults.push(format!("sessions.grace_seconds must be at most 60, got {}", self.grace_seconds));
        }
        faults
    }
}

/// The table `[bootstrap_admin]`: the account that is created if there is no admin.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see Config")]
pub struct BootstrapAdminConfig {
    pub email: String,
    pub password: Secret,
}

impl BootstrapAdminConfig {
    /// Returns e-mail and password of the first admin, or `None` if none is configured.
    pub fn credentials(&self) -> Option<(&str, &str)> {
        (!self.email.is_empty()).then(|| (self.email.as_str(), self.password.expose()))
    }
}

impl Settings for Config {
    const DEFAULTS: &'static str = include_str!("../config.default.toml");

    fn validate(&self) -> Vec<String> {
        let mut faults = self.passwords.faults();
        faults.extend(self.sessions.faults());
        faults.extend(self.throttle.faults());
        let mut fault = |wrong: bool, sentence: &str| {
            if wrong {
                faults.push(sentence.to_owned());
            }
        };
        fault(
            self.store.url == self.intake.url,
            "store.url and intake.url must differ: no transaction spans both stores",
        );
        fault(self.cache.capacity == 0, "cache.capacity must be at least 1");
        fault(
            !(1..=86_400).contains(&self.cache.ttl_seconds),
            "cache.ttl_seconds must be between 1 and 86400",
        );
        fault(!(1..=3650).contains(&self.audit.days), "audit.days must be between 1 and 3650");
        fault(self.signing.key_file.is_empty(), "signing.key_file must name a file");
        faults.extend(path_fault("public_base", &self.public_base));
        faults.extend(path_fault("older_base", &self.older_base));
        faults.extend(self.grpc.faults(crate::grpc::METHODS));
        if let Some((email, password)) = self.bootstrap_admin.credentials() {
            faults.extend(Email::parse(email).err().map(|e| format!("bootstrap_admin.email {e}")));
            faults.extend(Password::parse(password).err().map(|e| format!("bootstrap_admin.password {e}")));
        }
        faults
    }

    fn places(&self) -> Vec<Place> {
        let mut places = self.identity.places();
        places.push(
            Place::new("store.url", self.store.url.expose(), &[Form::Sqlite, Form::Postgres])
                .with_drivers(cfg!(feature = "servers")),
        );
        places.push(
            Place::new("intake.url", self.intake.url.expose(), &[Form::Sqlite, Form::Redis])
                .read_by(crate::store::read_redis)
                .with_drivers(cfg!(feature = "servers")),
        );
        places.push(
            Place::new("cache.url", self.cache.url.expose(), &[Form::Memory, Form::Redis])
                .read_by(crate::store::read_redis)
                .with_drivers(cfg!(feature = "servers")),
        );
        places.push(bus::place(&self.bus));
        places
    }

    fn unfit_for_production(&self) -> Vec<String> {
        self.grpc.unfit_for_production()
    }
}

#[cfg(test)]
mod tests {
    use chassis::config::{layers, read};

    use super::*;

    fn config() -> Config {
        toml::from_str(Config::DEFAULTS).expect("the defaults are a configuration")
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(config().validate(), Vec::<String>::new());
    }

    #[test]
    fn an_address_with_another_scheme_is_refused_by_the_name_of_its_key() {
        for key in ["store.url", "intake.url", "cache.url", "bus.url", "identity.keys", "identity.issuer"] {
            for bad in ["", "s3cret", "mysql://u:s3cret@db", "sqlite:", "redis://u:s3cret@"] {
                let mut table: toml::Table = Config::DEFAULTS.parse().expect("TOML");
                let (name, field) = key.split_once('.').expect("two parts");
                table[name][field] = bad.into();
                let layers = layers(&[&table.to_string()], None).expect("layers");
                let faults = read::<Config>(&layers).expect_err(bad).0;
                assert!(faults.iter().any(|fault| fault.starts_with(key)), "{bad}: {faults:?}");
                assert!(!faults.iter().any(|fault| fault.contains("s3cret")), "{faults:?}");
            }
        }
    }

    #[test]
    fn production_requires_a_token_of_each_caller_and_refuses_addresses_of_one_process() {
        let layers =
            layers(&[Config::DEFAULTS, "[process]\nprofile = \"production\"\n"], None).expect("layers");
        let faults = read::<Config>(&layers).expect_err("the defaults are for one process").0;
        for key in ["grpc.callers.recommendations.token", "bus.url", "identity.keys"] {
            assert!(faults.iter().any(|fault| fault.starts_with(key)), "{key}: {faults:?}");
        }
        assert_eq!(faults.len(), 3, "{faults:?}");
    }

    #[test]
    fn all_faults_are_reported_together() {
        let mut config = config();
        config.public_base = "users/".to_owned();
        config.intake.url.clone_from(&config.store.url);
        config.cache.capacity = 0;
        config.passwords.memory_kib = 1024;
        config.passwords.passes = 1;
        config.sessions.idle_days = 0;
        config.audit.days = 0;
        config.throttle.logins_per_account = 0;
        config.bootstrap_admin.email = "not an address".to_owned();
        config.bootstrap_admin.password = "12345678".to_owned().into();
        let faults = config.validate();
        assert_eq!(faults.len(), 10, "{faults:?}");
        assert!(!faults.iter().any(|fault| fault.contains("12345678")));
    }
}
