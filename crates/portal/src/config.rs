//! The configuration of the one process: the configurations of all services, each under its name. Their
//! defaults place all stores in one data folder.

use std::path::{Path, PathBuf};

use chassis::config::{self, ConfigFaults, Form, Loaded, Place, Settings};
use clap::Args;
use figment::Figment;
use figment::providers::Serialized;
use figment::value::Dict;
use serde::{Deserialize, Serialize};

/// The configuration of the one process. `portal check-config` prints the effective one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder of all stores.
    pub data_dir: PathBuf,
    /// The public URL of the portal, which tokens name as their issuer. If empty, the address that the portal
    /// listens on.
    pub public_url: String,
    /// The accounts.
    pub users: users::Config,
    /// The section `famous`.
    pub famous_news: news::Config,
    /// The section `politics`.
    pub politics_news: news::Config,
    /// The section `sports`.
    pub sports_news: news::Config,
    /// The public news API.
    pub orchestrator: orchestrator::Config,
    /// The recommendations.
    pub recommendations: recommendations::Config,
}

impl Settings for Config {
    const DEFAULTS: &'static str = "data_dir = \"data\"\npublic_url = \"\"\n";

    fn validate(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut add = |name: &str, found: Vec<String>| {
            faults.extend(found.into_iter().map(|fault| format!("{name}.{fault}")));
        };
        add("users", self.users.validate());
        add("famous_news", self.famous_news.validate());
        add("politics_news", self.politics_news.validate());
        add("sports_news", self.sports_news.validate());
        add("orchestrator", self.orchestrator.validate());
        add("recommendations", self.recommendations.validate());
        faults
    }

    fn places(&self) -> Vec<Place> {
        let services: [(&str, &dyn Fn() -> Vec<Place>); 6] = [
            ("users", &|| self.users.places()),
            ("famous_news", &|| self.famous_news.places()),
            ("politics_news", &|| self.politics_news.places()),
            ("sports_news", &|| self.sports_news.places()),
            ("orchestrator", &|| self.orchestrator.places()),
            ("recommendations", &|| self.recommendations.places()),
        ];
        let below = |(name, places): (&'static str, &dyn Fn() -> Vec<Place>)| {
            places().into_iter().map(move |place| place.below(name))
        };
        let own =
            (!self.public_url.is_empty()).then(|| Place::new("public_url", &self.public_url, &[Form::Http]));
        own.into_iter().chain(services.into_iter().flat_map(below)).collect()
    }

    fn unfit_for_production(&self) -> Vec<String> {
        vec!["the one process is for development, demos and small sites: in production, run the six services as a fleet".to_owned()]
    }
}

/// The flags of the commands that work on the stores.
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    /// The folder of all stores [default: data].
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// A configuration file in TOML. It overrides the built-in defaults; the environment overrides the file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The flags of the commands that serve, or show what would be served.
#[derive(Debug, Clone, Default, Args)]
pub struct Serving {
    /// The address to serve HTTP on; port 0 selects a free port [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// The common flags.
    #[command(flatten)]
    pub flags: Flags,
}

const SERVICES: [&str; 6] =
    ["users", "famous_news", "politics_news", "sports_news", "orchestrator", "recommendations"];

/// Loads the configuration from all layers: the built-in defaults, the defaults of this shape (which follow
/// from `data_dir` and `public_url`), the file, the environment (`PORTAL__…` for the process, `USERS__…` and
/// so on for a service), the flags.
///
/// # Errors
/// Fails with all faults together.
pub fn load(flags: &Flags) -> Result<Loaded<Config>, ConfigFaults> {
    load_serving(&Serving { listen: None, flags: flags.clone() }, None)
}

/// Loads the configuration of a command that serves. `listening` is the bound address, once there is one: it
/// becomes the public URL if none is configured.
///
/// # Errors
/// Fails with all faults together.
pub fn load_serving(serving: &Serving, listening: Option<&str>) -> Result<Loaded<Config>, ConfigFaults> {
    load_with(serving, listening, &config::variables())
}

