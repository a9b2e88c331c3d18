use figment::providers::Format;
use serde::de::DeserializeOwned;

/// TOML for figment, read by the one TOML parser of the workspace; figment's own would compile a second one.
pub(super) struct Toml;

impl Format for Toml {
    type Error = toml::de::Error;

    const NAME: &'static str = "TOML";

    fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Self::Error> {
        toml::from_str(text)
    }
}
