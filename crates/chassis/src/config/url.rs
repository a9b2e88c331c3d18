use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where something outside is, as `neo4j://user:password@host:7687`: the scheme chooses the adapter. It prints and serialises
/// without its password and its query, so that a configuration can be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// The whole of it, for the one place that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What stands before the first colon.
    pub fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }
}

impl From<String> for Url {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Url {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str(&self.0) };
        write!(f, "{scheme}://")?;
        // The last @, whatever stands before it: a password that should have been escaped and was not is hidden as well.
        let place = match rest.rsplit_once('@') {
            Some((login, place)) => {
                let user = login.split_once(':').map_or("***", |(user, _)| user);
                write!(f, "{user}:***@")?;
                place
            }
            None => rest,
        };
        match place.split_once('?') {
            Some((place, _)) => write!(f, "{place}?***"),
            None => f.write_str(place),
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password_and_its_query() {
        let shown = |url: &str| Url::from(url).to_string();
        assert_eq!(shown("sqlite:data/users.db"), "sqlite:data/users.db");
        assert_eq!(shown("amqp://broker:5672/portal"), "amqp://broker:5672/portal");
        assert_eq!(shown("neo4j://neo4j:s3%2Fcret@graph:7687"), "neo4j://neo4j:***@graph:7687");
        assert_eq!(shown("postgres://u:s3cret@db/users?password=s3cret"), "postgres://u:***@db/users?***");
        assert_eq!(shown("redis://s3cret@cache:6379"), "redis://***:***@cache:6379");
        assert_eq!(shown("redis://:s3/cr@et@cache:6379/0"), "redis://:***@cache:6379/0");
        assert_eq!(format!("{:?}", Url::from("neo4j://u:s3cret@graph")), "neo4j://u:***@graph");
    }
}