/// Loads the configuration without the environment.
///
/// # Errors
/// As [`load`].
pub fn load_without_environment(flags: &Flags) -> Result<Loaded<Config>, ConfigFaults> {
    load_with(&Serving { listen: None, flags: flags.clone() }, None, &[])
}

fn load_with(
    flags: &Serving,
    listening: Option<&str>,
    variables: &[(String, String)],
) -> Result<Loaded<Config>, ConfigFaults> {
    let overrides = over_defaults(Figment::from(Serialized::defaults(Dict::new())), flags, variables)?;
    let at = |key: &str| overrides.extract_inner::<String>(key).ok().filter(|text| !text.is_empty());
    let data = at("data_dir").map_or_else(|| PathBuf::from("data"), PathBuf::from);
    let listen = listening.map(str::to_owned).or_else(|| at("process.listen"));
    let public = at("public_url")
        .unwrap_or_else(|| format!("http://{}", listen.as_deref().unwrap_or("127.0.0.1:8080")));
    let defaults = service_defaults()?;
    let shape = shape(&data, &public)?;
    let base = config::layers(&[Config::DEFAULTS, &defaults, &shape], None)?;
    config::with_variables(config::read(&over_defaults(base, flags, variables)?), variables)
}

/// Adds the file, the environment and the flags on top of `base`.
fn over_defaults(
    base: Figment,
    Serving { listen, flags }: &Serving,
    variables: &[(String, String)],
) -> Result<Figment, ConfigFaults> {
    let mut figment = match &flags.config {
        Some(path) => base.merge(config::layers(&[], Some(path))?),
        None => base,
    };
    figment = config::over(figment, config::environment("PORTAL", variables)?);
    for service in SERVICES {
        let dict = config::environment(&service.to_ascii_uppercase(), variables)?;
        figment = config::over(figment, Dict::from([(service.to_owned(), dict.into())]));
    }
    let mut from_flags = Dict::new();
    if let Some(listen) = listen {
        from_flags
            .insert("process".to_owned(), Dict::from([("listen".to_owned(), listen.as_str().into())]).into());
    }
    if let Some(folder) = &flags.data_dir {
        from_flags.insert("data_dir".to_owned(), folder.display().to_string().into());
    }
    Ok(config::over(figment, from_flags))
}

/// Returns the defaults of all services, each below its name.
fn service_defaults() -> Result<String, ConfigFaults> {
    let fault = |error: &dyn std::fmt::Display| ConfigFaults(vec![error.to_string()]);
    let mut all = toml::Table::new();
    for (name, text) in SERVICES.into_iter().zip([
        users::Config::DEFAULTS,
        news::Config::DEFAULTS,
        news::Config::DEFAULTS,
        news::Config::DEFAULTS,
        orchestrator::Config::DEFAULTS,
        recommendations::Config::DEFAULTS,
    ]) {
        let table: toml::Table = text.parse().map_err(|error| fault(&error))?;
        all.insert(name.to_owned(), toml::Value::Table(table));
    }
    toml::to_string(&all).map_err(|error| fault(&error))
}

