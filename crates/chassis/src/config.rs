//! Configuration: typed, layered (flags > environment > file > defaults), every fault named at once.

use std::fmt;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Value};
use figment::{Figment, Provider};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// What a service can be told. Its defaults are its documentation.
pub trait Settings: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The text of `config.default.toml`, which names and explains every key.
    const DEFAULTS: &'static str;

    /// Every fault that types alone can't rule out, each in a sentence that names the key.
    fn validate(&self) -> Vec<String>;
}

/// A value that is never shown: it prints and serialises as `***` and is wiped from memory.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// Reads any plain value as text, and quotes none of it where it can't: an error may be printed.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Plain {
            Text(String),
            Whole(i64),
            Large(u64),
        }
        match Plain::deserialize(deserializer) {
            Ok(Plain::Text(text)) => Ok(text.into()),
            Ok(Plain::Whole(number)) => Ok(number.to_string().into()),
            Ok(Plain::Large(number)) => Ok(number.to_string().into()),
            Err(_) => Err(serde::de::Error::custom("a secret must be a text")),
        }
    }
}

/// What every process can be told, whatever it holds: the table `[process]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Where HTTP is served.
    pub listen: String,
    /// Where gRPC is served, if the service has any.
    pub grpc_listen: String,
    /// Which lines are logged, as `info` or `info,sqlx=warn`.
    pub log: String,
    /// How they look: `text`, `json`, or `auto` (text on a terminal).
    pub log_format: LogFormat,
    /// How long a stop waits for requests in flight, and again for workers to run dry, in milliseconds.
    pub grace_ms: u64,
    /// The limits of the listener.
    pub edge: crate::http::EdgeConfig,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Process {
    /// Every fault that types alone can't rule out.
    fn validate(&self) -> Vec<String> {
        const TEN_MINUTES: u64 = 600_000;
        let mut faults = Vec::new();
        let mut within = |key: &str, value: u64, range: std::ops::RangeInclusive<u64>| {
            if !range.contains(&value) {
                faults.push(format!("process.{key} must be {} to {}", range.start(), range.end()));
            }
        };
        within("grace_ms", self.grace_ms, 0..=TEN_MINUTES);
        within("edge.read_budget_ms", self.edge.read_budget_ms, 1..=TEN_MINUTES);
        within("edge.write_budget_ms", self.edge.write_budget_ms, 1..=TEN_MINUTES);
        within("edge.in_flight", self.edge.in_flight as u64, 1..=1_000_000);
        for (key, address) in [("listen", &self.listen), ("grpc_listen", &self.grpc_listen)] {
            if address.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
                faults.push(format!("process.{key} must be an address with a port, as 127.0.0.1:8080"));
            }
        }
        if let Err(fault) = crate::telemetry::filter(&self.log) {
            faults.push(format!("process.log: {fault}"));
        }
        faults
    }
}

impl Default for Process {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            grpc_listen: "127.0.0.1:50051".to_owned(),
            log: "info".to_owned(),
            log_format: LogFormat::Auto,
            grace_ms: 8_000, // containers are killed after 10 s
            edge: crate::http::EdgeConfig::default(),
        }
    }
}

/// A configuration that was read and found good.
#[derive(Debug, Clone)]
pub struct Loaded<C> {
    /// What the service is told.
    pub service: C,
    /// What its process is told.
    pub process: Process,
    /// A short SHA-256 of what is in force, secrets left out: two processes with the same one do the same.
    pub fingerprint: String,
    /// What is in force, as TOML with secrets as `***`.
    pub effective: String,
}

/// Why a configuration was refused: every fault, each in a line.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} fault(s):\n{}", .0.len(), .0.iter().map(|fault| format!("  - {fault}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigFaults(pub Vec<String>);

impl ConfigFaults {
    fn one(fault: impl fmt::Display) -> Self {
        Self(vec![fault.to_string()])
    }
}

