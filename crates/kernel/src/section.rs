use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A section of the portal. [`Section::ALL`] is the only list of them; CONTRIBUTING explains how to add a
/// fourth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Celebrities.
    Famous,
    /// Government, parliament, elections.
    Politics,
    /// Matches, athletes, results.
    Sports,
}

impl Section {
    /// All sections, in the order of responses.
    pub const ALL: [Section; 3] = [Section::Famous, Section::Politics, Section::Sports];

    /// Returns the name in URLs, messages and stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Section::Famous => "famous",
            Section::Politics => "politics",
            Section::Sports => "sports",
        }
    }

    /// Returns the name of the service that owns this section.
    pub const fn service(self) -> &'static str {
        match self {
            Section::Famous => "famous-news",
            Section::Politics => "politics-news",
            Section::Sports => "sports-news",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not the name of a section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of famous, politics, sports")]
pub struct UnknownSection;

impl FromStr for Section {
    type Err = UnknownSection;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Section::ALL.into_iter().find(|section| section.as_str() == text).ok_or(UnknownSection)
    }
}

impl Serialize for Section {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Deserializes from a string and not as an enum: only then axum reports which parameter of a path was
/// refused.
impl<'de> Deserialize<'de> for Section {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Section;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a section")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Section, E> {
                name.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_is_parsed_from_its_name() {
        for section in Section::ALL {
            assert_eq!(section.as_str().parse(), Ok(section));
            let json = serde_json::to_value(section).expect("a section is JSON");
            assert_eq!(json, section.as_str());
            assert_eq!(serde_json::from_value::<Section>(json).expect("and read back"), section);
        }
        assert_eq!("all".parse::<Section>(), Err(UnknownSection));
    }
}