/// Returns the defaults of this shape: embedded stores in the data folder, services in this process.
fn shape(data: &Path, public_url: &str) -> Result<String, ConfigFaults> {
    let file =
        |scheme: &str, name: &str| toml::Value::String(format!("{scheme}:{}", data.join(name).display()));
    let text = |text: &str| toml::Value::String(text.to_owned());
    let table = |entries: Vec<(&str, toml::Value)>| -> toml::Value {
        toml::Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    };
    let url = |value: toml::Value| table(vec![("url", value)]);
    let identity = || table(vec![("issuer", text(public_url)), ("keys", text("inproc://users"))]);
    let bus = || url(file("local", "bus.db"));
    let section = |name: &str| {
        table(vec![
            ("identity", identity()),
            ("bus", bus()),
            ("events", url(file("sqlite", &format!("{name}-news.db")))),
            ("view", url(file("sqlite", &format!("{name}-news-view.db")))),
        ])
    };
    let key = data.join("signing-key.pem").display().to_string();
    let all = table(vec![
        (
            "users",
            table(vec![
                ("identity", identity()),
                ("bus", bus()),
                ("store", url(file("sqlite", "users.db"))),
                ("intake", url(file("sqlite", "users-intake.db"))),
                ("cache", url(text("memory:"))),
                ("signing", table(vec![("key_file", text(&key))])),
            ]),
        ),
        ("famous_news", section("famous")),
        ("politics_news", section("politics")),
        ("sports_news", section("sports")),
        (
            "orchestrator",
            table(vec![
                ("identity", identity()),
                ("bus", bus()),
                ("recommendations", url(text("inproc://recommendations"))),
            ]),
        ),
        (
            "recommendations",
            table(vec![
                ("identity", identity()),
                ("bus", bus()),
                ("store", url(file("sqlite", "recommendations.db"))),
                ("users", url(text("inproc://users"))),
            ]),
        ),
    ]);
    toml::to_string(&all).map_err(|error| ConfigFaults(vec![error.to_string()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_lies_in_the_data_folder_and_every_service_knows_the_public_url() {
        let flags = Flags { data_dir: Some(PathBuf::from("/srv/portal")), ..Flags::default() };
        let loaded = load_serving(&Serving { listen: None, flags }, Some("127.0.0.1:1234"))
            .expect("a good configuration");
        let config = loaded.service;
        assert_eq!(config.users.store.url.expose(), "sqlite:/srv/portal/users.db");
        assert_eq!(config.sports_news.view.url.expose(), "sqlite:/srv/portal/sports-news-view.db");
        assert_eq!(config.recommendations.identity.issuer, "http://127.0.0.1:1234");
        assert!(loaded.effective.matches("data/").count() == 0, "{}", loaded.effective);
    }

    #[test]
    fn production_is_refused_with_every_address_of_one_process_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("portal.toml");
        std::fs::write(&file, "[process]\nprofile = \"production\"\n").expect("writes");
        let flags = Flags { config: Some(file), ..Flags::default() };
        let faults = load(&flags).expect_err("the one process is refused in production").0;
        for key in [
            "users.bus.url",
            "sports_news.bus.url",
            "orchestrator.identity.keys",
            "recommendations.users.url",
        ] {
            assert!(faults.iter().any(|fault| fault.starts_with(key)), "{key}: {faults:?}");
        }
        assert!(!faults.iter().any(|fault| fault.contains("store.url")), "{faults:?}");
    }

    #[test]
    fn an_address_of_another_kind_is_refused_by_the_name_of_its_service_and_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("portal.toml");
        let text = "public_url = \"news.example\"\n[users.store]\nurl = \"mysql://u:s3cret@db\"\n[sports_news.view]\nurl = \"\"\n";
        std::fs::write(&file, text).expect("writes");
        let faults = load(&Flags { config: Some(file), ..Flags::default() }).expect_err("three faults").0;
        for key in ["public_url must", "users.store.url must", "sports_news.view.url must"] {
            assert!(faults.iter().any(|fault| fault.starts_with(key)), "{key}: {faults:?}");
        }
        assert!(!faults.iter().any(|fault| fault.contains("s3cret")), "{faults:?}");
    }

    #[test]
    fn every_fault_is_named_by_the_key_under_which_it_can_be_mended() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("portal.toml");
        let text = "[users.signing]\nkey_file = \"\"\n[sports_news.reads]\nprojection_wait_ms = 99999\n[orchestrator.sections]\nretries = 11\n";
        std::fs::write(&file, text).expect("writes");
        let flags = Flags { config: Some(file), ..Flags::default() };
        let variables = [
            ("PORTAL__PROCESS__INTERNAL_LISTEN".to_owned(), "foo".to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), "nonsense".to_owned()),
        ];
        let serving = Serving { listen: None, flags };
        let faults = load_with(&serving, None, &variables).expect_err("five faults").0;
        for key in [
            "process.internal_listen must",
            "users.signing.key_file must",
            "sports_news.reads.projection_wait_ms must",
            "orchestrator.sections.retries must",
            "OTEL_EXPORTER_OTLP_ENDPOINT must",
        ] {
            assert!(faults.iter().any(|fault| fault.starts_with(key)), "{key}: {faults:?}");
        }
        assert_eq!(faults.len(), 5, "{faults:?}");
    }

    #[test]
    fn the_file_goes_over_the_defaults_and_names_what_it_does_not_know() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("portal.toml");
        let flags = Flags { config: Some(file.clone()), ..Flags::default() };
        std::fs::write(&file, "public_url = \"https://news.example\"\n[users.cache]\nttl_seconds = 7\n")
            .expect("writes");
        let config = load(&flags).expect("a good configuration").service;
        assert_eq!(
            (config.users.cache.ttl_seconds, config.users.identity.issuer.as_str()),
            (7, "https://news.example")
        );
        std::fs::write(&file, "[users.cache]\nttl = 7\n").expect("writes");
        let faults = load(&flags).expect_err("an unknown key").to_string();
        assert!(faults.contains("ttl"), "{faults}");
    }

    #[test]
    fn the_documented_example_is_a_good_configuration_and_so_are_its_variables() {
        let document = include_str!("../../../docs/configuration.md");
        let (_, rest) = document.split_once("## The one process").expect("a section");
        let (section, _) = rest.split_once("\n## ").expect("another one");
        let (_, example) = section.split_once("```toml\n").expect("an example");
        let (example, _) = example.split_once("```").expect("its end");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("portal.toml");
        std::fs::write(&file, example).expect("writes");
        let flags = Flags { config: Some(file), ..Flags::default() };
        let serving = Serving { listen: None, flags };
        let loaded = load_with(&serving, None, &[]).expect("a good configuration");
        assert_eq!(loaded.service.users.identity.issuer, "https://news.example");
        assert_eq!(loaded.service.users.store.url.expose(), "sqlite:/var/lib/portal/users.db");
        assert_eq!(loaded.service.users.sessions.idle_days, 7);
        for (name, value) in [
            ("PORTAL__DATA_DIR", "elsewhere"),
            ("PORTAL__PUBLIC_URL", "https://other.example"),
            ("PORTAL__PROCESS__LISTEN", "127.0.0.1:1"),
            ("USERS__SESSIONS__IDLE_DAYS", "3"),
            ("SPORTS_NEWS__NEWSROOM__LANGUAGE", "de"),
        ] {
            assert!(section.contains(&format!("`{name}`")), "{name}");
            let changed = load_with(&serving, None, &[(name.to_owned(), value.to_owned())]).expect(name);
            assert_ne!(changed.effective, loaded.effective, "{name} changes nothing");
        }
        let refused = load_with(&serving, None, &[("USERS__PROCESS__LOG".to_owned(), "info".to_owned())]);
        assert!(refused.expect_err("there is one process").to_string().contains("process"));
    }

    #[test]
    fn the_documented_limits_are_the_defaults() {
        let document = include_str!("../../../docs/configuration.md");
        let limits = serde_json::to_value(chassis::http::ThrottleConfig::default()).expect("JSON");
        for (name, windows) in limits.as_object().expect("a list for each") {
            let row = format!("| `edge.throttle.{name}` |");
            let row = document.lines().find(|line| line.starts_with(&row));
            let row = row.unwrap_or_else(|| panic!("docs/configuration.md does not list {name}"));
            let said = row.split('|').nth(2).expect("a column").split('`').skip(1).step_by(2);
            let windows = windows.as_array().expect("windows").iter();
            assert!(said.eq(windows.map(|window| window.as_str().expect("a text"))), "{row}");
        }
    }
}