/// The layers below the environment: defaults in TOML (the earliest first), then the file.
///
/// # Errors
/// Where a named file can't be read.
pub fn layers(defaults: &[&str], file: Option<&Path>) -> Result<Figment, ConfigFaults> {
    let base = Figment::from(Serialized::default("process", Process::default()));
    let mut figment = defaults.iter().fold(base, |figment, text| figment.merge(Toml::string(text)));
    if let Some(path) = file {
        if !path.is_file() {
            return Err(ConfigFaults::one(format!("{} is no file", path.display())));
        }
        figment = figment.merge(Toml::file_exact(path));
    }
    Ok(figment)
}

/// The environment's layer for keys that begin with `prefix`: `USERS__STORE__URL` is `store.url` for `USERS`. A name that
/// ends in `__FILE` says where the value is read from, as containers get their secrets.
pub fn environment(prefix: &str, variables: &[(String, String)]) -> Result<Dict, ConfigFaults> {
    let start = format!("{prefix}__");
    let mut dict = Dict::new();
    let mut faults = Vec::new();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(&start) else { continue };
        let (key, value) = match rest.strip_suffix("__FILE") {
            Some(key) => match std::fs::read_to_string(PathBuf::from(value)) {
                Ok(text) => (key, text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => {
                    faults.push(format!("{name}: {value} can't be read: {error}"));
                    continue;
                }
            },
            None => (rest, value.clone()),
        };
        let path: Vec<String> = key.split("__").map(str::to_ascii_lowercase).collect();
        insert(&mut dict, &path, parsed(&value));
    }
    if faults.is_empty() { Ok(dict) } else { Err(ConfigFaults(faults)) }
}

/// Every variable of the environment that is text.
#[allow(clippy::disallowed_methods, reason = "configuration is the one place that reads the environment")]
pub fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Numbers, truth values and lists are read as such; everything else is text, also where it looks odd.
fn parsed(text: &str) -> Value {
    match text.parse::<Value>() {
        // A number that would not be written like this is text: `007`, `1e3`, most passwords.
        Ok(Value::Num(..)) if text.parse::<i64>().map(|number| number.to_string()).as_deref() != Ok(text) => {
            Value::from(text)
        }
        Ok(value @ (Value::Num(..) | Value::Bool(..) | Value::Array(..))) => value,
        _ => Value::from(text),
    }
}

fn insert(dict: &mut Dict, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            dict.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let mut inner = match dict.remove(first) {
                Some(Value::Dict(_, inner)) => inner,
                _ => Dict::new(),
            };
            insert(&mut inner, rest, value);
            dict.insert(first.clone(), inner.into());
        }
    }
}

/// Merges one more layer on top.
pub fn over(figment: Figment, dict: Dict) -> Figment {
    figment.merge(Serialized::defaults(dict))
}

/// Reads what the layers say.
///
/// # Errors
/// Every fault at once: unknown keys, values of the wrong type, and what [`Settings::validate`] finds.
pub fn read<C: Settings>(figment: &Figment) -> Result<Loaded<C>, ConfigFaults> {
    let mut dict: Dict =
        figment.data().map_err(ConfigFaults::one)?.remove(&figment::Profile::Default).unwrap_or_default();
    let process = dict.remove("process").unwrap_or_else(|| Value::from(Dict::new()));
    let process = process.deserialize::<Process>().map_err(|error| format!("process: {error}"));
    let service = Figment::from(Serialized::defaults(dict)).extract::<C>();
    let mut faults = match &process {
        Ok(process) => process.validate(),
        Err(fault) => vec![fault.clone()],
    };
    match &service {
        Ok(service) => faults.extend(service.validate()),
        Err(errors) => faults.extend(errors.clone().into_iter().map(|error| {
            // The key and what is wrong; where in this program that was found is nobody's business.
            let key = error.path.join(".");
            if key.is_empty() { error.kind.to_string() } else { format!("{key}: {}", error.kind) }
        })),
    }
    match (process, service) {
        (Ok(process), Ok(service)) if faults.is_empty() => {
            let effective = show(&process, &service)?;
            let fingerprint = hex::encode(Sha256::digest(effective.as_bytes()))[..6].to_owned();
            Ok(Loaded { service, process, fingerprint, effective })
        }
        _ => Err(ConfigFaults(faults)),
    }
}

