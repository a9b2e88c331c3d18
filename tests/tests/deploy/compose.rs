//! The compose files as values.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::text;

/// The six services, in the order in which a request reaches them.
pub const SERVICES: [&str; 6] =
    ["users", "orchestrator", "famous-news", "politics-news", "sports-news", "recommendations"];

/// A compose file, with the keys that these tests read. `docker-compose config` checks all keys.
#[derive(Debug, Deserialize)]
pub struct Compose {
    pub services: BTreeMap<String, Container>,
    #[serde(default)]
    pub networks: BTreeMap<String, Option<Network>>,
    #[serde(default)]
    pub volumes: BTreeMap<String, IgnoredAny>,
    #[serde(default)]
    pub secrets: BTreeMap<String, Secret>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Container {
    pub image: String,
    pub build: Option<IgnoredAny>,
    pub command: Vec<String>,
    pub user: Option<String>,
    pub read_only: bool,
    pub restart: Option<String>,
    pub cap_drop: Vec<String>,
    pub security_opt: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub env_file: Vec<String>,
    pub ports: Vec<String>,
    pub networks: Vec<String>,
    pub volumes: Vec<String>,
    pub secrets: Vec<String>,
    pub healthcheck: Option<HealthCheck>,
    pub depends_on: BTreeMap<String, Wait>,
    pub deploy: Option<Deploy>,
}

#[derive(Debug, Deserialize)]
pub struct HealthCheck {
    pub test: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct Wait {
    pub condition: String,
}

#[derive(Debug, Deserialize)]
pub struct Deploy {
    pub resources: Resources,
}

#[derive(Debug, Deserialize)]
pub struct Resources {
    pub limits: Limits,
}

#[derive(Debug, Deserialize)]
pub struct Limits {
    pub cpus: String,
    pub memory: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Network {
    pub internal: bool,
}

#[derive(Debug, Deserialize)]
pub struct Secret {
    pub file: String,
}

/// `docker-compose.yml`.
pub fn production() -> Compose {
    read("docker-compose.yml")
}

/// Returns one of the files that are used on top of it.
#[track_caller]
pub fn read(name: &str) -> Compose {
    serde_saphyr::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

impl Compose {
    /// Returns the container of this name.
    #[track_caller]
    pub fn container(&self, name: &str) -> &Container {
        self.services.get(name).unwrap_or_else(|| panic!("there is no container `{name}`"))
    }
}

/// Replaces `${NAME:-default}` by the default, which is the value if the variable is not set.
pub fn by_default(value: &str) -> String {
    let Some((before, rest)) = value.split_once("${") else { return value.to_owned() };
    let (inside, after) = rest.split_once('}').expect("a variable ends with a brace");
    let (_, default) = inside.split_once(":-").unwrap_or_else(|| panic!("{value} has no default"));
    format!("{before}{default}{}", by_default(after))
}

#[test]
fn a_variable_that_is_not_set_has_its_default() {
    assert_eq!(by_default("${A:-127.0.0.1:8080}:8080"), "127.0.0.1:8080:8080");
    assert_eq!(by_default("a ${A:-b} c ${D:-}"), "a b c ");
}
