use std::path::Path;

use figment::error::Kind;
use figment::providers::Serialized;
use figment::value::{Dict, Value};
use figment::{Figment, Provider};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::layers::{ConfigFaults, environment, layers, over};
use super::process::Process;
use crate::values::{Place, Profile, trace_export, variables};

/// The settings of a service. Their defaults are their documentation.
pub trait Settings: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The text of `config.default.toml`, which explains every key.
    const DEFAULTS: &'static str;

    /// Returns the faults that types can't rule out, each in a sentence that names the key.
    fn validate(&self) -> Vec<String>;

    /// Returns every address among the settings with its possible forms. They are checked when the
    /// configuration is read, so that `--check-config` finds every wrong address.
    fn places(&self) -> Vec<Place>;

    /// Returns what `production` refuses besides addresses and well-known passwords, each in a sentence that
    /// names the key.
    fn unfit_for_production(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A configuration without faults.
#[derive(Debug, Clone)]
pub struct Loaded<C> {
    /// The settings of the service.
    pub service: C,
    /// The settings of its process.
    pub process: Process,
    /// A short SHA-256 of the effective configuration without its secrets. Processes with the same one behave
    /// alike.
    pub fingerprint: String,
    /// The effective configuration as TOML, with secrets as `***`.
    pub effective: String,
}

/// Reads the settings of a process that may hold several services.
///
/// # Errors
/// Every fault: unknown keys, values of the wrong type, the faults of [`Settings::validate`], addresses that
/// can't be used, and settings that the profile forbids.
pub fn read<C: Settings>(figment: &Figment) -> Result<Loaded<C>, ConfigFaults> {
    read_for(figment, false)
}

/// Reads the settings. `alone` is true for a service in a process of its own, in which `inproc:` and `local:`
/// can't work.
fn read_for<C: Settings>(figment: &Figment, alone: bool) -> Result<Loaded<C>, ConfigFaults> {
    let mut dict: Dict =
        figment.data().map_err(ConfigFaults::one)?.remove(&figment::Profile::Default).unwrap_or_default();
    let process = dict.remove("process").unwrap_or_else(|| Value::from(Dict::new()));
    let process = process.deserialize::<Process>();
    let service = Figment::from(Serialized::defaults(dict)).extract::<C>();
    let mut faults = match &process {
        Ok(process) => process.validate(),
        Err(errors) => type_faults("process", errors),
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
        Err(errors) => faults.extend(type_faults("", errors)),
    }
    match (process, service) {
        (Ok(process), Ok(service)) if faults.is_empty() => {
            let effective = to_toml(&process, &service)?;
            let fingerprint = hex::encode(Sha256::digest(effective.as_bytes()))[..6].to_owned();
            Ok(Loaded { service, process, fingerprint, effective })
        }
        _ => Err(ConfigFaults(faults)),
    }
}

/// Describes values of the wrong type, each with its whole key below `table`. The place in this program is
/// left out: it does not help an operator.
fn type_faults(table: &str, errors: &figment::Error) -> Vec<String> {
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

fn to_toml<C: Serialize>(process: &Process, service: &C) -> Result<String, ConfigFaults> {
    let mut table = toml::Table::try_from(service).map_err(ConfigFaults::one)?;
    table.insert("process".to_owned(), toml::Value::try_from(process).map_err(ConfigFaults::one)?);
    toml::to_string(&table).map_err(ConfigFaults::one)
}

/// Adds the faults of the standard `OTEL_*` variables, which belong to no layer.
///
/// # Errors
/// Every fault.
pub fn with_variables<C>(
    read: Result<Loaded<C>, ConfigFaults>,
    variables: &[(String, String)],
) -> Result<Loaded<C>, ConfigFaults> {
    match (read, trace_export(variables)) {
        (read, Ok(_)) => read,
        (Ok(_), Err(fault)) => Err(ConfigFaults(vec![fault])),
        (Err(ConfigFaults(mut faults)), Err(fault)) => {
            faults.push(fault);
            Err(ConfigFaults(faults))
        }
    }
}

/// Reads the usual layers of a service in a process of its own.
///
/// # Errors
/// Every fault.
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
    use crate::values::{Form, Secret};

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
    fn the_environment_overrides_the_defaults_and_variables_of_other_services_are_ignored() {
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
        crate::files::write_private(&path, b"s3cret\n").expect("writes");
        let loaded = with(&[("USERS__STORE__PASSWORD__FILE", &path.display().to_string())])
            .expect("a good configuration");
        assert_eq!(loaded.service.store.password.expose(), "s3cret");
        assert!(loaded.effective.contains("password = \"***\""));
        assert!(!format!("{loaded:?}").contains("s3cret"));
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_file_that_others_can_read_is_refused_with_the_name_of_its_variable() {
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
    fn a_secret_of_digits_keeps_its_form_and_an_invalid_one_is_not_quoted() {
        for typed in ["12345678", "0012345678", "1e10", "true story"] {
            let loaded = with(&[("USERS__STORE__PASSWORD", typed)]).expect("a good configuration");
            assert_eq!(loaded.service.store.password.expose(), typed);
        }
        let refused =
            with(&[("USERS__STORE__PASSWORD", "[\"hunter2\"]")]).expect_err("a list is not a secret");
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }

    #[test]
    fn unknown_keys_and_impossible_values_are_refused_with_their_names() {
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
    fn a_text_in_place_of_a_list_is_refused_with_its_whole_key() {
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
    fn a_service_alone_refuses_addresses_within_a_process() {
        let layers = layers(&[Config::DEFAULTS, "[store]\nurl = \"local:bus.db\"\n"], None).expect("layers");
        assert!(read_for::<Config>(&layers, false).is_ok());
        let faults = read_for::<Config>(&layers, true).expect_err("it has no neighbours").to_string();
        assert!(faults.contains("store.url is local:bus.db") && faults.contains("amqp://"), "{faults}");
    }

    #[test]
    fn an_invalid_endpoint_of_traces_is_one_of_the_faults() {
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), "nonsense".to_owned())];
        let faults = with_variables(with(&[("USERS__STORE__READERS", "0")]), &variables);
        let faults = faults.expect_err("two faults").0;
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[1].starts_with("OTEL_EXPORTER_OTLP_ENDPOINT must"), "{faults:?}");
        assert_eq!(with_variables(with(&[]), &variables).expect_err("one fault").0, faults[1..]);
        assert!(with_variables(with(&[]), &[]).is_ok());
    }

    #[test]
    fn the_fingerprint_changes_only_with_the_configuration() {
        let print = |readers: &str| with(&[("USERS__STORE__READERS", readers)]).expect("good").fingerprint;
        assert_eq!(print("3"), print("3"));
        assert_ne!(print("3"), print("4"));
    }
}
