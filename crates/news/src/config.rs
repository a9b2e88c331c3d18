//! The configuration of a section. `config.default.toml` explains every key.

use std::time::Duration;

use chassis::IdentityConfig;
use chassis::config::{Address, Form, Place, Settings};
use serde::{Deserialize, Serialize};

use crate::domain::Newsroom;

/// The configuration of one section.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The issuer of access tokens, and the address of its keys.
    pub identity: IdentityConfig,
    /// The bus.
    pub bus: Address,
    /// The event store: the command side.
    pub events: Address,
    /// The view: the query side.
    pub view: Address,
    /// The rules of the newsroom.
    pub newsroom: NewsroomConfig,
    /// The settings of reads.
    pub reads: ReadsConfig,
}

/// The rules of the newsroom.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewsroomConfig {
    /// Editors are allowed to publish their own articles.
    pub self_review: bool,
    /// The language of articles that name none. Empty: no language.
    pub language: String,
}

impl NewsroomConfig {
    /// Returns the rules that follow from these settings.
    pub fn rules(&self) -> Newsroom {
        let language = Some(self.language.clone()).filter(|language| !language.is_empty());
        Newsroom { self_review: self.self_review, language }
    }
}

/// The settings of reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadsConfig {
    /// The longest wait of a reader for the projection of a version, in milliseconds.
    pub projection_wait_ms: u64,
}

impl ReadsConfig {
    /// Returns this wait as a duration.
    pub const fn patience(&self) -> Duration {
        Duration::from_millis(self.projection_wait_ms)
    }
}

impl Settings for Config {
    const DEFAULTS: &'static str = include_str!("../config.default.toml");

    fn validate(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.events.url == self.view.url {
            faults.push(
                "view.url must differ from events.url, because each store needs a place of its own"
                    .to_owned(),
            );
        }
        let language = &self.newsroom.language;
        if !language.is_empty() && !crate::domain::is_language(language) {
            faults.push("newsroom.language must be a language tag such as en or pt-BR, or empty".to_owned());
        }
        if self.reads.projection_wait_ms > 10_000 {
            faults.push(
                "reads.projection_wait_ms must be at most 10000, because no request lives longer".to_owned(),
            );
        }
        faults
    }

    fn places(&self) -> Vec<Place> {
        let mut places = self.identity.places();
        places.push(
            Place::new("events.url", self.events.url.expose(), &[Form::Sqlite, Form::Postgres])
                .with_drivers(cfg!(feature = "servers")),
        );
        places.push(
            Place::new("view.url", self.view.url.expose(), &[Form::Sqlite, Form::Mongo])
                .read_by(crate::store::read_view)
                .with_drivers(cfg!(feature = "servers")),
        );
        places.push(bus::place(&self.bus));
        places
    }
}

#[cfg(test)]
mod tests {
    use chassis::config::{layers, read};

    use super::*;

    fn with(text: &str) -> Result<Config, Vec<String>> {
        let layers = layers(&[Config::DEFAULTS, text], None).expect("the layers");
        read::<Config>(&layers).map(|loaded| loaded.service).map_err(|faults| faults.0)
    }

    #[test]
    fn the_defaults_are_valid_and_give_each_section_its_own_stores() {
        let config = with("").expect("good defaults");
        assert_eq!(config.events.of("sports-news").expose(), "sqlite:data/sports-news.db");
        assert_eq!(config.view.of("famous-news").expose(), "sqlite:data/famous-news-view.db");
        assert_eq!(config.newsroom.rules(), Newsroom { self_review: false, language: None });
        assert_eq!(config.reads.patience(), Duration::from_secs(1));
    }

    #[test]
    fn an_address_of_another_kind_is_refused_by_the_name_of_its_key() {
        for (table, field) in
            [("events", "url"), ("view", "url"), ("bus", "url"), ("identity", "keys"), ("identity", "issuer")]
        {
            for bad in ["", "s3cret", "mysql://u:s3cret@db", "sqlite:", "mongodb://u:s3cret@"] {
                let faults = with(&format!("[{table}]\n{field} = \"{bad}\"\n")).expect_err(bad);
                assert!(
                    faults.iter().any(|it| it.starts_with(&format!("{table}.{field}"))),
                    "{bad}: {faults:?}"
                );
                assert!(!faults.iter().any(|fault| fault.contains("s3cret")), "{faults:?}");
            }
        }
        let faults =
            with("[view]\nurl = \"mongodb://u:s3cret@view/x?timeoutMS=soon\"\n").expect_err("no number");
        assert!(faults.len() == 1 && !faults[0].contains("s3cret"), "{faults:?}");
    }

    #[test]
    fn all_faults_are_listed_together() {
        let faults = with(
            "[view]\nurl = \"sqlite:data/{service}.db\"\n[newsroom]\nlanguage = \"no language\"\n[reads]\nprojection_wait_ms = 60000\n",
        );
        assert_eq!(faults.expect_err("three faults").len(), 3);
        assert!(with("[newsroom]\nself_reviews = true\n").is_err());
    }
}