fn show<C: Serialize>(process: &Process, service: &C) -> Result<String, ConfigFaults> {
    let mut table = toml::Table::try_from(service).map_err(ConfigFaults::one)?;
    table.insert("process".to_owned(), toml::Value::try_from(process).map_err(ConfigFaults::one)?);
    toml::to_string(&table).map_err(ConfigFaults::one)
}

/// The usual layers of a service in a process of its own.
///
/// # Errors
/// Every fault at once.
pub fn load<C: Settings>(prefix: &str, file: Option<&Path>, flags: Dict) -> Result<Loaded<C>, ConfigFaults> {
    let figment = layers(&[C::DEFAULTS], file)?;
    let figment = over(figment, environment(prefix, &variables())?);
    read(&over(figment, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Store {
        url: String,
        password: Secret,
        readers: u32,
    }

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        store: Store,
    }

    impl Settings for Config {
        const DEFAULTS: &'static str =
            "[store]\nurl = \"sqlite:x.db\"\npassword = \"changeme\"\nreaders = 10\n";

        fn validate(&self) -> Vec<String> {
            (self.store.readers == 0)
                .then(|| "store.readers must be at least 1".to_owned())
                .into_iter()
                .collect()
        }
    }

    fn with(variables: &[(&str, &str)]) -> Result<Loaded<Config>, ConfigFaults> {
        let variables: Vec<_> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        read(&over(layers(&[Config::DEFAULTS], None)?, environment("USERS", &variables)?))
    }

    #[test]
    fn the_environment_goes_over_the_defaults_and_other_services_variables_do_not_matter() {
        let loaded = with(&[
            ("USERS__STORE__READERS", "3"),
            ("NEWS__STORE__URL", "no"),
            ("USERS__PROCESS__LISTEN", "[::1]:1"),
        ]);
        let loaded = loaded.expect("a good configuration");
        assert_eq!((loaded.service.store.readers, loaded.service.store.url.as_str()), (3, "sqlite:x.db"));
        assert_eq!(loaded.process.listen, "[::1]:1");
    }

    #[test]
    fn secrets_are_shown_as_stars_and_are_read_from_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, "s3cret\n").expect("writes");
        let loaded = with(&[("USERS__STORE__PASSWORD__FILE", &path.display().to_string())])
            .expect("a good configuration");
        assert_eq!(loaded.service.store.password.expose(), "s3cret");
        assert!(loaded.effective.contains("password = \"***\""));
        assert!(!format!("{loaded:?}").contains("s3cret"));
    }

    #[test]
    fn a_secret_of_digits_stays_as_it_was_typed_and_a_wrong_one_is_not_quoted() {
        for typed in ["12345678", "0012345678", "1e10", "true story"] {
            let loaded = with(&[("USERS__STORE__PASSWORD", typed)]).expect("a good configuration");
            assert_eq!(loaded.service.store.password.expose(), typed);
        }
        let refused = with(&[("USERS__STORE__PASSWORD", "[\"hunter2\"]")]).expect_err("a list is no secret");
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }

    #[test]
    fn unknown_keys_and_impossible_values_are_refused_by_name() {
        let unknown = with(&[("USERS__STORE__URI", "x")]).expect_err("an unknown key").to_string();
        assert!(unknown.contains("uri"), "{unknown}");
        let process = with(&[("USERS__PROCESS__LISTENN", "x")]).expect_err("an unknown key").to_string();
        assert!(process.contains("listenn"), "{process}");
        let both = with(&[("USERS__STORE__READERS", "0"), ("USERS__PROCESS__GRACE_MS", "soon")])
            .expect_err("two faults");
        assert_eq!(both.0.len(), 2, "{both}");
        let impossible =
            with(&[("USERS__PROCESS__EDGE__IN_FLIGHT", "0"), ("USERS__PROCESS__LOG", "a=b=c,[")]);
        assert_eq!(impossible.expect_err("two faults").0.len(), 2);
    }

    #[test]
    fn the_fingerprint_changes_with_the_configuration_and_with_nothing_else() {
        let print = |readers: &str| with(&[("USERS__STORE__READERS", readers)]).expect("good").fingerprint;
        assert_eq!(print("3"), print("3"));
        assert_ne!(print("3"), print("4"));
    }
}
