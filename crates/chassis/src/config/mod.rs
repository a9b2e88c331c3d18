//! Configuration: typed, layered (flags > environment > file > defaults), every fault named at once.

mod address;
mod process;
mod secret;
mod url;

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use figment::error::Kind;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Value};
use figment::{Figment, Provider};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

pub use address::{Address, Form, Place, path_fault};
pub use process::{LogFormat, Process, Profile};
pub use secret::Secret;
pub use url::Url;

/// What a service can be told. Its defaults are its documentation.
pub trait Settings: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The text of `config.default.toml`, which names and explains every key.
    const DEFAULTS: &'static str;

    /// Every fault that types alone can't rule out, each in a sentence that names the key.
    fn validate(&self) -> Vec<String>;

    /// Every address among the keys, and which forms each may have. Whoever reads a configuration checks them, so that none is
    /// refused later than by `--check-config`.
    fn places(&self) -> Vec<Place>;

    /// What `production` refuses besides addresses and well-known passwords, each in a sentence that names the key.
    fn unfit_for_production(&self) -> Vec<String> {
        Vec::new()
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
/// ends in `__FILE` says where the value is read from, as containers get their secrets; such a file must be private.
pub fn environment(prefix: &str, variables: &[(String, String)]) -> Result<Dict, ConfigFaults> {
    let start = format!("{prefix}__");
    let mut dict = Dict::new();
    let mut faults = Vec::new();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(&start) else { continue };
        let (key, value) = match rest.strip_suffix("__FILE") {
            Some(key) => match crate::read_secret(Path::new(value)) {
                Ok(text) => (key, text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    faults.push(format!("{name}: {error}"));
                    continue;
                }
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

/// Reads what the layers say to a process that may hold several services.
///
/// # Errors
/// Every fault at once: unknown keys, values of the wrong type, what [`Settings::validate`] finds, addresses that can't be used,
/// and what the profile forbids.
pub fn read<C: Settings>(figment: &Figment) -> Result<Loaded<C>, ConfigFaults> {
    read_for(figment, false)
}

/// Reads what the layers say; `alone` to a service that has its process to itself, where nobody answers `inproc:` and `local:`.
fn read_for<C: Settings>(figment: &Figment, alone: bool) -> Result<Loaded<C>, ConfigFaults> {
    let mut dict: Dict =
        figment.data().map_err(ConfigFaults::one)?.remove(&figment::Profile::Default).unwrap_or_default();
    let process = dict.remove("process").unwrap_or_else(|| Value::from(Dict::new()));
    let process = process.deserialize::<Process>();
    let service = Figment::from(Serialized::defaults(dict)).extract::<C>();
    let mut faults = match &process {
        Ok(process) => process.validate(),
        Err(errors) => named("process", errors),
    };
    let profile = process.as_ref().map_or(Profile::Development, |process| process.profile);
    match &service {
        Ok(service) => {
            faults.extend(service.validate());
            faults.extend(service.places().iter().filter_map(|place| place.fault(profile, alone)));
            if profile == Profile::Production {
                faults.extend(service.unfit_for_production());
            }
        }
        Err(errors) => faults.extend(named("", errors)),
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

/// Says what is wrong with values of the wrong type, each by the whole name of its key below `table`. Where in this program it was found
/// does not matter to an operator.
fn named(table: &str, errors: &figment::Error) -> Vec<String> {
    let sentence = |error: figment::Error| {
        let names = [table].into_iter().chain(error.path.iter().map(String::as_str));
        let key = names.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(".");
        match &error.kind {
            Kind::InvalidType(_, expected) if expected == "a sequence" => {
                format!("{key} must be a list, as [\"one\", \"two\"] or [\"one\"]")
            }
            kind if key.is_empty() => kind.to_string(),
            kind => format!("{key}: {kind}"),
        }
    };
    errors.clone().into_iter().map(sentence).collect()
}

fn show<C: Serialize>(process: &Process, service: &C) -> Result<String, ConfigFaults> {
    let mut table = toml::Table::try_from(service).map_err(ConfigFaults::one)?;
    table.insert("process".to_owned(), toml::Value::try_from(process).map_err(ConfigFaults::one)?);
    toml::to_string(&table).map_err(ConfigFaults::one)
}

/// What was read, unless the standard variables that no layer holds (those of traces) are at fault: then with their faults as well.
///
/// # Errors
/// Every fault at once.
pub fn with_variables<C>(
    read: Result<Loaded<C>, ConfigFaults>,
    variables: &[(String, String)],
) -> Result<Loaded<C>, ConfigFaults> {
    match (read, crate::spans::fault(variables)) {
        (read, None) => read,
        (Ok(_), Some(fault)) => Err(ConfigFaults(vec![fault])),
        (Err(ConfigFaults(mut faults)), Some(fault)) => {
            faults.push(fault);
            Err(ConfigFaults(faults))
        }
    }
}

/// The usual layers of a service in a process of its own.
///
/// # Errors
/// Every fault at once.
pub fn load<C: Settings>(prefix: &str, file: Option<&Path>, flags: Dict) -> Result<Loaded<C>, ConfigFaults> {
    let figment = layers(&[C::DEFAULTS], file)?;
    let variables = variables();
    let figment = over(figment, environment(prefix, &variables)?);
    with_variables(read_for(&over(figment, flags), true), &variables)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

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

        fn places(&self) -> Vec<Place> {
            vec![Place::new("store.url", &self.store.url, &[Form::Sqlite, Form::Local, Form::Amqp])]
        }

        fn unfit_for_production(&self) -> Vec<String> {
            vec!["store.readers is not for production".to_owned()]
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
        crate::write_private(&path, b"s3cret\n").expect("writes");
        let loaded = with(&[("USERS__STORE__PASSWORD__FILE", &path.display().to_string())])
            .expect("a good configuration");
        assert_eq!(loaded.service.store.password.expose(), "s3cret");
        assert!(loaded.effective.contains("password = \"***\""));
        assert!(!format!("{loaded:?}").contains("s3cret"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_a_secret_that_others_can_read_is_refused_by_the_name_of_its_variable() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, "s3cret\n").expect("writes");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .expect("is ours");
        let name = "USERS__STORE__PASSWORD__FILE";
        let refused =
            with(&[(name, &path.display().to_string())]).expect_err("it is open to others").to_string();
        assert!(refused.contains(name) && refused.contains("chmod 600"), "{refused}");
        assert!(!refused.contains("s3cret"), "{refused}");
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
    fn a_list_that_is_given_as_a_text_is_named_by_its_whole_key() {
        let faults = with(&[
            ("USERS__PROCESS__EDGE__THROTTLE__CLIENT", "50/second"),
            ("USERS__STORE__READERS", "many"),
        ]);
        let faults = faults.expect_err("two faults").0;
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with("process.edge.throttle.client must be a list"), "{faults:?}");
        assert!(faults[1].starts_with("store.readers: "), "{faults:?}");
    }

    #[test]
    fn production_names_everything_that_it_refuses_at_once() {
        let faults = with(&[
            ("USERS__PROCESS__PROFILE", "production"),
            ("USERS__PROCESS__LOG", "debug"),
            ("USERS__STORE__URL", "local:bus.db"),
        ]);
        let faults = faults.expect_err("three faults").0;
        assert_eq!(faults.len(), 3, "{faults:?}");
        for word in ["process.log", "store.url", "store.readers"] {
            assert!(faults.iter().any(|fault| fault.starts_with(word)), "{word}: {faults:?}");
        }
    }

    #[test]
    fn a_service_alone_is_told_at_once_which_address_works_in_company_only() {
        let layers = layers(&[Config::DEFAULTS, "[store]\nurl = \"local:bus.db\"\n"], None).expect("layers");
        assert!(read_for::<Config>(&layers, false).is_ok());
        let faults = read_for::<Config>(&layers, true).expect_err("nobody is beside it").to_string();
        assert!(faults.contains("store.url is local:bus.db") && faults.contains("amqp://"), "{faults}");
    }

    #[test]
    fn an_endpoint_of_traces_that_is_no_address_is_one_of_the_faults() {
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), "nonsense".to_owned())];
        let faults = with_variables(with(&[("USERS__STORE__READERS", "0")]), &variables);
        let faults = faults.expect_err("two faults").0;
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[1].starts_with("OTEL_EXPORTER_OTLP_ENDPOINT must"), "{faults:?}");
        assert_eq!(with_variables(with(&[]), &variables).expect_err("one fault").0, faults[1..]);
        assert!(with_variables(with(&[]), &[]).is_ok());
    }

    #[test]
    fn the_fingerprint_changes_with_the_configuration_and_with_nothing_else() {
        let print = |readers: &str| with(&[("USERS__STORE__READERS", readers)]).expect("good").fingerprint;
        assert_eq!(print("3"), print("3"));
        assert_ne!(print("3"), print("4"));
    }
}
